"""`smalti inspect`: what is in a data set, a model or a run."""

from collections.abc import Sequence
from pathlib import Path

from smalti.cli.arguments import Parser


def run(arguments: Sequence[str]) -> None:
    """Describe a data set, a model or a run."""
    options = _parser().parse_args(arguments)

    from smalti.cli.inspect_data import describe_data
    from smalti.cli.inspect_model import describe_model, is_model

    if is_model(Path(options.what)):
        describe_model(Path(options.what))
    else:
        describe_data(options.what, options.classes)


def _parser() -> Parser:
    parser = Parser("inspect", "What is in a data set, a model or a run.")
    parser.add_argument("what", help="as for --data of `smalti train`; or a run or model folder")
    parser.add_argument(
        "--classes", action="store_true", help="of a data set: count its classes (sub-folders)"
    )
    return parser
