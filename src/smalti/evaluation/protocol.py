"""Record of how figures were measured, needed to reproduce them. Imports no torch."""

import importlib.metadata
import platform
from typing import Any

from smalti.config import Config

PACKAGES = ("smalti", "torch", "numpy", "scipy", "pillow")
"""Packages on whose versions a figure may depend."""


class ExtractorRecord(Config):
    """The network that described the images."""

    name: str
    """Name of the network: "Inception", "EfficientNet", "DINOv2"."""
    features: int
    """Number of features of an image."""
    fingerprint: str
    """SHA-256 of the file with its weights."""
    resize: str
    """How images are resized for the network, in words."""


class ImageRecord(Config):
    """How the images of a data set were read and cropped before they were measured."""

    source: str
    """The data set, folder or file, as the user named it."""
    count: int
    """Number of images."""
    chosen_of: int | None = None
    """Number of images from which they were taken at even distances; None where all count."""
    height_px: int
    width_px: int
    crop: str
    """How pictures were cropped, in words."""
    kernel: str
    """The filter by which pictures were resized, in words."""
    antialias: bool
    """Whether the filter widens when it shrinks a picture."""
    fingerprint: str | None = None
    """A hash of the images or of their files; None if it was not computed."""


class ReferenceRecord(Config):
    """The reference with which the images were compared."""

    source: str
    """The data set, folder or file, as the user named it."""
    fingerprint: str | None
    """SHA-256 of the file with the statistics; without a file, the hash of the images."""
    images: ImageRecord | None
    """How the images of the reference were read; None if its file does not tell."""


class Protocol(Config):
    """Everything that a figure depends on, printed and stored beside the figures."""

    images: ImageRecord
    """The images that were evaluated."""
    data: ImageRecord | None = None
    """Images that the NLL of a prior is of, and whose conditions its samples have."""
    reference: ReferenceRecord | None
    extractor: ExtractorRecord | None
    sampling: dict[str, Any] | None
    """Settings with which the images were sampled; None for existing pictures."""
    seed: int
    """Seed of the samples and of the subsets of the kernel distance."""
    versions: dict[str, str]
    """Versions of Python and packages, as the function `versions` gives them."""


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that a figure may depend on."""
    return {"python": platform.python_version()} | {
        name: importlib.metadata.version(name) for name in PACKAGES
    }
