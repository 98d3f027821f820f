"""`smalti train vqgan`, `smalti train pixels` and `smalti train prior`."""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from smalti.runs import BaseRunConfig

USAGE = """usage: smalti train STAGE --data PHOTOS [options]

stages:
  vqgan   stage 1: learns the codebook       smalti train vqgan --data photos/
  pixels  instead of it: a palette, f = 1    smalti train pixels --data photos/
  prior   stage 2: learns the compositions   smalti train prior --data photos/ --vqgan runs/vqgan

With --dry-run nothing is trained: parameters, sequence length, memory and time a step are shown.
`smalti train STAGE --help` lists all options of a stage."""

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
    from smalti.runs import BaseRunConfig, PixelsRunConfig, PriorRunConfig, VQGANRunConfig

    roots: dict[str, type[BaseRunConfig]] = {
        "vqgan": VQGANRunConfig,
        "pixels": PixelsRunConfig,
        "prior": PriorRunConfig,
    }
    if stage not in roots:
        raise unknown_name("stage", stage, roots)
    if stage == "vqgan":
        short = {"--auto-remedy": "--training.auto_remedy=true"}
        options = [short.get(option, option) for option in options]
    config = read_config(roots[stage], [option for option in options if option != DRY_RUN])
    if DRY_RUN in options:
        from smalti.cli.dry_run import describe_dry_run

        describe_dry_run(config)
    else:
        _train(config)


def _check_text(word: str) -> None:
    """Refuse bytes that are no text: a run's config, which keeps the options, cannot say them.

    Raises:
        InputError: naming what cannot be read.
    """
    from smalti.types import InputError

    try:
        word.encode()
    except UnicodeEncodeError as error:
        shown = word.encode("utf-8", "backslashreplace").decode()
        raise InputError(
            f"{shown} is not UTF-8, so that no config can name it; rename the file or folder, or "
            "set the locale to UTF-8, as by LC_ALL=C.UTF-8"
        ) from error


def _train(config: "BaseRunConfig") -> None:
    """Train, and say what comes next."""
    from smalti.runs import PixelsRunConfig, PriorRunConfig, VQGANRunConfig
    from smalti.stages import train_prior, train_vqgan
    from smalti.stages.pixels import train_pixels
    from smalti.training.prior_stage import MADE_UP

    if isinstance(config, VQGANRunConfig):
        folder = train_vqgan(config)
        print(f"done: {folder}")
        print(f"next: smalti reconstruct {folder} PHOTO --out reconstruction.png")
        print(f"      smalti train prior --data PHOTOS --vqgan {folder}")
    elif isinstance(config, PriorRunConfig):
        folder = train_prior(config)
        print(f"done: {folder}")
        files = "".join(
            f" --condition {kind}=FILE"
            for kind in (spec.partition("=")[0] for spec in config.condition)
            if kind not in MADE_UP
        )
        print(f"next: smalti sample {folder} -n 16{files} --out samples")
    elif isinstance(config, PixelsRunConfig):
        folder = train_pixels(config)
        print(f"done: {folder}")
        print(f"next: smalti train prior --data PHOTOS --vqgan {folder}")
