"""Summary of a data set for `smalti inspect`, and checks of the sizes of its images."""

import logging
import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tqdm import tqdm

from smalti.config import InputError
from smalti.data.dataset import ImageDataset
from smalti.data.decode import BrokenImageError, ImageHeader, decode_image
from smalti.data.order import numbers_to_check
from smalti.data.transforms import resized_size
from smalti.words import counted

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Spread:
    """Smallest, median and largest of some lengths in pixels."""

    min_px: int
    median_px: int
    max_px: int


@dataclass(frozen=True, slots=True)
class DataSummary:
    """Counts over the whole data set, and sizes over the images that were checked."""

    images: int
    """Number of images in the data set, broken ones included."""
    left_out: Mapping[str, int]
    """Number of files beside the images that are not read, by their ending."""
    headers_read: int
    """Number of images that were checked: `width`, `height`, `modes` and `broken` are of them."""
    width: Spread | None
    """Widths; None, as the heights, if no header could be read."""
    height: Spread | None
    shorter_side: Spread | None
    """Lengths of the shorter side, to compare the crop's size with."""
    small: Mapping[str, str]
    """Size in words of the images that are smaller than the crop, by key."""
    modes: Mapping[str, int]
    """Number of images by Pillow's name of the colour layout, the most common first."""
    class_counts: Mapping[str, int] | None
    """Number of images by class name, in order of the class numbers; None without classes."""
    broken: Mapping[str, str]
    """For each broken image, which training would skip too, by key, what is wrong with it."""


def summarize(dataset: ImageDataset) -> DataSummary:
    """Count the images and classes of a data set, and decode up to `MOST_IMAGES_CHECKED` images."""
    read = numbers_to_check(len(dataset))
    headers: list[ImageHeader] = []
    small: dict[str, str] = {}
    broken: dict[str, str] = {}
    crop = dataset.transform
    for index in tqdm(read, unit="image", desc="looking", leave=False, disable=None):
        try:
            raw = dataset.raw(index)
            decode_image(raw.content, raw.key)
            header = raw.header()
        except BrokenImageError as error:
            broken[error.key] = error.reason
            continue
        headers.append(header)
        if header.size.width < crop.width_px or header.size.height < crop.height_px:
            small[raw.key] = f"{header.size.height}x{header.size.width} pixels"
    return DataSummary(
        images=len(dataset),
        left_out=dataset.left_out,
        headers_read=len(read),
        width=_spread([header.size.width for header in headers]),
        height=_spread([header.size.height for header in headers]),
        shorter_side=_spread([min(header.size) for header in headers]),
        small=small,
        modes=dict(Counter(header.mode for header in headers).most_common()),
        class_counts=_class_counts(dataset),
        broken=broken,
    )


def check_sizes(dataset: ImageDataset) -> None:
    """Find images that are smaller than the crop, before training meets them.

    Of more than `MOST_IMAGES_CHECKED` images, that many at even distances are checked. If small
    images are skipped, the log tells how many there are.

    Raises:
        InputError: an image is smaller and `small` is error, or all are smaller and not enlarged.
    """
    transform = dataset.transform
    if transform.small == "enlarge":
        return
    read = numbers_to_check(len(dataset))
    small = sum(_is_small(dataset, index) for index in read)
    crop = f"the crop of {transform.height_px}x{transform.width_px}"
    if small == len(read):
        raise InputError(
            f"of {counted(small, 'image')} looked at, none is as large as {crop}; choose a smaller "
            "size, or enlarge them (image.small, --small)"
        )
    if small:
        logger.warning(
            "%d of %d images that were looked at are smaller than %s; such images are skipped "
            "(image.small)",
            small,
            len(read),
            crop,
        )


def _is_small(dataset: ImageDataset, index: int) -> bool:
    """Whether an image is smaller than the crop, if `small` allows that."""
    try:
        raw = dataset.raw(index)
        size = raw.header().size
    except BrokenImageError:
        return False  # named and skipped when it is read
    try:
        resized_size(size, dataset.transform, raw.key)
    except BrokenImageError:
        return True
    return False


def _spread(lengths: Sequence[int]) -> Spread | None:
    if not lengths:
        return None
    return Spread(min(lengths), statistics.median_low(lengths), max(lengths))


def _class_counts(dataset: ImageDataset) -> Mapping[str, int] | None:
    if dataset.class_names is None:
        return None
    counts = Counter(dataset.label(index) for index in range(len(dataset)))
    return {name: counts[number] for number, name in enumerate(dataset.class_names)}
