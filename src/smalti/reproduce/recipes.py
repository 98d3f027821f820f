"""How the tokenizers of the studies are trained, and the options that compared priors share.

A tokenizer is trained once, with seed 0, for all seeds and all studies: the studies compare what
is learned from the same codes.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from smalti.registry import unknown_name


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a tokenizer is trained."""

    stage: str
    """`vqgan`, or `pixels` for a palette."""
    data: str
    """Name of the data set."""
    words: str
    """Options of the command."""


# Small enough for one processor core: ten minutes each on a slow one.
_TINY = "--training.eval-steps 200 --training.save-steps 100 --training.picture-steps 400"
_TINY_CIFAR10 = f"--preset vqgan-cifar10 {_TINY} --training.total-steps 800"
_TINY_PHOTOS = (  # a few of the photographs are smaller than the largest crops
    f"--preset vqgan-photos-tiny {_TINY} --held-out 0.2 --image.resize-px 128 --image.small skip"
)
_TINY_MAPS = f"--preset labels-tiny {_TINY} --training.total-steps 1000"
_SMALL = "--training.total-steps 30000"
_SMALL_PHOTOS = f"--preset vqgan-photos-small {_SMALL} --image.resize-px 256"
_SMALL_PALETTE = "--image.size 16 --codebook-size 512 --pixels 1000000"

TOKENIZERS: Mapping[str, Mapping[str, Recipe]] = {
    "tiny": {
        "cifar10-f1": Recipe(
            "pixels", "cifar10", "--image.size 32 --codebook-size 512 --pixels 100000"
        ),
        "cifar10-f2": Recipe(
            "vqgan", "cifar10", f"{_TINY_CIFAR10} --vqgan.channel-multipliers [1,2]"
        ),
        "cifar10-f4": Recipe("vqgan", "cifar10", _TINY_CIFAR10),
        "photos-f1": Recipe(
            "pixels",
            "photos",
            "--image.size 64 --image.resize-px 128 --image.small skip --held-out 0.2 "
            "--codebook-size 512 --pixels 100000",
        ),
        "photos-f2": Recipe(
            "vqgan",
            "photos",
            f"{_TINY_PHOTOS} --image.size 32 --vqgan.channel-multipliers [1,2] "
            "--training.total-steps 1000",
        ),
        "photos-f4": Recipe(
            "vqgan",
            "photos",
            f"{_TINY_PHOTOS} --image.size 64 --vqgan.channel-multipliers [1,1,2] "
            "--training.total-steps 600",
        ),
        "photos-f8": Recipe(
            "vqgan", "photos", f"{_TINY_PHOTOS} --image.size 64 --training.total-steps 1000"
        ),
        "photos-f16": Recipe(
            "vqgan",
            "photos",
            f"{_TINY_PHOTOS} --image.size 128 --vqgan.channel-multipliers [1,1,2,2,4] "
            "--training.batch-size 8 --training.total-steps 500",
        ),
        "photos-f32": Recipe(
            "vqgan",
            "photos",
            f"{_TINY_PHOTOS} --image.size 128 --vqgan.channel-multipliers [1,1,2,2,4,4] "
            "--training.batch-size 8 --training.total-steps 500",
        ),
        "streets": Recipe(
            "vqgan",
            "streets",
            f"--preset vqgan-photos-tiny {_TINY} --held-out 0.1 --image.size 64 "
            "--image.resize-px 192 --training.total-steps 1000",
        ),
        "street-labels": Recipe(
            "vqgan",
            "streets",
            f"{_TINY_MAPS} --held-out 0.1 --image.size 64 --image.resize-px 192 "
            "--vqgan.content.classes 12",
        ),
        "depth": Recipe(
            "vqgan",
            "depth",
            f"--preset depth-tiny {_TINY} --held-out 0.2 --image.size 64 --image.resize-px 96 "
            "--training.total-steps 1000",
        ),
    },
    "small": {
        "cifar10-f1": Recipe("pixels", "cifar10", "--image.size 32 --codebook-size 512"),
        "cifar10-f2": Recipe(
            "vqgan",
            "cifar10",
            f"--preset vqgan-photos-small {_SMALL} --image.size 32 "
            "--vqgan.channel-multipliers [1,2] --vqgan.codebook-size 1024 "
            "--training.batch-size 64",
        ),
        "photos-f1": Recipe("pixels", "photos", f"{_SMALL_PALETTE} --image.resize-px 256"),
        "photos-f2": Recipe(
            "vqgan",
            "photos",
            f"{_SMALL_PHOTOS} --image.size 64 --vqgan.channel-multipliers [1,1]",
        ),
        "photos-f4": Recipe(
            "vqgan",
            "photos",
            f"{_SMALL_PHOTOS} --image.size 128 --vqgan.channel-multipliers [1,1,2]",
        ),
        "photos-f8": Recipe(
            "vqgan",
            "photos",
            f"{_SMALL_PHOTOS} --image.size 256 --vqgan.channel-multipliers [1,1,2,2]",
        ),
        "photos-f16": Recipe("vqgan", "photos", f"{_SMALL_PHOTOS} --image.size 256"),
        "photos-f32": Recipe(
            "vqgan",
            "photos",
            f"{_SMALL_PHOTOS} --image.size 256 --vqgan.channel-multipliers [1,1,2,2,4,4]",
        ),
        "streets": Recipe("vqgan", "streets", _SMALL_PHOTOS),
        "street-labels": Recipe(
            "vqgan",
            "streets",
            f"--preset labels-small {_SMALL} --image.resize-px 256 --vqgan.content.classes 151",
        ),
        "depth": Recipe("vqgan", "depth", f"--preset depth-small {_SMALL} --image.resize-px 256"),
    },
    "paper": {
        "cifar10-f1": Recipe("pixels", "cifar10", "--image.size 32 --codebook-size 512"),
        "cifar10-f2": Recipe("vqgan", "cifar10", "--preset vqgan-cifar10-f2"),
        "photos-f16": Recipe("vqgan", "photos", "--preset vqgan-imagenet-f16"),
        "animals": Recipe("vqgan", "animals", "--preset vqgan-rin"),
        "churches": Recipe("vqgan", "churches", "--preset vqgan-lsun-ct"),
        "faces-f1": Recipe("pixels", "faces", "--preset pixels-faceshq"),
        "faces-f2": Recipe("vqgan", "faces", "--preset vqgan-faceshq-f2"),
        "faces-f4": Recipe("vqgan", "faces", "--preset vqgan-faceshq-f4"),
        "faces-f8": Recipe("vqgan", "faces", "--preset vqgan-faceshq-f8"),
        "faces-f16": Recipe("vqgan", "faces", "--preset vqgan-faceshq-f16"),
        "faces-f32": Recipe(
            "vqgan",
            "faces",
            "--preset vqgan-faceshq-f16 --vqgan.channel-multipliers [1,1,2,2,4,4]",
        ),
        "landscapes": Recipe("vqgan", "landscapes", "--preset vqgan-s-flckr-f16"),
        "landscape-labels": Recipe("vqgan", "landscapes", "--preset labels-s-flckr-f16"),
        "depth": Recipe("vqgan", "depth", "--preset depth-rin"),
    },
}
"""The tokenizers by scale and name. The paper has no preset of f = 32 for faces: it is the one of
f = 16 with a level more."""

# A constant learning rate, so that runs can be compared at any step of theirs.
TINY_PRIOR = (
    "--preset prior-unconditional-tiny --prior.kind gpt2 --training.batch-size 32 "
    "--training.eval-steps 50 --training.save-steps 50 --training.eval-images 300 "
    "--training.picture-steps 100000 --training.early-stop null --optimizer.final-factor 1 "
    "--token-keep 1"
)
"""Options of priors at the scale `tiny`."""
TINY_SHAPE = "--prior.layers 4 --prior.heads 4 --prior.width 128"
"""Shape of the transformer at the scale `tiny`; the other scales have their presets'."""
SMALL_PRIOR = (
    "--preset prior-unconditional-small --prior.kind gpt2 --training.eval-steps 500 "
    "--training.save-steps 500 --training.picture-steps 1000000 --training.early-stop null "
    "--optimizer.final-factor 1 --token-keep 1"
)
"""Options of priors at the scale `small`."""
PAPER_PRIOR = "--training.early-stop null --optimizer.final-factor 1 --token-keep 1"
"""Options beside a preset of Table 3, so that all runs have an equal budget."""


def tokenizer_recipe(scale: str, name: str) -> Recipe:
    """Find the recipe of a tokenizer.

    Raises:
        InputError: the scale has no tokenizer of that name.
    """
    if name not in TOKENIZERS[scale]:
        raise unknown_name(f"tokenizer of the scale {scale}", name, TOKENIZERS[scale])
    return TOKENIZERS[scale][name]
