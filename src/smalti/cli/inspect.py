"""`smalti inspect`: describes a data set, codes, a model or the state of a run."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from smalti.cli.arguments import Parser, expanded_path
from smalti.errors import InputError


def run(arguments: Sequence[str]) -> None:
    """Describe a data set, codes, a model or a run."""
    options = parser().read(arguments)
    if options.index:
        from smalti.cli.inspect_data import index_data

        index_data(options.what)
        return

    from smalti.cli.inspect_codes import describe_codes
    from smalti.cli.inspect_data import describe_data
    from smalti.cli.inspect_model import describe_model, describe_run, is_model
    from smalti.codes.manifest import stored_encoding
    from smalti.hub import hub_name
    from smalti.model_download import is_model_on_hub
    from smalti.runs.state import read_run

    path = Path(options.what)
    state = read_run(path)
    if state is not None:
        describe_run(state)
    elif is_model(path):
        describe_model(path)
    elif stored_encoding(path) is not None:
        describe_codes(path)
    elif _asks_for_data(options) or hub_name(options.what) is None:
        describe_data(options.what, options.classes, options.size)
    elif is_model_on_hub(options.what):
        describe_model(options.what)
    else:
        try:
            describe_data(options.what, classes=False)
        except InputError as error:
            raise InputError(f"{error}; nor does it give a model of this name") from error


def _asks_for_data(options: argparse.Namespace) -> bool:
    """Whether an option tells that a name of the hub is that of a data set."""
    return options.classes or options.size is not None


def parser() -> Parser:
    """The options of the command."""
    parser = Parser(
        "inspect",
        "What is in a data set, in codes or in a model; or how a run is doing, while it trains or "
        "after: its health in words, and a page with its curves and pictures, "
        "RUN/report/index.html.",
    )
    parser.add_argument(
        "what",
        type=expanded_path,
        help="as for --data of `smalti train`; or a run, a model folder, a model of the hub "
        "(hf://owner/name) or a folder of `smalti encode --data`",
    )
    parser.add_argument(
        "--classes", action="store_true", help="of a data set: count its classes (sub-folders)"
    )
    parser.add_size(
        "of a data set: count the images below this crop in pixels; one number is a square "
        "(default: the size that `smalti train` takes)"
    )
    parser.add_argument(
        "--index",
        action="store_true",
        help="of tars: read through them once and keep where their images are, beside the tars or "
        "else in the cache folder, so that all commands open them at once",
    )
    return parser
