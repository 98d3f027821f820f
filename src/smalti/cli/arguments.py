"""Command-line arguments that several sub-commands share. Imports nothing heavy."""

import argparse
import re
from typing import NoReturn

from smalti.paths import expand


class Parser(argparse.ArgumentParser):
    """argparse whose errors are one line, with exit code 2."""

    def __init__(self, command: str, description: str, epilog: str = "") -> None:
        super().__init__(
            prog=f"smalti {command}",
            description=description,
            epilog=epilog,
            allow_abbrev=False,
            formatter_class=argparse.ArgumentDefaultsHelpFormatter,
        )

    def error(self, message: str) -> NoReturn:
        """Say what is wrong and where the allowed options are explained."""
        self.exit(2, f"{self.prog}: {message}; see {self.prog} --help\n")


LARGEST = 2**31 - 1
"""The largest count or size in pixels of an option: there is no memory for more."""
LARGEST_SEED = 2**63 - 1
"""The largest seed, as in `smalti train`: torch's whole numbers have 64 bits."""


def device_argument(parser: Parser) -> None:
    """Add `--device`."""
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1 or mps")


def tokenizer_argument(parser: Parser) -> None:
    """Add `model`, the tokenizer that a command uses."""
    parser.add_argument(
        "model", type=expanded_path, help="tokenizer: run of `smalti train`, model folder or hub id"
    )


def pictures_argument(parser: Parser) -> None:
    """Add `pictures`, what a command takes its pictures from."""
    parser.add_argument(
        "pictures",
        type=expanded_path,
        nargs="+",
        help="picture files, and data sets as for --data of `smalti train`",
    )


def small_argument(parser: Parser, default: str) -> None:
    """Add `--small`; `default` says what becomes of small pictures without it."""
    parser.add_argument(
        "--small",
        choices=("auto", "error", "skip", "enlarge"),
        default=argparse.SUPPRESS,
        help="what to do with pictures smaller than the crop; auto skips them in data sets of more "
        f"than 1,000 images, and is an error in others (default: {default})",
    )


def positive(text: str) -> int:
    """Type of an argument that is a whole number above 0."""
    return _between(1, text, LARGEST)


def not_negative(text: str) -> int:
    """Type of an argument that is a whole number, 0 or more."""
    return _between(0, text, LARGEST)


def seed(text: str) -> int:
    """Type of an argument that is a seed."""
    return _between(0, text, LARGEST_SEED)


def _between(least: int, text: str, most: int) -> int:
    number = int(text)
    if number < least:
        raise argparse.ArgumentTypeError(f"must be at least {least}, got {number}")
    if number > most:
        raise argparse.ArgumentTypeError(f"must be at most {most}, got {number}")
    return number


def expanded_path(text: str) -> str:
    """Type of an argument that is a path, in which `~` is the home folder, or a hub id."""
    try:
        return expand(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def height_and_width(text: str) -> tuple[int, int]:
    """Type of an argument that is a size in pixels: `256` for a square, or `360x480`."""
    if not re.fullmatch(r"\d+(x\d+)?", text):
        raise argparse.ArgumentTypeError(f"must be like 256 or 360x480, got {text!r}")
    numbers = [positive(part) for part in text.split("x")]
    return numbers[0], numbers[-1]
