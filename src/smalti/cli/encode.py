"""`smalti encode`: encodes pictures into codes in a file."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from smalti.cli.arguments import (
    Parser,
    device_argument,
    expanded_path,
    height_and_width,
    pictures_argument,
    small_argument,
    tokenizer_argument,
)
from smalti.cli.places import check_file
from smalti.words import all_are, counted


def run(arguments: Sequence[str]) -> None:
    """Encode pictures into one file."""
    options = parser().read(arguments)
    out = Path(options.out)
    check_file(out, (".safetensors",))

    from tqdm import tqdm

    from smalti.cli.code_file import write_codes
    from smalti.cli.pictures import find_pictures, load_image
    from smalti.compute import choose_compute
    from smalti.config import InputError
    from smalti.data.config import TransformConfig
    from smalti.data.decode import BrokenImageError
    from smalti.data.readers import reader_of
    from smalti.tokenizer.load import load_tokenizer

    size = getattr(options, "size", None)
    tokenizer = load_tokenizer(options.model)
    pictures = find_pictures(options.pictures, tokenizer.content.part)
    compute = choose_compute(options.device, "float32")
    print(f"device: {compute}")
    tokenizer.to(compute.device)
    wanted = "" if size is None else f"{size[0]}x{size[1]}"
    if size is not None and any(side % tokenizer.downsampling_factor for side in size):
        raise InputError(
            f"--size {wanted}: both sides must be multiples of {tokenizer.downsampling_factor}"
        )
    reader = reader_of(tokenizer.content)
    transform = None
    if size is not None:
        small = getattr(options, "small", "auto")
        transform = TransformConfig(size=size, small=small).settled(len(pictures))
    codes = {}
    for picture in tqdm(pictures, unit="picture", disable=None):
        try:
            sample = load_image(picture, transform, reader)
        except BrokenImageError as error:
            print(f"skipped {error}")
            continue
        try:
            grid = tokenizer.encode(sample.image[None].to(compute.device))[0].cpu()
        except InputError as error:
            raise InputError(f"{picture.key}: {error}; or give --size") from error
        codes[picture.name] = grid
    if not codes:
        of_all = all_are(len(pictures), "picture")
        raise InputError(f"{of_all} broken or smaller than --size {wanted}")
    write_codes(out, codes, tokenizer)
    if len(codes) < len(pictures):
        smaller = f" or smaller than {wanted}" if wanted else ""
        skipped = counted(len(pictures) - len(codes), "picture")
        print(f"skipped: {skipped}, broken{smaller}")
    done = counted(len(codes), "picture")
    print(f"done: codes of {done}, each in [0, {tokenizer.codebook_size}), in {out}")
    print(f"next: smalti decode {options.model} {out} --out decoded")


def parser() -> Parser:
    """The options of the command."""
    parser = Parser(
        "encode",
        "Pictures -> codes: a safetensors file with one int32 grid (h, w) for each picture, "
        "by its path below the folder that all have in common.",
    )
    tokenizer_argument(parser)
    pictures_argument(parser)
    parser.add_argument(
        "--out", type=expanded_path, default="codes.safetensors", help="file; replaced if it exists"
    )
    parser.add_argument(
        "--size",
        type=height_and_width,
        default=argparse.SUPPRESS,
        metavar="HEIGHTxWIDTH",
        help="resize and crop each to this size in pixels first; one number is a square (default: "
        "as they are)",
    )
    small_argument(parser, "auto; no effect without --size")
    device_argument(parser)
    return parser
