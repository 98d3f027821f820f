"""`smalti sample`: makes new images with a trained prior."""

import argparse
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from smalti.cli.arguments import Parser, expanded_path, not_negative, number, positive
from smalti.cli.places import output_folder
from smalti.cli.rejection import (
    DEFAULT_IMAGES,
    KEPT_FILE,
    Judge,
    read_rejection,
    rejection_arguments,
    rounds_of,
)
from smalti.cli.shard_arguments import check_engine, shard_arguments
from smalti.errors import InputError
from smalti.words import counted

if TYPE_CHECKING:
    import torch

    from smalti.sampling.config import SamplingConfig

SHARD_OPTIONS = ("--shard-images", "--shard", "--engine", "--actors")
"""Options that each ask for images in shards."""
JOIN = ("--join", "--out")


def run(arguments: Sequence[str]) -> None:
    """Make images and a sheet of them all, or a large set in shards, or finish such a set."""
    found = parser()
    options, given = found.read(arguments), found.given(arguments)
    if options.join:
        _check_join(options, given)
        from smalti.cli.sample_set import check_and_join

        check_and_join(output_folder(options.out))
        return
    if options.model is None:
        found.error("needs model")
    if any(flag in SHARD_OPTIONS for flag in given):
        _sample_in_shards(options)
        return
    condition = parse_conditions(options.condition)
    rejection = read_rejection(options)
    rounds = rounds_of(rejection, options.n)
    config = sampling_options(options)
    out = output_folder(options.out)

    from smalti.cli.output import PARTIAL_FILE, save_with_sheet, unfinished_in
    from smalti.compute import choose_compute
    from smalti.sampling.pipeline import Pipeline

    pipeline = Pipeline.from_pretrained(options.model)
    compute = choose_compute(options.device, options.precision)
    pipeline.to(compute.device)
    request = pipeline.request(rounds, condition, options.size)
    pipeline.check_sampling(config, (request.height, request.width))
    judge = None if rejection is None else Judge(rejection, pipeline)
    if judge is not None:
        request = request.repeated(judge.rejection.draw)
    images = counted(request.n, "image")
    print(f"device: {compute}; {images} of {request.height}x{request.width} codes")
    note_if_slower(config, min(request.n, options.batch_size), pipeline.device)
    partial = out / PARTIAL_FILE
    with unfinished_in(partial):
        codes = pipeline.sample_codes(
            request,
            options.seed,
            config=config,
            batch_size=options.batch_size,
            keep=partial,
        )
        kept = None
        if judge is not None:
            kept = judge.keep(request, codes, config.stride, options.batch_size)
            codes = codes[kept.numbers]
        save_with_sheet(out, pipeline.pictures(codes))
    if judge is not None and kept is not None:
        judge.report(kept, out / KEPT_FILE)


def _check_join(options: argparse.Namespace, given: Sequence[str]) -> None:
    """Refuse what has no effect with `--join`."""
    for flag in given:
        if flag not in JOIN:
            raise InputError(f"{flag} is no option with --join; allowed are {' '.join(JOIN)}")
    if options.model:
        raise InputError("--join needs no MODEL: it reads what lies in the folder of --out")


def _sample_in_shards(options: argparse.Namespace) -> None:
    """Make a large set of images in shards."""
    if read_rejection(options) is not None:
        raise InputError("--draw and --keep are not possible in shards; leave them out")
    if options.n is None:
        raise InputError("shards need the number of images of the whole set, as -n 50000")
    check_engine(options)
    asked, config = parse_conditions(options.condition), sampling_options(options)
    out = output_folder(options.out)

    from smalti.cli.sample_set import draw_set
    from smalti.training.processes import processes

    with processes():
        draw_set(options, asked, config, out)


def parse_conditions(words: Sequence[str]) -> Mapping[str, list[str]] | list[str] | None:
    """Parse `--condition` into items of the prior's only condition, or items by kind.

    Raises:
        InputError: some items have a kind and some none.
    """
    if not words:
        return None
    from smalti.conditions import CONDITIONS

    pairs = [word.partition("=") for word in words]
    with_kind = [pair for pair in pairs if pair[1] and pair[0] in CONDITIONS]
    if not with_kind:
        return list(words)
    if len(with_kind) < len(words):
        raise InputError(
            f"--condition {' '.join(words)}: say the kind of each, as in class=cat depth=map.png"
        )
    kinds: dict[str, list[str]] = {}
    for kind, _, item in with_kind:
        kinds.setdefault(kind, []).append(item)
    return kinds


def sampling_options(options: argparse.Namespace) -> "SamplingConfig":
    """Make the config of sampling from the options of a command line.

    Raises:
        InputError: a value is not allowed.
    """
    from smalti.cli.validation import validated
    from smalti.sampling.config import SamplingConfig

    given = vars(options)
    values = {name: given[name] for name in SamplingConfig.model_fields if name in given}
    return validated(SamplingConfig, values | {"guidance": options.guidance or [1.0]})


def note_if_slower(config: "SamplingConfig", together: int, device: "torch.device") -> None:
    """Say so where speculative sampling was measured to mostly cost time, not to save it.

    Args:
        config: config of sampling.
        together: images of a batch.
        device: device of the prior.
    """
    if config.speculative > 1 and together > 1 and device.type == "cpu":
        print(
            f"note: {together} images at a time are mostly drawn faster without --speculative on a "
            "processor"
        )


def sampling_arguments(parser: Parser) -> None:
    """Add the options of sampling, which `sample` and `complete` have in common."""
    parser.add_seed("image i depends on (seed, i) only")
    condition_argument(
        parser,
        "class by name or number, or file of a map or of keypoints; several are taken in turn "
        "(default: all classes in turn). KIND= where the prior has several conditions",
    )
    drawing_arguments(parser)
    parser.add_argument(
        "--speculative",
        type=positive,
        default=1,
        metavar="N",
        help="guess N codes and check them in one pass: faster for one image at a time on a "
        "processor; other images for a seed than without, of the same distribution; 1 is off",
    )
    parser.add_batch_size(16, "images made at a time")
    parser.add_device()


def condition_argument(parser: Parser, meaning: str) -> None:
    """Add `--condition`, which `parse_conditions` parses."""
    parser.add_argument(
        "--condition",
        nargs="+",
        action="extend",
        metavar="[KIND=]VALUE",
        default=[],
        help=meaning,
    )


def drawing_arguments(parser: Parser) -> None:
    """Add the options of `SamplingConfig` that decide the distribution of the images."""
    parser.add_argument(
        "--temperature", type=number, default=1.0, help="below 1 likelier, above 1 bolder; 0 greedy"
    )
    parser.add_argument(
        "--top-k", type=not_negative, default=100, help="likeliest codes kept; 0 is off"
    )
    parser.add_argument(
        "--top-p", type=number, default=1.0, help="share of probability kept; 1 is off"
    )
    parser.add_argument(
        "--guidance",
        type=number,
        action="append",
        help="how closely to follow the conditions; given twice, for each condition in the order "
        "of training (default: 1, off)",
    )
    parser.add_argument(
        "--guidance-schedule",
        choices=("constant", "cosine"),
        default="constant",
        help="cosine rises from 1 along the image",
    )
    parser.add_argument(
        "--stride",
        type=positive,
        default=1,
        help="codes drawn in one position of the sliding window; 1 is the paper's, more is faster",
    )
    parser.add_argument(
        "--precision",
        choices=("float32", "bfloat16"),
        default="float32",
        help="number format of the prior; bfloat16 is faster on a card or a processor that has it "
        "(smalti env), and draws other codes",
    )


def parser() -> Parser:
    """The options of the command."""
    parser = Parser("sample", "Make new images with a trained prior.")
    parser.add_argument(
        "model",
        type=expanded_path,
        nargs="?",
        help="run of `smalti train prior`, pipeline folder or hub id",
    )
    parser.add_argument(
        "-n",
        type=positive,
        help=f"number of images (default: {DEFAULT_IMAGES}, or one round with --draw)",
    )
    parser.add_out("samples", "folder; images of the same names are replaced")
    parser.add_size(
        "height and width in pixels; a window slides over sizes above that of the training "
        "(default: the condition's, or that of the training)"
    )
    sampling_arguments(parser)
    rejection_arguments(parser)
    shard_arguments(
        parser.add_argument_group(
            "large sets",
            "with one of these options: tars of images instead, by any number of processes and "
            "machines; the same command goes on with them; docs/codes.md tells of it",
        ),
        "images in a shard (default: 1000)",
        "without MODEL: check that all shards in the folder of --out are there, and write its "
        "manifest",
    )
    return parser
