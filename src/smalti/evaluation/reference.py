"""What images are compared with: the features of a reference set, or their mean and covariance.

They come from images, from a file that smalti wrote, or from files of other evaluators.

Axes: N images, C features of an image.
"""

import logging
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

logger = logging.getLogger(__name__)

STORED = "smalti_reference"
"""Name of the description in the metadata of a file of ours."""


@dataclass(frozen=True, slots=True)
class Reference:
    """A set of images as an extractor describes it."""

    gaussian: Gaussian
    features: Tensor | None
    """(N, C) float32, for the kernel distance, precision and recall; None where they are not
    stored. In files of others they may be of fewer images than the mean and covariance."""
    record: ReferenceRecord
    """Where it is from, for the protocol."""

    def check_size(self, height_px: int, width_px: int) -> None:
        """Refuse images of another size than those of the reference, if that is known.

        Raises:
            InputError: the sizes differ.
        """
        images = self.record.images
        if images and (images.height_px, images.width_px) != (height_px, width_px):
            raise InputError(
                f"the reference {self.record.source} is of images of "
                f"{images.height_px}x{images.width_px} pixels, but those to be judged have "
                f"{height_px}x{width_px}"
            )


def reference_of(features: Tensor, images: ImageRecord) -> Reference:
    """The reference of a set of images.

    Args:
        features: (N, C) float32 of the images.
        images: where they are from, and how they were read.

    Raises:
        InputError: there are fewer than two images.
    """
    gaussian = FeatureMoments(features.shape[1]).add(features).gaussian()
    record = ReferenceRecord(source=images.source, fingerprint=images.fingerprint, images=images)
    return Reference(gaussian, features, record)


def write_reference(path: Path, reference: Reference, extractor: ExtractorRecord) -> None:
    """Write a reference of images into a `.safetensors` file, for `read_reference`.

    Args:
        path: the file; an older one is replaced.
        reference: what to write.
        extractor: the network that it is of.

    Raises:
        InputError: the name ends otherwise, or the disk refuses it.
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


def read_reference(path: Path, extractor: Extractor, batch_size: int) -> Reference:
    """The reference that a file holds, for an extractor.

    Args:
        path: a `.safetensors` file of `write_reference`; or an `.npz` file with `mu` and `sigma`,
            as pytorch-fid and TTUR write it, with images, as the evaluator of ADM reads them, or
            with both.
        extractor: describes the images of a file. Files of others do not say which network their
            numbers are of: only how many there are is checked.
        batch_size: images at a time.

    Raises:
        InputError: the file is missing, damaged or of another form; or its numbers are of another
            extractor.
    """
    if path.suffix == ".safetensors":
        return _read_own(path, extractor)
    if path.suffix == ".npz":
        return _read_npz(path, extractor, batch_size)
    raise InputError(f"{path} is no reference: allowed are .safetensors and .npz files")


def _read_own(path: Path, extractor: Extractor) -> Reference:
    tensors = read_tensors(path)
    with safetensors.safe_open(path, "pt") as file:
        text = (file.metadata() or {}).get(STORED)
    if text is None:
        raise InputError(f"{path} is no reference that smalti wrote")
    try:
        description = read_json(text, str(path))
        found = ExtractorRecord.model_validate(description["extractor"])
        images = description["images"] and ImageRecord.model_validate(description["images"])
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path} is no reference of this version of smalti") from error
    _check_extractor(path, found, extractor.record)
    gaussian = _gaussian(path, tensors.get("mean"), tensors.get("covariance"), extractor)
    record = ReferenceRecord(source=str(path), fingerprint=sha256(path), images=images)
    return Reference(gaussian, tensors.get("features"), record)


def _check_extractor(path: Path, found: ExtractorRecord, wanted: ExtractorRecord) -> None:
    for (field, its), (_, ours) in zip(found, wanted, strict=True):
        if its != ours:
            raise InputError(
                f"the reference {path} is of another extractor: its {field} is {its!r}, not "
                f"{ours!r}; write it anew with --write-reference"
            )


def _read_npz(path: Path, extractor: Extractor, batch_size: int) -> Reference:
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
    logger.info("describing the %s images of %s by %s", batch_file.count, path, extractor.name)
    features = torch.cat(list(extractor.of_batches(batch_file.batches(batch_size))))
    described = reference_of(features, _stored_images(path, batch_file))
    # As the evaluator of ADM: the mean and covariance may be of many more images.
    gaussian = _gaussian(path, mean, covariance, extractor) if fits else described.gaussian
    return Reference(gaussian, features, described.record)


def _stored_images(path: Path, file: BatchFile) -> ImageRecord:
    return ImageRecord(
        source=str(path),
        count=file.count,
        height_px=file.height_px,
        width_px=file.width_px,
        crop="as stored",
        kernel="none",
        antialias=False,
        fingerprint=sha256(path),
    )


def _numbers(arrays: Any, name: str) -> Tensor | None:
    return torch.from_numpy(arrays[name].astype(np.float64)) if name in arrays.files else None


def _gaussian(
    path: Path, mean: Tensor | None, covariance: Tensor | None, extractor: Extractor
) -> Gaussian:
    """A Gaussian of the extractor's features.

    Raises:
        InputError: a number is missing or not finite, or there are more or fewer than features.
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
