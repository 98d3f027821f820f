"""The abstract class of networks that describe images in numbers, to compare sets of images.

Axes: B batch, H/W image size in pixels, C features of an image, K classes.
"""

import abc
from collections.abc import Iterable, Iterator
from typing import Self

import torch
from torch import Tensor, nn

from smalti.evaluation.protocol import ExtractorRecord
from smalti.ranges import to_uint8
from smalti.registry import Registry


class Extractor(abc.ABC):
    """A frozen network whose features of an image are compared with those of other images.

    Figures of different extractors cannot be compared, so each has its names for them.

    Args:
        network: network with its weights.
        fingerprint: SHA-256 of the file with the weights.
    """

    name: str
    """Name of the network, such as "Inception"."""
    frechet_name: str
    """Name of the Frechet distance of these features, such as "FID"."""
    kernel_name: str
    """Name of the kernel distance of these features, such as "KID"."""
    score_name: str | None
    """Name of the class score of the logits, such as "Inception Score"; None without classes."""
    feature_count: int
    """C, number of features of an image."""
    resize: str
    """How images are resized for the network, in words."""

    def __init__(self, network: nn.Module, fingerprint: str) -> None:
        self.network = network.eval().requires_grad_(False)
        self.fingerprint = fingerprint

    @classmethod
    @abc.abstractmethod
    def load(cls, weights: str | None) -> Self:
        """Load the extractor onto the CPU, with the named weights or the published ones.

        Raises:
            InputError: the weights are missing or wrong.
        """

    @torch.no_grad()
    def features(self, images: Tensor) -> Tensor:
        """Compute features of images, in float32 also under autocast.

        Args:
            images: (B, 3, H, W) float32 in [-1, 1], on the extractor's device.

        Returns:
            (B, C) float32.
        """
        assert images.ndim == 4, images.shape
        assert images.shape[1] == 3, images.shape
        # Graphics cards round the inputs of float32 convolutions to 10 bits, unless told not to.
        exact = torch.backends.cudnn.flags(allow_tf32=False)
        with exact, torch.autocast(images.device.type, enabled=False):
            return self._features(images.float())

    @abc.abstractmethod
    def _features(self, images: Tensor) -> Tensor:
        """Features (B, C) float32 of images (B, 3, H, W) float32 in [-1, 1]."""

    @abc.abstractmethod
    def logits(self, features: Tensor) -> Tensor | None:
        """Compute logits (B, K) float32 of features (B, C) on any device; None without classes."""

    def of_batches(self, batches: Iterable[Tensor]) -> Iterator[Tensor]:
        """Compute features (B, C) float32, on the CPU, of each batch of images on any device."""
        device = next(self.network.parameters()).device
        for images in batches:
            yield self.features(images.to(device)).cpu()

    def to(self, device: torch.device) -> Self:
        """Move the network to a device, in place."""
        self.network.to(device)
        return self

    @property
    def record(self) -> ExtractorRecord:
        """Description of the extractor in a protocol."""
        return ExtractorRecord(
            name=self.name,
            features=self.feature_count,
            fingerprint=self.fingerprint,
            resize=self.resize,
        )


EXTRACTORS = Registry[Extractor]("extractor")


def as_pictures(images: Tensor) -> Tensor:
    """Round images to 8 bits: (B, 3, H, W) float32 in [0, 255]."""
    return to_uint8(images).float()
