"""`smalti push`: puts a model on the Hugging Face hub."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

from smalti.cli.arguments import Parser, expanded_path, listed
from smalti.errors import InputError

USUAL = ("apache-2.0", "mit", "cc0-1.0", "cc-by-4.0", "cc-by-nc-4.0", "openrail")
"""Usual licences, by the hub's names."""


def run(arguments: Sequence[str]) -> None:
    """Put a model on the hub, or show what would be put there."""
    options = parser().read(arguments)
    if options.license is None:
        raise InputError(f"name the licence of the model: --license {listed(USUAL)}, or another")

    from smalti.report.push import push_to_hub

    if options.dry_run:
        _show(options.model, options.repository, options.license, options.figures)
        return
    address = push_to_hub(
        options.model,
        options.repository,
        license=options.license,
        private=options.private,
        figures=options.figures,
    )
    print(f"done: {address}")


def _show(model: str, repository: str, licence: str, figures: str | None) -> None:
    """Print files, sizes and card."""
    from smalti.report.push import CARD_FILE, write_package

    with tempfile.TemporaryDirectory() as made:
        folder = write_package(model, repository, licence, Path(made, "model"), figures)
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                print(f"{path.stat().st_size:>14,} bytes  {path.relative_to(folder).as_posix()}")
        print(f"\n{(folder / CARD_FILE).read_text(encoding='utf-8')}")
    print(f"nothing was sent; without --dry-run this goes to {repository}")


def parser() -> Parser:
    """The options of the command."""
    parser = Parser(
        "push",
        "A model -> the Hugging Face hub: the best model of a run with its tokenizers, metrics, "
        "curves, a sheet of pictures and a card. Log in first: hf auth login.",
    )
    parser.add_argument("model", type=expanded_path, help="run of `smalti train`, or model folder")
    parser.add_argument("repository", help="owner/name; it is made unless it exists")
    parser.add_argument(
        "--license", help=f"licence of the model by the hub's name, such as {listed(USUAL)}"
    )
    parser.add_argument("--private", action="store_true", help="only the owner sees it")
    parser.add_argument(
        "--figures",
        type=expanded_path,
        help="file that `smalti evaluate --out` wrote, whose figures the card shows (default: the "
        "scores of the model in its run)",
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="print files, sizes and card; nothing is sent"
    )
    return parser
