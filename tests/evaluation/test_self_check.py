"""The stored figures, from scipy and from plain loops over pairs."""

import math

import numpy as np
import pytest
import scipy.linalg
import scipy.special
import torch

from smalti.evaluation import self_check
from smalti.evaluation.extractors.efficientnet import EfficientNetExtractor
from smalti.evaluation.self_check import (
    STORED,
    SelfCheckError,
    check_against_itself,
    check_extractor,
    check_statistics,
    small_sets,
)
from smalti.metrics.moments import FeatureMoments


def test_the_stored_frechet_distance_is_that_of_scipys_matrix_root():
    real, fake = (features.numpy() for features in small_sets())
    covariances = np.cov(real, rowvar=False), np.cov(fake, rowvar=False)
    root = scipy.linalg.sqrtm(covariances[0] @ covariances[1]).real
    shift = ((real.mean(0) - fake.mean(0)) ** 2).sum()
    expected = shift + np.trace(covariances[0] + covariances[1] - 2 * root)
    assert STORED["Frechet distance"] == pytest.approx(expected, rel=1e-9)


def test_the_stored_kernel_distance_is_the_sum_over_pairs():
    real, fake = (features.numpy() for features in small_sets())

    def kernel(first: np.ndarray, second: np.ndarray) -> float:
        return (first @ second / 6 + 1) ** 3

    others = [(i, j) for i in range(40) for j in range(40) if i != j]
    within = [kernel(real[i], real[j]) + kernel(fake[i], fake[j]) for i, j in others]
    between = [kernel(first, second) for first in real for second in fake]
    expected = np.mean(within) - 2 * np.mean(between)
    assert STORED["kernel distance"] == pytest.approx(expected, rel=1e-9)


def test_the_stored_precision_and_recall_are_those_of_plain_loops():
    real, fake = (features.tolist() for features in small_sets())

    def covered(centres: list[list[float]], points: list[list[float]]) -> float:
        radii = [sorted(math.dist(centre, other) for other in centres)[3] for centre in centres]
        balls = list(zip(centres, radii, strict=True))
        is_in = [any(math.dist(point, c) <= radius for c, radius in balls) for point in points]
        return sum(is_in) / len(points)

    assert STORED["precision"] == covered(real, fake)
    assert STORED["recall"] == covered(fake, real)


def test_the_stored_class_score_is_that_of_scipys_divergence():
    shares = scipy.special.softmax(small_sets()[0].numpy(), axis=1)
    divergences = [
        scipy.special.rel_entr(half, half.mean(0)).sum(1).mean() for half in np.split(shares, 2)
    ]
    assert STORED["class score"] == pytest.approx(np.exp(divergences).mean(), rel=1e-9)


def test_statistics_that_are_right_pass():
    check_statistics()


@pytest.mark.parametrize(
    ("function", "spoilt", "name"),
    [
        ("frechet_distance", lambda *_: 6.3163, "Frechet distance"),
        ("precision_recall", lambda *_: (0.6, 0.825), "recall"),
        ("frechet_distance", lambda *_: math.nan, "Frechet distance"),
    ],
)
def test_a_statistic_that_is_wrong_is_named(monkeypatch, function, spoilt, name):
    monkeypatch.setattr(self_check, function, spoilt)
    with pytest.raises(SelfCheckError, match=f"the {name} of a stored pair of sets is"):
        check_statistics()


def test_an_extractor_with_its_weights_has_the_stored_distance():
    assert check_extractor(EfficientNetExtractor.load(None)) is True


def test_an_extractor_that_computes_otherwise_is_noticed():
    spoilt = EfficientNetExtractor.load(None)
    spoilt.network.blocks[3].project.weight.mul_(1.02)
    with pytest.raises(SelfCheckError, match="the KD-EfficientNet of a stored pair"):
        check_extractor(spoilt)


def test_an_extractor_without_a_stored_distance_is_not_checked(extractor):
    assert check_extractor(extractor) is False


@pytest.mark.parametrize("images", [8, 40])
def test_a_set_is_like_itself_also_with_fewer_images_than_features(generator, images):
    features = 100 + 30 * torch.rand(images, 16, generator=generator)
    check_against_itself(FeatureMoments(16).add(features).gaussian(), features)


def test_a_set_that_is_not_like_itself_is_noticed(monkeypatch, generator):
    gaussian = FeatureMoments(4).add(torch.rand(9, 4, generator=generator)).gaussian()
    monkeypatch.setattr(self_check, "frechet_distance", lambda *_: 1e-3)
    with pytest.raises(SelfCheckError, match="distance of a set from itself"):
        check_against_itself(gaussian, None)
    monkeypatch.undo()
    monkeypatch.setattr(self_check, "precision_recall", lambda *_: (1.0, 0.9))
    with pytest.raises(SelfCheckError, match=r"precision or recall .* is 0\.9"):
        check_against_itself(gaussian, torch.rand(9, 4))
