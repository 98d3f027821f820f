import hashlib

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from smalti.config import InputError
from smalti.evaluation.extractors.efficientnet import (
    LARGEST_SIDE_PX,
    SMALLEST_SIDE_PX,
    EfficientNetExtractor,
    seen_size,
)
from smalti.losses.efficientnet import weights_path


@pytest.fixture(scope="module")
def extractor() -> EfficientNetExtractor:
    return EfficientNetExtractor.load(None)


@given(st.integers(8, 1024), st.integers(8, 1024))
def test_the_network_sees_every_image_in_its_shape_and_at_a_size_it_knows(height, width):
    seen_height, seen_width = seen_size(height, width)
    assert SMALLEST_SIDE_PX <= min(seen_height, seen_width) <= LARGEST_SIDE_PX
    scale = min(seen_height, seen_width) / min(height, width)
    assert abs(seen_height - scale * height) <= 0.5
    assert abs(seen_width - scale * width) <= 0.5


@pytest.mark.parametrize(("side", "seen"), [(32, 128), (128, 128), (160, 160), (512, 224)])
def test_sizes_between_the_smallest_and_the_largest_are_kept(side, seen):
    assert seen_size(side, side) == (seen, seen)


def test_features_are_what_the_classifier_reads(extractor):
    images = 2 * torch.rand(2, 3, 128, 160) - 1  # seen as it is
    features = extractor.features(images)
    assert features.shape == (2, extractor.feature_count)
    torch.testing.assert_close(extractor.logits(features), extractor.network(images))


def test_features_are_float32_under_autocast(extractor):
    images = 2 * torch.rand(2, 3, 32, 32) - 1
    expected = extractor.features(images)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(extractor.features(images), expected)


def test_the_fingerprint_is_the_hash_of_the_weights_file(extractor):
    assert extractor.fingerprint == hashlib.sha256(weights_path().read_bytes()).hexdigest()


def test_other_weights_are_refused():
    with pytest.raises(InputError, match=r"takes no others, got mine\.pth"):
        EfficientNetExtractor.load("mine.pth")
