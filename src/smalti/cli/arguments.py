"""Command-line arguments that several sub-commands share. Imports nothing heavy."""

import argparse
from typing import NoReturn


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


def device_argument(parser: Parser) -> None:
    """Add `--device`."""
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1 or mps")


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
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"must be at least 1, got {number}")
    return number


def not_negative(text: str) -> int:
    """Type of an argument that is a whole number, 0 or more."""
    number = int(text)
    if number < 0:
        raise argparse.ArgumentTypeError(f"must be at least 0, got {number}")
    return number


def height_and_width(text: str) -> tuple[int, int]:
    """Type of an argument that is a size in pixels: `256` for a square, or `360x480`."""
    numbers = [positive(part) for part in text.split("x")]
    if len(numbers) > 2:
        raise argparse.ArgumentTypeError(f"must be like 256 or 360x480, got {text}")
    return numbers[0], numbers[-1]
