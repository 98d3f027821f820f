import pytest
import torch
from torch import nn

from smalti.config import InputError
from smalti.evaluation.comparison import check_count, compare
from smalti.evaluation.extractors.dinov2 import DINOv2Extractor
from smalti.evaluation.extractors.efficientnet import EfficientNetExtractor
from smalti.evaluation.extractors.inception import InceptionExtractor
from smalti.evaluation.reference import Reference, reference_of
from smalti.metrics.class_score import class_score
from smalti.metrics.kernel_distance import kernel_distance


def inception() -> InceptionExtractor:
    network = nn.Module()
    network.fc = nn.Linear(4, 5)
    return InceptionExtractor(network, "")


def test_figures_have_the_names_of_the_extractor_and_their_values(generator, images):
    real, fake = (torch.rand(count, 4, generator=generator) for count in (60, 50))
    extractor = inception()
    figures = compare(fake, reference_of(real, images), extractor, seed=1)
    values = {figure.name: figure.value for figure in figures}
    assert [figure.label for figure in figures] == [
        "FID",
        "KID",
        "KID deviation",
        "precision (k = 3, Inception)",
        "recall (k = 3, Inception)",
        "Inception Score",
        "Inception Score deviation",
    ]
    assert list(values) == [
        "fid",
        "kid",
        "kid_deviation",
        "precision",
        "recall",
        "inception_score",
        "inception_score_deviation",
    ]
    assert values["kid"] == kernel_distance(real, fake, seed=1).mean
    score = class_score(fake @ extractor.network.fc.weight.detach().T)
    assert values["inception_score"] == pytest.approx(score.mean)


def test_statistics_alone_give_the_frechet_distance_alone(generator, images, extractor):
    real, fake = torch.rand(2, 20, 3, generator=generator)
    whole = reference_of(real, images)
    figures = compare(fake, Reference(whole.gaussian, None, whole.record), extractor, seed=0)
    assert [(figure.name, figure.label) for figure in figures] == [("fd_colours", "FD-Colours")]


@pytest.mark.parametrize("kind", [EfficientNetExtractor, DINOv2Extractor])
def test_no_other_network_makes_an_fid(kind, generator, images):
    if kind is EfficientNetExtractor:
        extractor = EfficientNetExtractor.load(None)
    else:
        extractor = DINOv2Extractor(nn.Identity(), "", 1024)
    features = torch.rand(20, extractor.feature_count, generator=generator)
    reference = reference_of(features.flip(0), images)
    for figure in compare(features, reference, extractor, seed=0):
        assert "FID" not in figure.label
        assert "Inception" not in figure.label
        assert figure.name.replace("_", "").isalnum()


def test_more_than_ten_images_a_feature_are_enough(extractor):
    assert check_count(31, extractor, few_are_asked_for=False) == []


def test_fewer_than_ten_images_a_feature_are_warned_of(extractor):
    for images in (4, 30):
        (warning,) = check_count(images, extractor, few_are_asked_for=False)
        assert f"FD-Colours of {images} images is too high" in warning


def test_not_more_images_than_features_are_refused_unless_asked_for(extractor):
    with pytest.raises(InputError, match=r"of 3 images is too high.*more images than Colours has"):
        check_count(3, extractor, few_are_asked_for=False)
    extractor.feature_count = 9
    (warning,) = check_count(9, extractor, few_are_asked_for=True)
    assert "only with figures of the same images" in warning


def test_fewer_images_than_a_figure_needs_are_refused_before_the_work(extractor):
    """Precision and recall by three neighbours need four images, a class score ten."""
    with pytest.raises(InputError, match="at least 4 images on each side, got 3"):
        check_count(3, extractor, few_are_asked_for=True)
    with pytest.raises(InputError, match=r"by EfficientNet need at least 10 images.*, got 9"):
        check_count(9, EfficientNetExtractor.load(None), few_are_asked_for=True)
