"""`smalti train vqgan`, `smalti train pixels` and `smalti train prior`."""

import sys
from collections.abc import Sequence

USAGE = """usage: smalti train STAGE --data PHOTOS [options]

stages:
  vqgan   stage 1: learns the codebook       smalti train vqgan --data photos/
  pixels  instead of it: a palette, f = 1    smalti train pixels --data photos/
  prior   stage 2: learns the compositions   smalti train prior --data photos/ --vqgan runs/vqgan

`smalti train STAGE --help` lists all options of a stage."""


def run(arguments: Sequence[str]) -> None:
    """Train a stage."""
    if not arguments or arguments[0] in ("-h", "--help"):
        print(USAGE)
        sys.exit(0 if arguments else 2)
    stage, *options = arguments

    from smalti.cli.train_config import read_config
    from smalti.registry import unknown_name
    from smalti.runs import PixelsRunConfig, PriorRunConfig, VQGANRunConfig
    from smalti.stages import train_prior, train_vqgan
    from smalti.stages.pixels import train_pixels

    if stage == "vqgan":
        short = {"--auto-remedy": "--training.auto_remedy=true"}
        options = [short.get(option, option) for option in options]
        folder = train_vqgan(read_config(VQGANRunConfig, options))
        print(f"done: {folder}")
        print(f"next: smalti reconstruct {folder} PHOTO --out reconstruction.png")
        print(f"      smalti train prior --data PHOTOS --vqgan {folder}")
    elif stage == "prior":
        folder = train_prior(read_config(PriorRunConfig, options))
        print(f"done: {folder}")
        print(f"next: smalti sample {folder} -n 16 --out samples")
    elif stage == "pixels":
        folder = train_pixels(read_config(PixelsRunConfig, options))
        print(f"done: {folder}")
        print(f"next: smalti train prior --data PHOTOS --vqgan {folder}")
    else:
        raise unknown_name("stage", stage, ("vqgan", "pixels", "prior"))
