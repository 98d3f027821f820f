"""Command-line arguments that several sub-commands share. Imports nothing heavy."""

import argparse
import re
from collections.abc import Callable, Sequence
from typing import NoReturn

from smalti.paths import expand
from smalti.registry import nearest

WORDS = (
    (r"the following arguments are required: (.*)", r"needs \1"),
    (r"argument ([^:]+): expected (one|at least one) argument", r"\1 needs \2 value"),
    (r"argument ([^:]+): (.*)", r"\1 \2"),
)
"""Messages of argparse as patterns, and our words for them."""
LARGEST = 2**31 - 1
"""The largest count or size in pixels of an option: there is no memory for more."""
LARGEST_SEED = 2**63 - 1
"""The largest seed, as in `smalti train`: torch's whole numbers have 64 bits."""


def whole_number(least: int, most: int = LARGEST) -> Callable[[str], int]:
    """Make the type of an argument that is a whole number from `least` to `most`."""

    def parsed(text: str) -> int:
        try:
            number = int(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(f"must be a whole number, got {text!r}") from error
        if number < least:
            raise argparse.ArgumentTypeError(f"must be at least {least}, got {number}")
        if number > most:
            raise argparse.ArgumentTypeError(f"must be at most {most}, got {number}")
        return number

    return parsed


positive, not_negative = whole_number(1), whole_number(0)
seed = whole_number(0, LARGEST_SEED)


def listed(words: Sequence[str]) -> str:
    """Join words into a text such as `a, b or c`."""
    return " or ".join([part for part in (", ".join(words[:-1]), words[-1]) if part])


class HelpFormatter(argparse.ArgumentDefaultsHelpFormatter):
    """Help that names the default of each option, except for flags."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        has_default = action.default is not None and not isinstance(action.default, bool | list)
        return super()._get_help_string(action) if has_default else action.help


class Parser(argparse.ArgumentParser):
    """argparse whose errors are one line, with exit code 2, and which reads `_` as `-` in names."""

    def __init__(self, command: str, description: str) -> None:
        super().__init__(
            prog=f"smalti {command}",
            description=description,
            allow_abbrev=False,
            formatter_class=HelpFormatter,
        )

    def add_device(self) -> None:
        """Add `--device`, the device that a command computes on."""
        self.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1 or mps")

    def add_tokenizer(self) -> None:
        """Add `model`, the tokenizer that a command uses."""
        self.add_argument(
            "model",
            type=expanded_path,
            help="tokenizer: run of `smalti train`, model folder or hub id",
        )

    def add_prior(self) -> None:
        """Add `model`, the prior that a command uses."""
        self.add_argument(
            "model",
            type=expanded_path,
            help="run of `smalti train prior`, pipeline folder or hub id",
        )

    def add_out(self, default: str | None, meaning: str) -> None:
        """Add `--out`, the file or folder that a command writes."""
        self.add_argument("--out", type=expanded_path, default=default, help=meaning)

    def add_size(self, meaning: str) -> None:
        """Add `--size`, a size of images in pixels."""
        self.add_argument("--size", type=height_and_width, metavar="HEIGHTxWIDTH", help=meaning)

    def add_batch_size(self, default: int, meaning: str) -> None:
        """Add `--batch-size`, how much a command computes at a time."""
        self.add_argument("--batch-size", type=positive, default=default, help=meaning)

    def add_seed(self, meaning: str) -> None:
        """Add `--seed`, 0 by default."""
        self.add_argument("--seed", type=seed, default=0, help=meaning)

    def add_pictures(self) -> None:
        """Add `pictures`, the files and data sets of a command's pictures."""
        self.add_argument(
            "pictures",
            type=expanded_path,
            nargs="+",
            help="picture files, and data sets as for --data of `smalti train`",
        )

    def add_small(self, default: str) -> None:
        """Add `--small`; `default` is the help text for its default."""
        self.add_argument(
            "--small",
            choices=("auto", "error", "skip", "enlarge"),
            help="what to do with pictures smaller than the crop; auto skips them in data sets of "
            f"more than 1,000 images, and is an error in others (default: {default})",
        )

    def read(self, words: Sequence[str]) -> argparse.Namespace:
        """Parse the words of a command line; wrong words end the process."""
        return self._checked(self.parse_known_args([self._spelled(word) for word in words]))

    def read_mixed(self, words: Sequence[str]) -> argparse.Namespace:
        """Parse words as `read` does, where arguments that may be missing stand among options."""
        found = self.parse_known_intermixed_args([self._spelled(word) for word in words])
        return self._checked(found)

    def given(self, words: Sequence[str]) -> list[str]:
        """The options that a command line names, in its order."""
        spelled = [self._spelled(word).partition("=")[0] for word in words]
        return [word for word in spelled if word in self.flags]

    def _checked(self, found: tuple[argparse.Namespace, list[str]]) -> argparse.Namespace:
        options, unknown = found
        if unknown:
            self.error(self._unknown(unknown[0]))
        return options

    def _check_value(self, action: argparse.Action, value: object) -> None:
        if action.choices is not None and value not in action.choices:
            allowed = listed([str(choice) for choice in action.choices])
            raise argparse.ArgumentError(action, f"must be {allowed}, got {value!r}")

    @property
    def flags(self) -> dict[str, argparse.Action]:
        """The options by their names: `--top-k`, `-n`."""
        return {flag: action for action in self._actions for flag in action.option_strings}

    @property
    def positionals(self) -> list[argparse.Action]:
        """The arguments without a name, in their order."""
        return [action for action in self._actions if not action.option_strings]

    def _spelled(self, word: str) -> str:
        name, equals, value = word.partition("=")
        known = name.replace("_", "-")
        return f"{known}{equals}{value}" if known in self.flags else word

    def _unknown(self, word: str) -> str:
        if not word.startswith("-"):
            return f"{word!r} is one word too many"
        name = word.partition("=")[0]
        near = nearest(name, self.flags)
        return f"unknown option {name}" + (f"; did you mean {near!r}?" if near else "")

    def error(self, message: str) -> NoReturn:
        """Print what is wrong and where the allowed options are explained, and exit."""
        for theirs, ours in WORDS:
            message, replaced = re.subn(theirs, ours, message)
            if replaced:
                break
        see = " See" if message.endswith("?") else "; see"
        self.exit(2, f"{self.prog}: {message}{see} {self.prog} --help\n")


def number(text: str) -> float:
    """Type of an argument that is a number."""
    try:
        return float(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"must be a number, got {text!r}") from error


def expanded_path(text: str) -> str:
    """Type of an argument that is a path, in which `~` is the home folder, or a hub id."""
    try:
        return expand(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def height_and_width(text: str) -> tuple[int, int]:
    """Type of an argument that is a size in pixels: HEIGHTxWIDTH, or one number for a square."""
    if not re.fullmatch(r"\d+(x\d+)?", text):
        raise argparse.ArgumentTypeError(f"must be like 256 or 360x480, got {text!r}")
    numbers = [positive(part) for part in text.split("x")]
    return numbers[0], numbers[-1]
