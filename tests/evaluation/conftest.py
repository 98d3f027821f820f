import pytest
import torch
from torch import nn

from smalti.evaluation.extractors.base import Extractor
from smalti.evaluation.protocol import ImageRecord


class Colours(Extractor):
    """Describes an image by its mean colour."""

    name, frechet_name, kernel_name, score_name = "Colours", "FD-Colours", "KD-Colours", None
    feature_count = 3
    resize = "none"

    @classmethod
    def load(cls, weights: str | None) -> Extractor:
        return cls(nn.Conv2d(3, 3, 1, bias=False), "f" * 64)

    def _features(self, images: torch.Tensor) -> torch.Tensor:
        return images.mean((2, 3))

    def logits(self, features: torch.Tensor) -> None:
        return None


@pytest.fixture
def extractor() -> Extractor:
    return Colours.load(None)


@pytest.fixture
def images() -> ImageRecord:
    return ImageRecord(
        source="photos/",
        count=9,
        height_px=4,
        width_px=6,
        crop="centre",
        kernel="bicubic",
        antialias=True,
        fingerprint="a" * 64,
    )
