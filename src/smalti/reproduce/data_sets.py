"""The data sets of the studies: their files at each scale, and where they come from."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from smalti.config import InputError


@dataclass(frozen=True, slots=True)
class DataSet:
    """A data set that a study reads."""

    file: str
    """Name of its file or folder, in a folder of `--data`."""
    source: str
    """How a user gets it, for messages."""
    maps: str = "images"
    """What it has beside the photographs: nothing else (`images`), `segmentations` or `depths`."""
    side_px: int = 288
    """Side of the random pictures that stand for it while it is missing."""


CIFAR10 = "https://huggingface.co/datasets/uoft-cs/cifar10, the file plain_text/{}-00000-of-00001"
CIFAR10_TRAIN = DataSet("cifar10-train.parquet", CIFAR10.format("train"), side_px=32)
CIFAR10_TEST = DataSet("cifar10-test.parquet", CIFAR10.format("test"), side_px=32)
IMAGENET = DataSet("imagenet", "ILSVRC2012 of https://image-net.org, its training images")
DEPTH_MAPS = "images/ beside depths/, 16-bit PNG made by a depth network such as MiDaS"

DATA_SETS: Mapping[str, Mapping[str, DataSet]] = {
    "tiny": {
        "cifar10": CIFAR10_TRAIN,
        "cifar10-test": CIFAR10_TEST,
        "photos": DataSet(
            "imagenet500.tar", "some hundred photographs as a WebDataset tar", side_px=256
        ),
        "streets": DataSet(
            "camvid-train.tar",
            "CamVid with 12 classes, a tar of images/ and segmentations/",
            "segmentations",
        ),
        "streets-test": DataSet(
            "camvid-val.tar",
            "CamVid with 12 classes, a tar of images/ and segmentations/",
            "segmentations",
        ),
        "depth": DataSet(
            "drin",
            "the depth examples of https://github.com/CompVis/taming-transformers, images/ beside "
            "depths/; out of task-examples.tar by: tar -xf task-examples.tar drin",
            "depths",
        ),
    },
    "small": {
        "cifar10": CIFAR10_TRAIN,
        "cifar10-test": CIFAR10_TEST,
        "photos": IMAGENET,
        "streets": DataSet(
            "ade20k",
            "http://sceneparsing.csail.mit.edu, its training images/ and segmentations/",
            "segmentations",
        ),
        "streets-test": DataSet(
            "ade20k-val",
            "http://sceneparsing.csail.mit.edu, its validation images/ and segmentations/",
            "segmentations",
        ),
        "depth": DataSet("diode", f"https://diode-dataset.org, as {DEPTH_MAPS}", "depths"),
    },
    "paper": {
        "cifar10": CIFAR10_TRAIN,
        "cifar10-test": CIFAR10_TEST,
        "photos": IMAGENET,
        "animals": DataSet("rin", "the animals of ImageNet that make Restricted ImageNet"),
        "churches": DataSet("lsun-ct", "churches and towers of https://www.yf.io/p/lsun"),
        "faces": DataSet("faceshq", "CelebA-HQ and FFHQ, in one folder"),
        "landscapes": DataSet(
            "s-flckr",
            "landscapes of Flickr with label maps; the authors did not publish them",
            "segmentations",
        ),
        "landscapes-test": DataSet(
            "s-flckr-test",
            "landscapes of Flickr with label maps; the authors published examples of them",
            "segmentations",
        ),
        "depth": DataSet("d-rin", f"Restricted ImageNet, as {DEPTH_MAPS}", "depths"),
    },
}
"""The data sets by scale and by the name that the studies give them."""


def find_data(scale: str, name: str, folders: Sequence[str]) -> str:
    """Find a data set in the folders that a user names.

    Args:
        scale: the scale of the study.
        name: name of the data set in `DATA_SETS`.
        folders: folders to look in, in turn.

    Raises:
        InputError: none of the folders has it.
    """
    wanted = DATA_SETS[scale][name]
    for folder in folders:
        if (Path(folder) / wanted.file).exists():
            return str(Path(folder) / wanted.file)
    raise InputError(
        f"the data set {name!r} is missing: {wanted.file} is not in {', '.join(folders)} (--data); "
        f"it is {wanted.source}"
    )
