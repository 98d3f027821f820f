"""A VQGAN of each content: the same network but for its first and last channels."""

import pytest
import torch

from smalti.config import InputError
from smalti.content import DepthContent, EdgesContent, LabelsContent, RGBContent
from smalti.content_images import content_images
from smalti.tokenizer.config import VQGANConfig
from smalti.tokenizer.load import load_tokenizer
from smalti.tokenizer.vqgan import VQGAN

LABELS = LabelsContent(classes=5, ignore=255)
ALL = [RGBContent(), DepthContent(), EdgesContent(), LABELS]


def vqgan_of(content) -> VQGAN:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        config = VQGANConfig(
            content=content, channels=8, channel_multipliers=(1, 1), code_dim=8, codebook_size=16
        )
        return VQGAN(config).eval()


def images_of(content, height=8, width=12) -> torch.Tensor:
    if content.kind == "labels":
        return torch.randint(-1, content.classes, (2, height, width))
    return torch.rand(2, content.channels, height, width) * 2 - 1


def by_kind(content):
    return content.kind


@pytest.mark.parametrize("content", ALL, ids=by_kind)
def test_images_become_codes_and_images(content):
    vqgan, images = vqgan_of(content), images_of(content)
    codes = vqgan.encode(images)
    decoded = vqgan.decode(codes)
    assert codes.shape == (2, 4, 6)
    assert decoded.shape == images.shape
    assert decoded.dtype == images.dtype


@pytest.mark.parametrize("content", ALL, ids=by_kind)
def test_decoding_makes_images_of_what_training_sees(content):
    vqgan, images = vqgan_of(content), images_of(content)
    with torch.no_grad():
        outputs = vqgan(images).reconstructions
    assert outputs.shape == (2, content.channels, 8, 12)
    torch.testing.assert_close(
        content_images(content).to_images(outputs),
        vqgan.decode(vqgan.encode(images)),
        rtol=1e-4,
        atol=1e-5,
    )


@pytest.mark.parametrize("content", ALL, ids=by_kind)
def test_images_of_odd_sizes_keep_their_size(content):
    images = images_of(content, height=5, width=7)
    assert vqgan_of(content).reconstruct(images).shape == images.shape


@pytest.mark.parametrize("content", ALL, ids=by_kind)
def test_content_comes_back_from_disk(content, tmp_path):
    vqgan, images = vqgan_of(content), images_of(content)
    vqgan.save_pretrained(tmp_path / "model")
    loaded = load_tokenizer(tmp_path / "model")
    assert loaded.content == content
    assert torch.equal(loaded.encode(images), vqgan.encode(images))


def test_a_grey_image_to_a_model_of_photographs_is_refused():
    with pytest.raises(InputError, match="have 3 channels"):
        vqgan_of(RGBContent()).encode(torch.zeros(1, 1, 8, 8))


def test_photographs_to_a_model_of_label_maps_are_refused():
    with pytest.raises(InputError, match="are label maps"):
        vqgan_of(LABELS).encode(torch.zeros(1, 3, 8, 8))


def test_a_label_that_is_no_class_is_refused():
    with pytest.raises(InputError, match=r"in \[0, 5\)"):
        vqgan_of(LABELS).encode(torch.full((1, 8, 8), 5))
