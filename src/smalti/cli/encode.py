"""`smalti encode`: encodes pictures into codes in a file, or data sets into shards of codes."""

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING

from smalti.cli.arguments import Parser, expanded_path, not_negative, positive
from smalti.cli.places import output_file, output_folder
from smalti.cli.shard_arguments import check_engine, shard_arguments
from smalti.errors import InputError
from smalti.words import all_are, counted

if TYPE_CHECKING:
    from torch import Tensor

USAGE = """smalti encode MODEL PICTURES... [--out FILE] [options]
       smalti encode MODEL --data SRC... --out DIR [options]
       smalti encode --codes DIR --out DIR [--format FORMAT]
       smalti encode --join --out DIR"""
PICTURES = "--out --size --small --device"
JOIN = "--join --out"
CONVERSION = "--codes --format --out --shard --engine --actors"


def run(arguments: Sequence[str]) -> None:
    """Encode pictures into one file, or data sets into a folder, or finish such a folder."""
    found = parser()
    options, given = found.read_mixed(arguments), found.given(arguments)
    if options.join:
        _check(given, JOIN, "with --join")
        if options.model:
            raise InputError("--join needs no MODEL: it reads what lies in the folder of --out")
        from smalti.cli.encode_data import check_and_join

        check_and_join(output_folder(options.out or "codes"))
        return
    if options.codes:
        _check(given, CONVERSION, "with --codes")
        _convert(options)
        return
    if options.model is None:
        found.error("needs model")
    if not options.data:
        if not options.pictures:
            found.error("needs pictures, or --data")
        _check(given, PICTURES, "for pictures without --data")
        _encode_pictures(options)
        return
    if options.pictures:
        raise InputError(f"{options.pictures[0]} stands beside --data; name it after --data too")
    check_engine(options)

    from smalti.cli.encode_data import encode_data
    from smalti.training.processes import processes

    with processes():
        encode_data(options, output_folder(options.out or "codes"))


def _convert(options: argparse.Namespace) -> None:
    """Write shards of codes anew in another format."""
    if options.model:
        raise InputError("--codes needs no MODEL: it writes the codes of a folder anew")
    check_engine(options)

    from smalti.cli.convert_codes import convert_codes
    from smalti.training.processes import processes

    with processes():
        convert_codes(options, output_folder(options.out or "codes"))


def _check(given: Sequence[str], allowed: str, what: str) -> None:
    """Refuse options that have no effect on what is encoded."""
    for flag in given:
        if flag not in allowed.split():
            raise InputError(f"{flag} is no option {what}; allowed are {allowed}")


def _encode_pictures(options: argparse.Namespace) -> None:
    """Encode pictures into one file."""
    out = output_file(options.out or "codes.safetensors", ".safetensors")

    from tqdm import tqdm

    from smalti.cli.code_file import write_codes
    from smalti.cli.output import to_device
    from smalti.codes.pictures import batches_of_one_size, find_pictures, load_images
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
    loaded = load_images(pictures, transform, reader, lambda error: print(f"skipped {error}"))
    codes: dict[str, Tensor] = {}
    with tqdm(total=len(pictures), unit="picture", disable=None) as bar:
        for named, images in read_ahead(batches_of_one_size(loaded)):
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
        "by its path below the folder that all have in common. With --data: whole data sets -> a "
        "folder of shards, by any number of processes and machines; docs/codes.md tells of it.",
    )
    parser.usage = USAGE
    parser.add_argument(
        "model",
        type=expanded_path,
        nargs="?",
        help="tokenizer: run of `smalti train`, model folder or hub id",
    )
    parser.add_argument(
        "pictures",
        type=expanded_path,
        nargs="*",
        help="picture files, and data sets as for --data of `smalti train`, into one file",
    )
    parser.add_out(
        None,
        "file, replaced if it exists (default: codes.safetensors); with --data the folder of the "
        "shards, and the same command goes on with it (default: codes)",
    )
    parser.add_size(
        "resize and crop each to this size in pixels first; one number is a square (default: "
        "as they are; with --data as in the run of the tokenizer)"
    )
    parser.add_small("auto; no effect without --size; with --data as in the run of the tokenizer")
    parser.add_device()
    _add_data_options(parser)
    return parser


def _expanded_condition(spec: str) -> str:
    kind, separator, path = spec.partition("=")
    return f"{kind}{separator}{expanded_path(path)}" if separator else kind


def _add_data_options(parser: Parser) -> None:
    """Add the options of whole data sets."""
    data = parser.add_argument_group("whole data sets")
    data.add_argument(
        "--data",
        type=expanded_path,
        nargs="+",
        help="data sets as for --data of `smalti train`: folders, lists, tars, Parquet, hub",
    )
    data.add_argument("--classes", action="store_true", help="write the class of each image, too")
    data.add_argument(
        "--condition",
        type=_expanded_condition,
        nargs="+",
        action="extend",
        default=[],
        metavar="KIND[=TOKENIZER]",
        help="write the codes of these conditions of each image, too, as --condition of `smalti "
        "train prior` finds them: segmentation=RUN, keypoints and so on; class is --classes",
    )
    data.add_argument(
        "--low-resolution-factor",
        type=positive,
        default=8,
        help="how many times smaller the sides of a low_resolution condition are",
    )
    data.add_argument(
        "--crops",
        type=positive,
        default=1,
        help="crops of each image, a column of codes for each; 1 is the center crop, more are "
        "random crops",
    )
    data.add_argument("--flip", action="store_true", help="each crop also mirrored")
    data.add_argument("--seed", type=not_negative, default=0, help="seed of the random crops")
    data.add_argument(
        "--codes",
        type=expanded_path,
        metavar="DIR",
        help="without MODEL: write the finished shards of this folder anew in another --format",
    )
    data.add_argument(
        "--format",
        choices=("safetensors", "parquet", "tar"),
        default="safetensors",
        help="of the shards; tar is a WebDataset",
    )
    shard_arguments(
        data,
        "most images in a shard (default: a shard for each tar or Parquet file, 10,000 images "
        "where each image is a file)",
        "without MODEL: check that all shards in the folder of --out are there, with their hashes, "
        "and write its manifest",
    )
    data.add_argument("--batch-size", type=positive, default=32, help="crops encoded together")
    data.add_argument(
        "--workers",
        type=not_negative,
        default=0,
        help="processes that read and decode pictures; with 0 a thread does it",
    )
