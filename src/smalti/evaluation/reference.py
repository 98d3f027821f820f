"""References to compare images with: features of a set of images, or their mean and covariance.

They come from images, from a file that smalti wrote, or from files of other evaluators.

Axes: N images, C features of an image.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import torch
from torch import Tensor

from smalti.config import InputError
from smalti.evaluation.batch_file import IMAGES, BatchFile, npz_errors
from smalti.evaluation.extractors.base import Extractor
from smalti.evaluation.protocol import ExtractorRecord, ImageRecord, ReferenceRecord
from smalti.files import atomic_file, json_text, sha256
from smalti.metrics.moments import FeatureMoments, Gaussian
from smalti.model_folder import read_tensors, write_tensors
from smalti.plain_data import read_json

STORED = "smalti_reference"
"""Key of the description in the metadata of a file of smalti."""


@dataclass(frozen=True, slots=True)
class Reference:
    """A set of images, described by an extractor."""

    gaussian: Gaussian
    features: Tensor | None
    """Features (N, C) float32, for the kernel distance, precision and recall; None if they are not
    stored. In files of other programs they may be of fewer images than the mean and covariance."""
    record: ReferenceRecord
    """Source of the reference, for the protocol."""


def reference_of(features: Tensor, images: ImageRecord) -> Reference:
    """Make the reference of a set of images.

    Args:
        features: (N, C) float32 of the images.
        images: source of the images, and how they were read.

    Raises:
        InputError: there are fewer than two images.
    """
    gaussian = FeatureMoments(features.shape[1]).add(features).gaussian()
    record = ReferenceRecord(source=images.source, fingerprint=images.fingerprint, images=images)
    return Reference(gaussian, features, record)


def write_reference(path: Path, reference: Reference, extractor: ExtractorRecord) -> None:
    """Write a reference into a `.safetensors` file, for `read_reference`.

    Args:
        path: path of the file; an older file is replaced.
        reference: the reference to write.
        extractor: extractor of its features.

    Raises:
        InputError: the name has another suffix, or the file cannot be written.
    """
    if path.suffix != ".safetensors":
        raise InputError(f"a reference is written to a .safetensors file, not to {path}")
    tensors = dict(reference.gaussian._asdict())
    if reference.features is not None:
        tensors["features"] = reference.features
    images = reference.record.images
    description = {
        "extractor": extractor.model_dump(mode="json"),
        "images": images and images.model_dump(mode="json"),
    }
    contiguous = {name: tensor.contiguous() for name, tensor in tensors.items()}
    with atomic_file(path) as temporary:
        write_tensors(temporary, contiguous, {STORED: json_text(description)})


def read_reference(
    path: Path, extractor: Extractor, batch_size: int, size_px: tuple[int, int]
) -> Reference:
    """Read the reference in a file, for an extractor.

    Args:
        path: a `.safetensors` file of `write_reference`; or an `.npz` file with `mu` and `sigma`,
            as pytorch-fid and TTUR write it, with images, as the evaluator of ADM reads them, or
            with both.
        extractor: describes the images of a file. Files of other programs do not tell their
            network: only the number of features is checked.
        batch_size: images at a time.
        size_px: height and width of the images to be judged.

    Raises:
        InputError: the file is missing, damaged or of another form; or its numbers are of another
            extractor, or of images that are known to have another size.
    """
    if path.suffix == ".safetensors":
        return _read_safetensors(path, extractor, size_px)
    if path.suffix == ".npz":
        return _read_npz(path, extractor, batch_size, size_px)
    raise InputError(f"{path} is no reference: allowed are .safetensors and .npz files")


def _read_safetensors(path: Path, extractor: Extractor, size_px: tuple[int, int]) -> Reference:
    tensors = read_tensors(path)
    with safetensors.safe_open(path, "pt") as file:
        text = (file.metadata() or {}).get(STORED)
    if text is None:
        raise InputError(f"{path} is no reference that smalti wrote")
    try:
        description = read_json(text, str(path))
        stored = ExtractorRecord.model_validate(description["extractor"])
        images = description["images"] and ImageRecord.model_validate(description["images"])
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path} is no reference of this version of smalti") from error
    _check_extractor(path, stored, extractor.record)
    if images is not None:
        _check_size(path, images, size_px)
    gaussian = _gaussian(path, tensors.get("mean"), tensors.get("covariance"), extractor)
    record = ReferenceRecord(source=str(path), fingerprint=sha256(path), images=images)
    return Reference(gaussian, tensors.get("features"), record)


def _check_extractor(path: Path, stored: ExtractorRecord, wanted: ExtractorRecord) -> None:
    for (field, its), (_, ours) in zip(stored, wanted, strict=True):
        if its != ours:
            raise InputError(
                f"the reference {path} is of another extractor: its {field} is {its!r}, not "
                f"{ours!r}; write it anew with --write-reference"
            )


def _check_size(path: Path, images: ImageRecord, size_px: tuple[int, int]) -> None:
    if (images.height_px, images.width_px) != size_px:
        raise InputError(
            f"the reference {path} is of images of {images.height_px}x{images.width_px} pixels, "
            f"but those to be judged have {size_px[0]}x{size_px[1]}"
        )


def _read_npz(
    path: Path, extractor: Extractor, batch_size: int, size_px: tuple[int, int]
) -> Reference:
    with npz_errors(path), np.load(path, allow_pickle=False) as arrays:
        names = set(arrays.files)
        mean, covariance = (_numbers(arrays, name) for name in ("mu", "sigma"))
    if mean is None and IMAGES not in names:
        raise InputError(f"{path} holds neither mu and sigma nor images ({IMAGES})")
    fits = mean is not None and len(mean) == extractor.feature_count
    if IMAGES not in names:
        gaussian = _gaussian(path, mean, covariance, extractor)
        record = ReferenceRecord(source=str(path), fingerprint=sha256(path), images=None)
        return Reference(gaussian, None, record)
    batch_file = BatchFile(path)
    images = batch_file.record()
    _check_size(path, images, size_px)
    features = batch_file.features(extractor, batch_size)
    described = reference_of(features, images)
    # As the evaluator of ADM: the mean and covariance may be of many more images.
    gaussian = _gaussian(path, mean, covariance, extractor) if fits else described.gaussian
    return Reference(gaussian, features, described.record)


def _numbers(arrays: Any, name: str) -> Tensor | None:
    return torch.from_numpy(arrays[name].astype(np.float64)) if name in arrays.files else None


def _gaussian(
    path: Path, mean: Tensor | None, covariance: Tensor | None, extractor: Extractor
) -> Gaussian:
    """Make the Gaussian of an extractor's features from a file's mean and covariance.

    Raises:
        InputError: one is missing, has another size than the features, or is not finite.
    """
    count = extractor.feature_count
    shapes = [None if t is None else tuple(t.shape) for t in (mean, covariance)]
    if mean is None or covariance is None or shapes != [(count,), (count, count)]:
        raise InputError(
            f"the reference {path} is not of {extractor.name}, whose mean is ({count},) and "
            f"covariance ({count}, {count}): it has {shapes[0]} and {shapes[1]}"
        )
    if not (mean.isfinite().all() and covariance.isfinite().all()):
        raise InputError(f"the reference {path} holds NaN or infinity")
    return Gaussian(mean, covariance)
