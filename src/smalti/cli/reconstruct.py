"""`smalti reconstruct`: shows pictures beside their reconstructions."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from smalti.cli.arguments import Parser, positive
from smalti.cli.places import output_file
from smalti.errors import InputError
from smalti.words import all_are

if TYPE_CHECKING:
    from PIL import Image


HIGHEST_PX = {".jpg": 65500, ".jpeg": 65500, ".webp": 16383}
"""Largest height in pixels of a picture, by the ending of formats with a limit."""


def run(arguments: Sequence[str]) -> None:
    """Write each picture beside its reconstruction."""
    options = parser().read(arguments)
    out = output_file(options.out, ".png", *HIGHEST_PX)

    from smalti.cli.output import to_device
    from smalti.codes.pictures import find_pictures, read_picture
    from smalti.content_images import content_images
    from smalti.data.decode import BrokenImageError
    from smalti.data.readers import reader_of
    from smalti.evaluation.measures import closeness
    from smalti.files import atomic_file
    from smalti.sampling.sheet import contact_sheet
    from smalti.tokenizer.load import load_tokenizer

    tokenizer = load_tokenizer(options.model)
    found = find_pictures(options.pictures, tokenizer.content.part)
    device = to_device(tokenizer, options.device)
    reader, images = reader_of(tokenizer.content), content_images(tokenizer.content)
    pairs: list[Image.Image] = []
    for one in found:
        try:
            picture = read_picture(one, reader)
        except BrokenImageError as error:
            print(f"skipped {error}")
            continue
        if max(picture.size) > options.longest_px:
            picture.thumbnail((options.longest_px, options.longest_px), reader.resampling)
            print(f"{one.key}: shrunk to {picture.height}x{picture.width}; see --longest-px")
        image = reader.to_image(picture)[None].to(device)
        reconstruction = tokenizer.reconstruct(image)
        print(f"{one.key}: {closeness(tokenizer.content, image, reconstruction)}")
        drawn = [images.draw(both[0]) for both in (image, reconstruction)]
        pairs.append(contact_sheet(drawn, columns=2))
    if not pairs:
        raise InputError(f"{all_are(len(found), 'picture')} broken")
    with atomic_file(out) as temporary:
        _stack(pairs, out).save(temporary)
    print(f"done: {out} (left: as it was, right: reconstruction)")


def _stack(pictures: "Sequence[Image.Image]", out: Path) -> "Image.Image":
    """Stack pictures of any width below each other.

    Raises:
        InputError: together they are higher than the format of `out` allows.
    """
    from PIL import Image

    height, allowed = sum(p.height for p in pictures), HIGHEST_PX.get(out.suffix.lower())
    if allowed is not None and height > allowed:
        raise InputError(
            f"--out {out} would be {height} pixels high, more than the {allowed} that "
            f"{out.suffix} has; give a .png, or fewer pictures"
        )
    stacked = Image.new(
        "RGB", (max(p.width for p in pictures), sum(p.height for p in pictures)), "white"
    )
    top = 0
    for picture in pictures:
        stacked.paste(picture, (0, top))
        top += picture.height
    return stacked


def parser() -> Parser:
    """The options of the command."""
    parser = Parser("reconstruct", "Send pictures through a tokenizer and back, side by side.")
    parser.add_tokenizer()
    parser.add_pictures()
    parser.add_out("reconstruction.png", "file; replaced if it exists")
    parser.add_argument(
        "--longest-px", type=positive, default=1024, help="larger pictures are shrunk to this side"
    )
    parser.add_device()
    return parser
