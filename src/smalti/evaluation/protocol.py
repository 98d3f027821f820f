"""What figures were measured with: without it nobody can reproduce them. Imports no torch."""

import importlib.metadata
import platform
from typing import Any

from smalti.config import Config

PACKAGES = ("smalti", "torch", "numpy", "scipy", "pillow")
"""Whose versions a figure may depend on."""


class ExtractorRecord(Config):
    """The network that described the images."""

    name: str
    """As figures carry it: "Inception", "EfficientNet", "DINOv2"."""
    features: int
    """Numbers that describe an image."""
    fingerprint: str
    """SHA-256 of the file with its weights."""
    resize: str
    """How it brings images to the size that it sees, in words."""


class ImageRecord(Config):
    """How the images of a data set became those that were measured."""

    source: str
    """The data set, folder or file, as it was named."""
    count: int
    """Number of images."""
    height_px: int
    width_px: int
    crop: str
    """Which part of a picture was taken, in words."""
    kernel: str
    """By which filter pictures were resized, in words."""
    antialias: bool
    """Whether the filter widens where it shrinks a picture."""
    fingerprint: str | None = None
    """A hash of the images or of their files; None where nobody computed it."""


class ReferenceRecord(Config):
    """What the images were compared with."""

    source: str
    """The data set, folder or file, as it was named."""
    fingerprint: str | None
    """SHA-256 of the file with the statistics; that of the images where there is no file."""
    images: ImageRecord | None
    """How its images were read; None where its file does not tell."""


class Protocol(Config):
    """Everything that a figure depends on, printed and stored beside the figures."""

    images: ImageRecord
    """What was judged."""
    reference: ReferenceRecord | None
    extractor: ExtractorRecord | None
    sampling: dict[str, Any] | None
    """Settings that the images were sampled with; None for pictures that lay there."""
    seed: int
    """Of the samples and of the subsets of the kernel distance."""
    versions: dict[str, str]
    """See `versions`."""


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that a figure may depend on."""
    return {"python": platform.python_version()} | {
        name: importlib.metadata.version(name) for name in PACKAGES
    }
