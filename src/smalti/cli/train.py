"""`smalti train vqgan`, `smalti train pixels` and `smalti train prior`: trains a stage."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from smalti.runs.config import BaseRunConfig, RunConfig

USAGE = """usage: smalti train STAGE --data PHOTOS [options]

stages:
  vqgan   stage 1: learns the codebook       smalti train vqgan --data photos/
  pixels  instead of it: a palette, f = 1    smalti train pixels --data photos/
  prior   stage 2: learns the compositions   smalti train prior --data photos/ --vqgan runs/vqgan

With --dry-run nothing is trained: parameters, sequence length, memory and time a step are shown.
`smalti train STAGE --help` explains a stage's options; `smalti resume RUN` goes on with a run."""

DRY_RUN, PRINT_CONFIG, HELP = "--dry-run", "--print-config", "--help"


def run(arguments: Sequence[str]) -> None:
    """Train a stage, or show what would be trained."""
    if not arguments or arguments[0] in ("-h", HELP):
        print(USAGE)
        sys.exit(0 if arguments else 2)
    stage, *words = arguments
    for word in words:
        _check_text(word)

    from smalti.registry import unknown_name
    from smalti.runs.config import ROOTS

    if stage not in ROOTS:
        raise unknown_name("stage", stage, ROOTS)
    shown = [as_flag(word) for word in words]
    if HELP in shown:
        _show_help(ROOTS[stage], words[shown.index(HELP) + 1 :])
        return

    from smalti.cli.train_config import read_config

    flags = {DRY_RUN, PRINT_CONFIG} & set(shown)
    options = [word for word, flag in zip(words, shown, strict=True) if flag not in flags]
    if PRINT_CONFIG in flags:
        _print_config(ROOTS[stage], options)
    elif DRY_RUN in flags:
        from smalti.cli.dry_run import describe_dry_run

        describe_dry_run(read_config(ROOTS[stage], options))
    else:
        train(read_config(ROOTS[stage], options))


def as_flag(word: str) -> str:
    """A word of the command line in the spelling of flags; `-h` becomes `--help`."""
    return HELP if word == "-h" else word.replace("_", "-")


def _show_help(root: "type[BaseRunConfig]", following: Sequence[str]) -> None:
    from smalti.cli.train_help import page

    topic = following[0] if following and not following[0].startswith("-") else ""
    print(page(root, topic))


def _print_config(root: "type[BaseRunConfig]", options: Sequence[str]) -> None:
    """Print what would run as a config file; without data it has a place to fill in."""
    import yaml

    from smalti.cli.train_config import read_config
    from smalti.errors import InputError

    try:
        config = read_config(root, options)
    except InputError:
        config = read_config(root, options, {"data": ("PHOTOS",)})
    print(yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False), end="")


def _check_text(word: str) -> None:
    """Refuse bytes that are no text, since a run's config cannot store them.

    Raises:
        InputError: the word is no text.
    """
    from smalti.config import InputError

    try:
        word.encode()
    except UnicodeEncodeError as error:
        shown = word.encode("utf-8", "backslashreplace").decode()
        raise InputError(
            f"{shown} is not UTF-8, so that no config can name it; rename the file or folder, or "
            "set the locale to UTF-8, as by LC_ALL=C.UTF-8"
        ) from error


def train(config: "BaseRunConfig") -> None:
    """Train, and print what comes next."""
    from smalti.conditions import CONDITIONS
    from smalti.runs.config import PixelsRunConfig, PriorRunConfig, VQGANRunConfig
    from smalti.runs.pixels import train_pixels
    from smalti.runs.prior import train_prior
    from smalti.runs.vqgan import train_vqgan

    if isinstance(config, VQGANRunConfig):
        folder = train_vqgan(config)
        print(f"done: {folder}")
        print(f"next: smalti reconstruct {folder} PHOTO --out reconstruction.png")
        print(f"      smalti train prior --data PHOTOS --vqgan {folder}")
        say_how_to_go_on(config)
    elif isinstance(config, PriorRunConfig):
        folder = train_prior(config)
        print(f"done: {folder}")
        files = "".join(
            f" --condition {kind}=FILE"
            for kind in (spec.partition("=")[0] for spec in config.condition)
            if not CONDITIONS[kind].has_default
        )
        print(f"next: smalti sample {folder} -n 16{files} --out samples")
        say_how_to_go_on(config)
    elif isinstance(config, PixelsRunConfig):
        folder = train_pixels(config)
        print(f"done: {folder}")
        print(f"next: smalti train prior --data PHOTOS --vqgan {folder}")


def say_how_to_go_on(config: "RunConfig") -> None:
    """Print how to make a run longer, unless it stopped early and has printed that itself."""
    from smalti.training.checkpoint import newest_step
    from smalti.training.log import resume_command

    done = newest_step(Path(config.out) / "checkpoints")
    if done == config.training.total_steps:
        print(f"longer: {resume_command(Path(config.out))} --training.total-steps {2 * done}")
