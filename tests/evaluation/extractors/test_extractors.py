"""What holds for every extractor, with small or random networks where the real ones are large."""

import pytest
import torch
from torch import nn

from smalti.config import InputError
from smalti.evaluation.extractors import EXTRACTORS, Extractor, load_extractor
from smalti.evaluation.extractors.dinov2 import DINOv2Extractor
from smalti.evaluation.extractors.efficientnet import EfficientNetExtractor
from smalti.evaluation.extractors.inception import InceptionExtractor

CPU = torch.device("cpu")


class Corner(Extractor):
    """Describes an image by its first pixel."""

    name, frechet_name, kernel_name, score_name = "Corner", "FD-Corner", "KD-Corner", None
    feature_count = 3
    resize = "none"

    @classmethod
    def load(cls, weights: str | None) -> Extractor:
        return cls(nn.Conv2d(3, 3, 1), "0" * 64)

    def _features(self, images: torch.Tensor) -> torch.Tensor:
        return self.network(images[:, :, :1, :1]).flatten(1)

    def logits(self, features: torch.Tensor) -> None:
        return None


def test_only_inceptions_numbers_have_the_published_names():
    names = {
        extractor: (extractor.frechet_name, extractor.kernel_name, extractor.score_name)
        for extractor in (
            InceptionExtractor,
            EfficientNetExtractor,
            DINOv2Extractor(nn.Identity(), "", 1024),
            DINOv2Extractor(nn.Identity(), "", 384),
        )
    }
    assert list(names.values()) == [
        ("FID", "KID", "Inception Score"),
        ("FD-EfficientNet", "KD-EfficientNet", "class score (EfficientNet)"),
        ("FD-DINOv2", "KD-DINOv2", None),
        ("FD-DINOv2-384", "KD-DINOv2-384", None),
    ]


def test_an_unknown_kind_is_refused_with_those_there_are():
    with pytest.raises(InputError, match="extractor 'incepton'; did you mean 'inception'"):
        load_extractor("incepton", None, CPU)
    assert set(EXTRACTORS) == {"inception", "efficientnet", "dinov2"}


def test_networks_learn_nothing_and_do_not_depend_on_the_batch():
    corner = Corner(nn.Sequential(nn.Dropout(), nn.Conv2d(3, 3, 1)), "0" * 64)
    images = torch.rand(6, 3, 4, 4, requires_grad=True)
    whole = corner.features(images)
    assert not whole.requires_grad
    assert not any(parameter.requires_grad for parameter in corner.network.parameters())
    parts = torch.cat(list(corner.of_batches(images.split(4))))
    torch.testing.assert_close(parts, whole)


def test_features_are_float32_under_autocast():
    corner = Corner.load(None)
    images = torch.rand(2, 3, 4, 4)
    expected = corner.features(images)
    assert expected.dtype == torch.float32
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(corner.features(images), expected)


def test_the_record_tells_what_a_figure_depends_on():
    record = Corner.load(None).record
    assert record.model_dump() == {
        "name": "Corner",
        "features": 3,
        "fingerprint": "0" * 64,
        "resize": "none",
    }
