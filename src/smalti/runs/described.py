"""Images as an extractor describes them, for figures of samples and of other people's pictures.

Axes: N images, C features of an image, H/W image size in pixels.
"""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from smalti.config import InputError
from smalti.content import RGBContent
from smalti.data.config import TransformConfig
from smalti.data.dataset import ImageDataset
from smalti.data.decode import BrokenImageError
from smalti.data.sources import open_source
from smalti.data.summary import check_sizes
from smalti.evaluation.extractors import Extractor
from smalti.evaluation.kept_rows import KeptRows, fill
from smalti.evaluation.protocol import ImageRecord
from smalti.evaluation.reference import Reference, read_reference, reference_of
from smalti.types import Sample
from smalti.words import all_are

REFERENCE_FILES = (".safetensors", ".npz")


def open_photographs(specs: Sequence[str], transform: TransformConfig) -> ImageDataset:
    """A data set of photographs, after a look at their sizes.

    Raises:
        InputError: a source does not exist or is empty, or an image is smaller than the crop.
    """
    content = RGBContent()
    sources = [open_source(spec, False, content.part) for spec in dict.fromkeys(specs)]
    dataset = ImageDataset(sources, transform, 0, content=content)
    check_sizes(dataset)
    return dataset


def common_size(dataset: ImageDataset, advice: str) -> tuple[int, int]:
    """Height and width in pixels that all pictures of a data set have.

    Args:
        dataset: what to look at.
        advice: what to do where they differ.

    Raises:
        InputError: one differs, with its name and both sizes; or all are broken.
    """
    first = ""
    size: tuple[int, int] | None = None
    for number in range(len(dataset)):
        try:
            raw = dataset.raw(number)
            found = raw.header().size
        except BrokenImageError:
            continue  # named and left out when it is read
        if size is None:
            first, size = raw.key, (found.height, found.width)
        elif (found.height, found.width) != size:
            raise InputError(
                f"{raw.key} has {found.height}x{found.width} pixels, but {first} has "
                f"{size[0]}x{size[1]}; {advice}"
            )
    if size is None:
        raise InputError(f"{all_are(len(dataset), 'image')} broken")
    return size


def image_record(dataset: ImageDataset, source: str, count: int) -> ImageRecord:
    """How the images of a data set were read, for a protocol.

    Args:
        dataset: the images.
        source: as they were named.
        count: of those that could be read.
    """
    transform = dataset.transform
    resized = "at the stored scale"
    if transform.resize_px == "crop":
        resized = "after shrinking the picture until it just covers the crop"
    elif transform.resize_px != "keep":
        resized = f"after shrinking the shorter side to {transform.resize_px} pixels"
    return ImageRecord(
        source=source,
        count=count,
        height_px=transform.height_px,
        width_px=transform.width_px,
        crop=f"center, {resized}; small pictures: {transform.small}",
        kernel="bicubic (Pillow)",
        antialias=True,
        fingerprint=dataset.fingerprint(),
    )


def feature_rows(extractor: Extractor) -> dict[str, Tensor]:
    """Rows of features, empty."""
    return {"features": torch.empty(0, extractor.feature_count)}


def features_of(
    images: Sequence[Tensor | None], extractor: Extractor, batch_size: int
) -> dict[str, Tensor]:
    """Features (N, C) of images, NaN of those that are None.

    Args:
        images: (3, H, W) float32 in [-1, 1] each, at most `batch_size`.
        extractor: describes them.
        batch_size: to which a smaller batch is filled up, because the rounding of a network may
            depend on how many images it sees at a time.
    """
    features = torch.full((len(images), extractor.feature_count), torch.nan)
    good = [number for number, image in enumerate(images) if image is not None]
    stacked = [image for image in images if image is not None]
    if stacked:
        filled = stacked + stacked[-1:] * (batch_size - len(stacked))
        (found,) = extractor.of_batches([torch.stack(filled)])
        features[good] = found[: len(good)]
    return {"features": features}


def load_center(dataset: ImageDataset, number: int) -> Sample | None:
    """The center crop of an image; None where it is broken, which is counted."""
    loaded = dataset.load_center(number)
    dataset.report(loaded.broken)
    return loaded.sample


def describe(
    dataset: ImageDataset, extractor: Extractor, batch_size: int, name: str, folder: Path | None
) -> Tensor:
    """Features (N, C) of the center crops of a data set, NaN of broken images.

    Args:
        dataset: of photographs.
        extractor: describes them.
        batch_size: images at a time.
        name: of the rows, see `KeptRows`.
        folder: where they are kept, in a folder of this data set; None keeps them in memory only.

    Raises:
        InputError: an image is smaller than the crop, and that is an error.
    """
    together = min(batch_size, len(dataset))

    def compute(numbers: Sequence[int]) -> dict[str, Tensor]:
        samples = [load_center(dataset, number) for number in numbers]
        images = [None if sample is None else sample.image for sample in samples]
        return features_of(images, extractor, together)

    own_folder = folder and folder / dataset.fingerprint()[:8]
    rows = KeptRows(name, feature_rows(extractor), own_folder)
    return fill(rows, range(len(dataset)), together, compute)["features"]


def good_rows(features: Tensor) -> Tensor:
    """Numbers (M,) of the rows that are not of broken images.

    Raises:
        InputError: there is none.
    """
    good = features.isfinite().all(1).nonzero()[:, 0]
    if not len(good):
        raise InputError(f"{all_are(len(features), 'image')} broken or smaller than the crop")
    return good


def is_reference_file(spec: str) -> bool:
    """Whether a reference is named by a file of statistics or images, not a data set."""
    return Path(spec).suffix.lower() in REFERENCE_FILES


def find_reference(
    spec: str, transform: TransformConfig, extractor: Extractor, batch_size: int
) -> Reference:
    """The reference of a file, or of a data set.

    Args:
        spec: a `.safetensors` or `.npz` file, or a data set as for `--data`.
        transform: how the pictures of a data set become images.
        extractor: describes them.
        batch_size: images at a time.

    Raises:
        InputError: it is missing, damaged, of another extractor or of another size.
    """
    if is_reference_file(spec):
        size_px = (transform.height_px, transform.width_px)
        return read_reference(Path(spec), extractor, batch_size, size_px)
    dataset = open_photographs([spec], transform)
    features = describe(dataset, extractor, batch_size, "reference", None)
    features = features[good_rows(features)]
    return reference_of(features, image_record(dataset, spec, len(features)))
