"""Command-line arguments that several sub-commands share. Imports nothing heavy."""

import argparse
from collections.abc import Sequence
from typing import Any, NoReturn


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


def take_list(arguments: Sequence[str], name: str) -> tuple[list[str], list[str]]:
    """Split `--name a b c` off a command line.

    Returns:
        The values (empty if the option is not there), and the other arguments.
    """
    parser: Any = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument(f"--{name}", nargs="+", action="extend", default=[])
    found, rest = parser.parse_known_args(arguments)
    return getattr(found, name), rest
