"""`smalti evaluate`: figures of a tokenizer, of a prior, or of pictures beside a reference."""

import argparse
import re
from collections.abc import Sequence

from smalti.cli.arguments import Parser, expanded_path, positive
from smalti.cli.places import output_file
from smalti.cli.sample import drawing_arguments
from smalti.errors import InputError

TOKENIZER = "--data --held-out --images --size --small --as-prior-data --batch-size --out --device"
PICTURES = (
    "--samples --reference --write-reference --extractor --extractor-weights --few --size --small "
    "--seed --batch-size --out --device"
)


def run(arguments: Sequence[str]) -> None:
    """Evaluate what the command line names: the kind of the model decides."""
    found = parser()
    options = found.read(arguments)
    given = found.given(arguments)

    _check_outputs(options)
    if options.model is None:
        _check(given, PICTURES, "without a model")
        _check_pictures(options)

        from smalti.cli.evaluate_samples import evaluate_samples
        from smalti.training.processes import processes

        with processes():
            evaluate_samples(options)
        return

    from smalti.model_folder import find_model, read_description

    kind = read_description(find_model(options.model))["kind"]
    if kind != "prior":
        _check(given, TOKENIZER, f"of a tokenizer, and {options.model} holds a {kind}")
        if isinstance(options.images, range):
            raise InputError("--images A:B is for priors; of a tokenizer, --images is a number")
    elif options.as_prior_data:
        raise InputError(f"--as-prior-data is for tokenizers, and {options.model} holds a prior")
    elif options.samples:
        raise InputError("--samples is for pictures that no model draws here; leave out the model")
    if not options.data:
        raise InputError("--data is required with a model")

    from smalti.cli.evaluate_prior import evaluate_prior
    from smalti.cli.evaluate_tokenizer import evaluate_tokenizer
    from smalti.training.processes import processes

    if kind == "prior":
        with processes():
            evaluate_prior(options)
    else:
        evaluate_tokenizer(options)


def _check_outputs(options: argparse.Namespace) -> None:
    """Refuse files that cannot be written.

    Raises:
        InputError: with the reason.
    """
    if options.out:
        output_file(options.out, ".safetensors" if isinstance(options.images, range) else ".json")
    if options.write_reference:
        output_file(options.write_reference, ".safetensors", option="--write-reference")


def _check_pictures(options: argparse.Namespace) -> None:
    """Refuse options that do not say what to do without a model.

    Raises:
        InputError: something is missing.
    """
    if not options.reference:
        raise InputError(
            "smalti evaluate needs a MODEL; without one, --reference with --samples or with "
            "--write-reference"
        )
    if not options.samples and not options.write_reference:
        raise InputError("smalti evaluate --reference needs --samples, or --write-reference")


def _check(given: Sequence[str], allowed: str, what: str) -> None:
    """Refuse options that have no effect on what is evaluated."""
    for flag in given:
        if flag not in allowed.split():
            raise InputError(f"{flag} is no option {what}; allowed are {allowed}")


def _images(text: str) -> int | range:
    """Type of `--images`: a number, or A:B."""
    part = re.fullmatch(r"(\d{1,9}):(\d{1,9})", text)
    if part is not None and int(part[1]) < int(part[2]):
        return range(int(part[1]), int(part[2]))
    if re.fullmatch(r"0*[1-9]\d{0,8}", text):
        return int(text)
    raise argparse.ArgumentTypeError(
        f"must be a whole number of at least 1, or A:B with A below B, got {text!r}"
    )


def parser() -> Parser:
    """The options of the command."""
    parser = Parser(
        "evaluate",
        "Figures that others can reproduce. Of a tokenizer: what it keeps of the images of a data "
        "set. Of a prior: NLL of the images of a data set, and how samples compare with them "
        "(Frechet distance, kernel distance, precision, recall). Without a model: how pictures "
        "compare with a reference. docs/evaluation.md explains each figure.",
    )
    parser.add_argument(
        "model",
        type=expanded_path,
        nargs="?",
        help="run of `smalti train`, model folder or hub id; its kind decides what is measured. "
        "Without it, give --reference with --samples or with --write-reference",
    )
    parser.add_argument(
        "--data",
        type=expanded_path,
        nargs="+",
        default=[],
        help="what to measure on: as for --data of `smalti train`; samples of a prior have the "
        "conditions of these images",
    )
    parser.add_argument(
        "--held-out",
        action="store_true",
        help="measure only the images of --data that the run was not trained on",
    )
    parser.add_argument(
        "--images",
        type=_images,
        metavar="N|A:B",
        help="N: measure on N images of --data only, taken at even distances; a prior's reference "
        "is of these too (default: all). A:B, of a prior: work on samples A to B - 1 only, as one "
        "of several machines; writes a file for --join",
    )
    _size_and_files(parser)
    parser.add_argument(
        "--as-prior-data",
        action="store_true",
        help="also train a small prior, always the same one, on the tokenizer's codes of most "
        "images, and give its bits of the others; and the Frechet distance when some codes are "
        "replaced. It takes a minute or several on a processor",
    )
    _samples(parser.add_argument_group("pictures and reference"))
    _priors(parser.add_argument_group("priors"))
    drawing_arguments(parser)
    return parser


def _size_and_files(parser: Parser) -> None:
    parser.add_size(
        "center crops in pixels; one number is a square (default: as the run was trained, or "
        "the size of all pictures)"
    )
    parser.add_small("as the run was trained")
    parser.add_batch_size(32, "images at once; changes no figure")
    parser.add_seed("sample i depends on (seed, i) only")
    parser.add_out(
        None,
        "JSON file for the figures too; replaced if it exists (default: of a prior "
        "evaluation.json, else none); with --images A:B, a .safetensors file for --join",
    )
    parser.add_device()


def _samples(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--samples",
        type=expanded_path,
        metavar="FOLDER",
        help="pictures to judge: a folder or another data set, or an .npz file as the evaluator of "
        "ADM reads it",
    )
    group.add_argument(
        "--reference",
        type=expanded_path,
        metavar="SRC|FILE",
        help="what to compare with: a data set, a file of --write-reference, or an .npz file with "
        "mu and sigma or with images (default: of a prior, --data)",
    )
    group.add_argument(
        "--write-reference",
        type=expanded_path,
        metavar="FILE",
        help="write the reference into this .safetensors file, for --reference",
    )
    group.add_argument(
        "--extractor",
        choices=("efficientnet", "inception", "dinov2"),
        default="efficientnet",
        help="network that describes the images: efficientnet needs no download, inception gives "
        "FID and KID, dinov2 needs smalti[dino]",
    )
    group.add_argument(
        "--extractor-weights",
        type=expanded_path,
        metavar="FILE",
        help="its weights: a file, a folder or a hub id (default: the published ones)",
    )
    group.add_argument(
        "--few",
        action="store_true",
        help="also compare fewer images than the extractor has features; see the warning",
    )


def _priors(group: argparse._ArgumentGroup) -> None:
    group.add_argument("-n", type=positive, default=5000, help="samples to draw")
    group.add_argument(
        "--join",
        type=expanded_path,
        nargs="+",
        default=[],
        metavar="FILE",
        help="take what was computed from files of --images A:B; same options otherwise",
    )
    group.add_argument(
        "--memorisation",
        action="store_true",
        help="also write a page of samples beside their nearest training images",
    )
    group.add_argument(
        "--training-data",
        type=expanded_path,
        nargs="+",
        metavar="SRC",
        help="for --memorisation: the training images (default: the run's own data)",
    )
