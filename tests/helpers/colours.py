"""An extractor of features that needs no weights and no time."""

import torch

from smalti.evaluation.extractors.base import Extractor


class Colours(Extractor):
    """Describes an image by its mean colour."""

    name, frechet_name, kernel_name, score_name = "Colours", "FD-Colours", "KD-Colours", None
    feature_count = 3
    resize = "none"

    @classmethod
    def load(cls, weights: str | None) -> Extractor:
        return cls(torch.nn.Conv2d(3, 3, 1, bias=False), "f" * 64)

    def _features(self, images: torch.Tensor) -> torch.Tensor:
        return images.mean((2, 3))

    def logits(self, features: torch.Tensor) -> None:
        return None


class ColoursAndSpread(Colours):
    """Describes an image by the mean and spread of its colours."""

    feature_count = 6

    def _features(self, images: torch.Tensor) -> torch.Tensor:
        return torch.cat([images.mean((2, 3)), images.std((2, 3))], 1)
