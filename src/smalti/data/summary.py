"""What is in a data set, at a glance: for `smalti inspect`."""

import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tqdm import tqdm

from smalti.data.dataset import ImageDataset
from smalti.data.decode import BrokenImageError, ImageHeader, decode_image
from smalti.data.headers import header_of, looked_at
from smalti.types import InputError


@dataclass(frozen=True, slots=True)
class Spread:
    """Smallest, middle and largest of some lengths in pixels."""

    min_px: int
    median_px: int
    max_px: int


@dataclass(frozen=True, slots=True)
class DataSummary:
    """Counts over the whole data set, sizes over the images that were looked at."""

    images: int
    """Images in the data set, broken ones included."""
    headers_read: int
    """Images that `width`, `height`, `modes` and `broken` tell of."""
    width: Spread | None
    """None where no header could be read."""
    height: Spread | None
    shorter_side: Spread | None
    """What the crop's size is to be compared with."""
    modes: Mapping[str, int]
    """Images by Pillow's name of the colour layout, the most common first."""
    class_counts: Mapping[str, int] | None
    """Images by class name, in order of the class numbers; None without classes."""
    broken: Mapping[str, str]
    """Reason by key, of those that training would skip too."""


def summarize(dataset: ImageDataset) -> DataSummary:
    """Count the images and classes of a data set, and decode up to `MAX_HEADERS`."""
    read = looked_at(len(dataset))
    headers: list[ImageHeader] = []
    broken: dict[str, str] = {}
    for index in tqdm(read, unit="image", desc="looking", leave=False, disable=None):
        try:
            raw = dataset.raw(index)
            decode_image(raw.content, raw.key)
            headers.append(header_of(raw))
        except BrokenImageError as error:
            broken[error.key] = error.reason
    return DataSummary(
        images=len(dataset),
        headers_read=len(read),
        width=_spread([header.width_px for header in headers]),
        height=_spread([header.height_px for header in headers]),
        shorter_side=_spread([min(header.width_px, header.height_px) for header in headers]),
        modes=dict(Counter(header.mode for header in headers).most_common()),
        class_counts=_class_counts(dataset),
        broken=broken,
    )


def check_sizes(dataset: ImageDataset) -> None:
    """Find images that are smaller than the crop, before training meets them.

    Of more than `MAX_HEADERS` images, as many at even distances are looked at.

    Raises:
        InputError: one is too small and may not be enlarged.
    """
    transform = dataset.transform
    for index in () if transform.upscale else looked_at(len(dataset)):
        try:
            header = header_of(dataset.raw(index))
        except BrokenImageError:
            continue  # named and skipped when it is read
        if header.width_px < transform.width_px or header.height_px < transform.height_px:
            raise InputError(
                f"{dataset.raw(index).key} is {header.width_px}x{header.height_px} pixels, smaller "
                f"than the crop of {transform.width_px}x{transform.height_px}; choose a smaller "
                "size, or set upscale"
            )


def _spread(lengths: Sequence[int]) -> Spread | None:
    if not lengths:
        return None
    return Spread(min(lengths), statistics.median_low(lengths), max(lengths))


def _class_counts(dataset: ImageDataset) -> Mapping[str, int] | None:
    if dataset.class_names is None:
        return None
    counts = Counter(dataset.label(index) for index in range(len(dataset)))
    return {name: counts[number] for number, name in enumerate(dataset.class_names)}
