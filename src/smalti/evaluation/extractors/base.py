"""The seam of networks that describe images in numbers, by which sets of images are compared.

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

    Figures of different extractors do not compare, and each extractor has its own names for them.

    Args:
        network: with its weights.
        fingerprint: SHA-256 of the file with the weights.
    """

    name: str
    """Of the network: "Inception"."""
    frechet_name: str
    """What the Frechet distance of its features is called: "FID"."""
    kernel_name: str
    """What the kernel distance of its features is called: "KID"."""
    score_name: str | None
    """What the class score of its logits is called: "Inception Score"; None without classes."""
    feature_count: int
    """C."""
    resize: str
    """How images are brought to the size that the network sees, in words."""

    def __init__(self, network: nn.Module, fingerprint: str) -> None:
        self.network = network.eval().requires_grad_(False)
        self.fingerprint = fingerprint

    @classmethod
    @abc.abstractmethod
    def load(cls, weights: str | None) -> Self:
        """The extractor, on the CPU, with the weights that are named, or with the published ones.

        Raises:
            InputError: the weights are missing or not the right ones.
        """

    @torch.no_grad()
    def features(self, images: Tensor) -> Tensor:
        """Features of images, computed in float32 also under autocast.

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
        """Logits (B, K) float32 of features (B, C) on any device; None without classes."""

    def of_batches(self, batches: Iterable[Tensor]) -> Iterator[Tensor]:
        """Features (B, C) float32, on the CPU, of each batch of images on any device."""
        device = next(self.network.parameters()).device
        for images in batches:
            yield self.features(images.to(device)).cpu()

    def to(self, device: torch.device) -> Self:
        """Move the network to a device, in place."""
        self.network.to(device)
        return self

    @property
    def record(self) -> ExtractorRecord:
        """What a protocol says of it."""
        return ExtractorRecord(
            name=self.name,
            features=self.feature_count,
            fingerprint=self.fingerprint,
            resize=self.resize,
        )


EXTRACTORS = Registry[Extractor]("extractor")


def as_pictures(images: Tensor) -> Tensor:
    """Images (B, 3, H, W) float32 in [0, 255] whose values are those of 8-bit pictures."""
    return to_uint8(images).float()
