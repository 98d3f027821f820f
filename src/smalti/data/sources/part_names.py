"""Usual names of the folders and columns of photographs and of their maps."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence

IMAGES = "images"
SEGMENTATIONS = "segmentations"
DEPTHS = "depths"
KEYPOINTS = "keypoints"
OTHER_MAPS = "other maps"
"""Pictures that are neither photographs nor of a kind that is read."""

COLUMNS = {
    IMAGES: ("image", "img"),
    SEGMENTATIONS: ("segmentation",),
    DEPTHS: ("depth",),
    KEYPOINTS: ("keypoints",),
}
"""Names of each part's column in a table; maps also go by `USUAL_NAMES`."""

# In small letters and digits alone: `Label Maps` and `label_maps` are `labelmaps`.
USUAL_NAMES = {
    IMAGES: (
        *("images", "image", "imgs", "img", "jpegimages", "rgb", "leftimg8bit"),
        *("photos", "photographs", "pictures"),
    ),
    SEGMENTATIONS: (
        *("segmentations", "segmentation", "segs", "seg", "segmentationmaps", "segmentationmasks"),
        *("masks", "mask", "labels", "label", "labelmaps", "labelmap", "annotations", "annotation"),
        *("segmentationclass", "segmentationclassaug", "segmentationclassraw"),
        *("semanticsegmentation", "semantic", "semantics", "groundtruth", "gt", "gtfine"),
        *("gtcoarse", "stuffthingmaps", "pixelmaps"),
    ),
    DEPTHS: ("depths", "depth", "depthmaps", "depthmap"),
    KEYPOINTS: ("keypoints", "keypoint", "poses", "pose"),
    OTHER_MAPS: (
        *("segmentationobject", "instances", "instance", "instancemasks", "edges", "edgemaps"),
        *("normals", "normalmaps", "disparities", "disparity", "trimaps", "trimap", "contours"),
    ),
}
MAP_PARTS = (SEGMENTATIONS, DEPTHS, OTHER_MAPS)

_PART_OF_NAME = {name: part for part, names in USUAL_NAMES.items() for name in names}
# Of names made of several words, as train_labels.
_LAST_WORDS = ("annot", *(n for part in MAP_PARTS for n in USUAL_NAMES[part] if n.endswith("s")))


def usual_part(name: str) -> str | None:
    """What a folder or column of this name usually holds, or None if the name tells nothing."""
    return _PART_OF_NAME.get(_plain(name))


def looks_like_maps(folder: str) -> bool:
    """Whether a folder of this name usually holds maps: `masks`, `train_labels`."""
    return usual_part(folder) in MAP_PARTS or _plain(folder).endswith(_LAST_WORDS)


def columns_of(part: str, names: Iterable[str]) -> Sequence[str]:
    """The columns of a table that may be a part's, by their names, the likeliest first."""
    listed = list(names)
    exact = [name for name in COLUMNS[part] if name in listed]
    if part not in MAP_PARTS:
        return exact
    return exact + [name for name in listed if name not in exact and usual_part(name) == part]


def parts_of(find_column: Callable[[str], str | None]) -> Mapping[str, frozenset[str]]:
    """The parts that a table has a column of; empty if there is only one."""
    parts = {part: frozenset[str]() for part in COLUMNS if find_column(part) is not None}
    return parts if len(parts) > 1 else {}


def _plain(name: str) -> str:
    return re.sub(r"[\W_]", "", name.lower())
