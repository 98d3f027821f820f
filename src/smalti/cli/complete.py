"""`smalti complete`: completes a masked area of a photograph, or what lies around it."""

import argparse
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from smalti.cli.arguments import Parser, expanded_path, not_negative, number, positive
from smalti.cli.places import output_folder
from smalti.cli.sample import note_if_slower, parse_conditions, sampling_arguments, sampling_options
from smalti.errors import InputError

if TYPE_CHECKING:
    from PIL import Image
    from torch import Tensor

    from smalti.sampling.completion import Margins

SIDES = ("top", "bottom", "left", "right")
MOST_COLOUR = 64
"""How far the channels of a grey may lie apart: JPEG tints the borders of a mask a little."""


def run(arguments: Sequence[str]) -> None:
    """Complete a photograph, and write the results and a sheet of them."""
    options = parser().read(arguments)
    out = output_folder(options.out)
    config = sampling_options(options)
    condition = parse_conditions(options.condition)

    from smalti.cli.output import PARTIAL_FILE, save_with_sheet, to_device, unfinished_in
    from smalti.sampling.completion import complete
    from smalti.sampling.pipeline import Pipeline

    margins = parse_margins(options.extend)
    pipeline = Pipeline.from_pretrained(options.model)
    pipeline.check_sampling(config, pipeline.cells_of(*pipeline.size))
    white_level = getattr(pipeline.tokenizer.content, "white_level", None)
    photograph = _read_picture(Path(options.photo), "photograph", white_level=white_level)
    missing = _missing(options, photograph)
    to_device(pipeline, options.device)
    note_if_slower(config, min(options.n, options.batch_size), pipeline.device)
    partial = out / PARTIAL_FILE
    with unfinished_in(partial):
        pictures = complete(
            pipeline,
            photograph,
            missing,
            options.n,
            options.seed,
            condition,
            margins=margins,
            config=config,
            batch_size=options.batch_size,
            blend_px=options.paste,
            keep=partial,
        )
        save_with_sheet(out, pictures)


def parse_margins(words: Sequence[str]) -> "Margins":
    """Parse the pixels on each side from words like `left=64`.

    Raises:
        InputError: a side is unknown or has no number.
    """
    from smalti.sampling.completion import Margins

    sides: dict[str, int] = {}
    for word in words:
        side, _, pixels = word.partition("=")
        if side not in SIDES or not re.fullmatch(r"\d{1,6}", pixels):
            raise InputError(
                f"--extend {word!r} is not a side; allowed are {', '.join(SIDES)} with pixels, as "
                "left=64"
            )
        sides[side] = int(pixels)
    return Margins(**sides)


def _read_picture(
    path: Path, what: str, background: str = "white", white_level: int | None = None
) -> "Image.Image":
    from smalti.data.decode import BrokenImageError, decode_image

    if not path.is_file():
        raise InputError(f"the {what} {path} does not exist, or is no file")
    try:
        return decode_image(path.read_bytes(), str(path), background, white_level)
    except BrokenImageError as error:
        raise InputError(f"cannot read {error}") from error


def read_mask(path: Path) -> "Tensor":
    """Read which pixels a picture marks, (height, width) bool: those that are white and opaque.

    Transparent pixels are laid over black, so that half-transparent white is grey. A grey counts as
    white from the middle of the range on.

    Raises:
        InputError: the picture cannot be read, or has colours, whose meaning is not clear.
    """
    import numpy as np
    import torch

    values = np.asarray(_read_picture(path, "mask", "black"))
    spread = values.max(2) - values.min(2)
    if spread.max() > MOST_COLOUR:
        row, column = np.unravel_index(spread.argmax(), spread.shape)
        red, green, blue = values[row, column]
        raise InputError(
            f"the mask {path} has colours, as ({red}, {green}, {blue}) at column {column} of row "
            f"{row}; paint white what is to be made anew, and leave the rest black or transparent"
        )
    return torch.from_numpy(values.mean(2) > 127)


def _missing(options: argparse.Namespace, photograph: "Image.Image") -> "Tensor":
    """Whether to draw each pixel of the photograph anew, (height, width) bool."""
    import torch

    if options.mask and options.keep_top is not None:
        raise InputError("give --mask or --keep-top, not both")
    if options.mask:
        return read_mask(Path(options.mask))
    missing = torch.zeros(photograph.height, photograph.width, dtype=torch.bool)
    if options.keep_top is not None:
        if not 0 < options.keep_top < 1:
            raise InputError(f"--keep-top is {options.keep_top}; allowed is above 0 and below 1")
        missing[round(options.keep_top * photograph.height) :] = True
    elif not options.extend:
        raise InputError("say what to complete: --mask FILE, --keep-top SHARE or --extend SIDE=PX")
    return missing


def parser() -> Parser:
    """The options of the command."""
    parser = Parser("complete", "Complete a photograph: a masked part, or what lies around it.")
    parser.add_prior()
    parser.add_argument(
        "photo", type=expanded_path, help="photograph, at the scale that the prior was trained on"
    )
    parser.add_argument(
        "--mask",
        type=expanded_path,
        help="picture of the photograph's size: white is made anew, black and transparent parts "
        "are kept; greys and half-transparent whites count as white from the middle on; colours "
        "are refused",
    )
    parser.add_argument(
        "--keep-top",
        type=number,
        metavar="SHARE",
        help="keep the upper part, as 0.5 of the height, and make the rest anew",
    )
    parser.add_argument(
        "--extend",
        nargs="+",
        default=[],
        metavar="SIDE=PX",
        help="paint beyond the sides: top, bottom, left, right, as left=64 right=64",
    )
    parser.add_argument(
        "--paste",
        type=not_negative,
        metavar="PX",
        help="put the known pixels back, mixed over so many pixels beside the border",
    )
    parser.add_argument("-n", type=positive, default=4, help="number of results")
    parser.add_out("completions", "folder; images of the same names are replaced")
    sampling_arguments(parser)
    return parser
