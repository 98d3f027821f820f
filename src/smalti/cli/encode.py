"""`smalti encode`: encodes pictures into codes in a file."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from smalti.cli.arguments import Parser
from smalti.cli.places import output_file
from smalti.errors import InputError
from smalti.words import all_are, counted

if TYPE_CHECKING:
    from torch import Tensor


def run(arguments: Sequence[str]) -> None:
    """Encode pictures into one file."""
    options = parser().read(arguments)
    out = output_file(options.out, ".safetensors")

    from tqdm import tqdm

    from smalti.cli.code_file import write_codes
    from smalti.cli.output import to_device
    from smalti.cli.pictures import find_pictures, load_batches
    from smalti.data.config import TransformConfig
    from smalti.data.loader import read_ahead
    from smalti.data.readers import reader_of
    from smalti.tokenizer.load import load_tokenizer

    size = options.size
    tokenizer = load_tokenizer(options.model)
    pictures = find_pictures(options.pictures, tokenizer.content.part)
    reader, transform, or_smaller = reader_of(tokenizer.content), None, ""
    if size is not None:
        wanted, factor = f"{size[0]}x{size[1]}", tokenizer.downsampling_factor
        if any(side % factor for side in size):
            raise InputError(f"--size {wanted}: both sides must be multiples of {factor}")
        small = options.small or "auto"
        transform = TransformConfig(size=size, small=small).settled(len(pictures))
        or_smaller = f" or smaller than {wanted}"
    device = to_device(tokenizer, options.device)
    codes: dict[str, Tensor] = {}
    with tqdm(total=len(pictures), unit="picture", disable=None) as bar:
        for named, images in read_ahead(load_batches(pictures, transform, reader)):
            try:
                grids = tokenizer.encode(images.to(device)).cpu()
            except InputError as error:
                raise InputError(f"{named[0].key}: {error}; or give --size") from error
            codes |= {picture.name: grid for picture, grid in zip(named, grids, strict=True)}
            bar.update(len(named))
    if not codes:
        raise InputError(f"{all_are(len(pictures), 'picture')} broken{or_smaller}")
    write_codes(out, codes, tokenizer)
    if len(codes) < len(pictures):
        skipped = counted(len(pictures) - len(codes), "picture")
        print(f"skipped: {skipped}, broken{or_smaller}")
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
    parser.add_tokenizer()
    parser.add_pictures()
    parser.add_out("codes.safetensors", "file; replaced if it exists")
    parser.add_size(
        "resize and crop each to this size in pixels first; one number is a square (default: "
        "as they are)"
    )
    parser.add_small("auto; no effect without --size")
    parser.add_device()
    return parser
