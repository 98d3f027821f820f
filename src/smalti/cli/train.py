"""`smalti train vqgan`, `smalti train pixels` and `smalti train prior`."""

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
`smalti train STAGE --help` lists all options of a stage; `smalti resume RUN` goes on with a run."""

DRY_RUN = "--dry-run"


def run(arguments: Sequence[str]) -> None:
    """Train a stage."""
    if not arguments or arguments[0] in ("-h", "--help"):
        print(USAGE)
        sys.exit(0 if arguments else 2)
    stage, *options = arguments
    for word in options:
        _check_text(word)

    from smalti.cli.train_config import read_config
    from smalti.registry import unknown_name

    if stage not in roots():
        raise unknown_name("stage", stage, roots())
    options = without_short(stage, options)
    config = read_config(roots()[stage], [option for option in options if option != DRY_RUN])
    if DRY_RUN in options:
        from smalti.cli.dry_run import describe_dry_run

        describe_dry_run(config)
    else:
        train(config)


def _check_text(word: str) -> None:
    """Refuse bytes that are no text: a run's config, which keeps the options, cannot say them.

    Raises:
        InputError: naming what cannot be read.
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


def roots() -> "dict[str, type[BaseRunConfig]]":
    """The config of each stage."""
    from smalti.runs.config import PixelsRunConfig, PriorRunConfig, VQGANRunConfig

    return {"vqgan": VQGANRunConfig, "pixels": PixelsRunConfig, "prior": PriorRunConfig}


def without_short(stage: str, options: Sequence[str]) -> list[str]:
    """Options of a stage, short ones written out."""
    short = {"--auto-remedy": "--training.auto_remedy=true"} if stage == "vqgan" else {}
    return [short.get(option, option) for option in options]


def train(config: "BaseRunConfig") -> None:
    """Train, and say what comes next."""
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
        _say_how_to_go_on(config)
    elif isinstance(config, PriorRunConfig):
        folder = train_prior(config)
        print(f"done: {folder}")
        files = "".join(
            f" --condition {kind}=FILE"
            for kind in (spec.partition("=")[0] for spec in config.condition)
            if not CONDITIONS[kind].has_default
        )
        print(f"next: smalti sample {folder} -n 16{files} --out samples")
        _say_how_to_go_on(config)
    elif isinstance(config, PixelsRunConfig):
        folder = train_pixels(config)
        print(f"done: {folder}")
        print(f"next: smalti train prior --data PHOTOS --vqgan {folder}")


def _say_how_to_go_on(config: "RunConfig") -> None:
    """How a run is made longer, unless it ended early, which it has told itself."""
    from smalti.training.checkpoint import newest_step
    from smalti.training.log import resume_command

    done = newest_step(Path(config.out) / "checkpoints")
    if done >= config.training.total_steps:  # more, if the run was told of fewer than it has done
        print(f"longer: {resume_command(Path(config.out))} --training.total_steps {2 * done}")
