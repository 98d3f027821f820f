import pytest
import torch

from smalti.config import InputError
from smalti.losses.build import choose_perceptual
from smalti.losses.config import PerceptualConfig
from smalti.losses.lpips import LPIPS, LPIPSHeads, load_heads
from smalti.losses.vgg import VGG_VARIABLE


@pytest.fixture(autouse=True)
def empty_cache(monkeypatch, tmp_path):
    monkeypatch.delenv(VGG_VARIABLE, raising=False)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))


def test_heads_by_hand():
    """One position: unit vectors (1, 0, ...) and (0, 1, ...) differ by 1 in two channels."""
    heads = LPIPSHeads()
    real, fake = [], []
    for stage, weight in enumerate(heads.stages):
        weight.data[:2] = torch.tensor([1.0, 2.0]) * 10**-stage
        features = torch.zeros(2, 1, len(weight), 1, 1)
        features[0, 0, 0], features[1, 0, 1] = 5.0, 0.25
        real.append(features[0])
        fake.append(features[1])
    torch.testing.assert_close(heads(real, fake), torch.tensor([3.3333]))


def test_published_heads_weigh_no_channel_negatively():
    assert all((weight >= 0).all() for weight in load_heads().stages)


def test_auto_takes_lpips_where_vgg_weights_are_at_hand(vgg_file):
    assert choose_perceptual(PerceptualConfig(vgg_weights=vgg_file)).name == "LPIPS (VGG16)"


def test_auto_does_not_pass_over_a_named_file_that_is_missing(tmp_path):
    with pytest.raises(InputError, match="do not exist"):
        choose_perceptual(PerceptualConfig(vgg_weights=tmp_path / "gone.pth"))


def test_lpips_without_weights_names_the_ways_to_get_them():
    with pytest.raises(InputError) as error:
        choose_perceptual(PerceptualConfig(kind="lpips"))
    for way in ("perceptual.vgg-weights", VGG_VARIABLE, "download_vgg_weights()"):
        assert way in str(error.value)


def test_distance_is_the_heads_of_the_trunks_features_of_scaled_images(vgg_file):
    loss = LPIPS(PerceptualConfig(vgg_weights=vgg_file))
    images, reconstructions = torch.rand(2, 1, 3, 32, 32) * 2 - 1
    mean = torch.tensor([-0.030, -0.088, -0.188]).view(3, 1, 1)
    deviation = torch.tensor([0.458, 0.448, 0.450]).view(3, 1, 1)
    features = [loss.trunk((i - mean) / deviation) for i in (images, reconstructions)]
    torch.testing.assert_close(loss(images, reconstructions), loss.heads(*features))
