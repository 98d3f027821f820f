"""DINOv2 with a tiny random network in the published form."""

import sys
from pathlib import Path

import pytest
import skimage.data
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from smalti.config import InputError
from smalti.evaluation.extractors import dinov2
from smalti.evaluation.extractors.base import as_pictures
from smalti.evaluation.extractors.dinov2 import DINOv2Extractor, resize_like_pillow
from smalti.files import sha256
from smalti.ranges import from_pil

transformers = pytest.importorskip("transformers", reason="the extra `dino` is not installed")


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    torch.manual_seed(0)
    config = transformers.Dinov2Config(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, image_size=28, patch_size=14
    )
    path = tmp_path_factory.mktemp("dino")
    transformers.Dinov2Model(config).save_pretrained(path)
    return path


def test_features_are_the_normalized_class_token(folder):
    extractor = DINOv2Extractor.load(str(folder))
    network = transformers.Dinov2Model.from_pretrained(folder).eval()
    images = from_pil(Image.fromarray(skimage.data.astronaut()[:224, 100:324]))[None]
    mean = torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)
    deviation = torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)
    with torch.no_grad():
        expected = network(pixel_values=((images + 1) / 2 - mean) / deviation).pooler_output
    features = extractor.features(images)
    torch.testing.assert_close(features, expected, rtol=1e-4, atol=1e-5)
    assert features.shape == (1, extractor.feature_count)
    assert extractor.logits(features) is None
    assert extractor.fingerprint == sha256(folder / "model.safetensors")


@pytest.mark.parametrize("size", [(400, 300), (60, 50)])
def test_pictures_are_resized_as_pillow_does(size):
    picture = Image.fromarray(skimage.data.astronaut()).resize(size)
    expected = picture.resize((224, 224), Image.Resampling.BICUBIC)
    seen = resize_like_pillow(as_pictures(from_pil(picture)[None]), 224)[0]
    away = (seen - as_pictures(from_pil(expected))).abs()
    assert away.max() <= 1.0  # Pillow's weights have few digits
    assert (away > 0).float().mean() < 0.001


def test_weights_that_are_not_all_there_are_refused(folder, tmp_path):
    (tmp_path / "config.json").write_bytes((folder / "config.json").read_bytes())
    with pytest.raises(InputError, match=r"model\.safetensors is missing"):
        DINOv2Extractor.load(str(tmp_path))
    tensors = load_file(folder / "model.safetensors")
    del tensors["layernorm.weight"]
    save_file(tensors, tmp_path / "model.safetensors", {"format": "pt"})
    with pytest.raises(InputError, match=r"not all of DINOv2: layernorm\.weight is missing"):
        DINOv2Extractor.load(str(tmp_path))


def test_a_damaged_file_is_one_line(folder, tmp_path):
    (tmp_path / "config.json").write_bytes((folder / "config.json").read_bytes())
    (tmp_path / "model.safetensors").write_bytes(b"no weights at all")
    with pytest.raises(InputError, match="cannot read the DINOv2 of"):
        DINOv2Extractor.load(str(tmp_path))


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ('{"model_type": "vit"}', "model_type is 'vit', not 'dinov2'"),
        ("[]", "model_type is None"),
        ('{"model_type": ', r"config\.json is damaged"),
    ],
)
def test_another_network_is_refused(tmp_path, config, message):
    (tmp_path / "config.json").write_text(config, encoding="utf-8")
    with pytest.raises(InputError, match=message):
        DINOv2Extractor.load(str(tmp_path))


def test_without_transformers_the_extra_is_named(monkeypatch):
    monkeypatch.setattr(dinov2, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"pip install 'smalti\[dino\]'"):
        DINOv2Extractor.load(None)


def test_loading_brings_no_torchvision_and_keeps_the_progress_bars(folder):
    from transformers.utils import logging

    DINOv2Extractor.load(str(folder))
    assert logging.is_progress_bar_enabled()
    assert "torchvision" not in sys.modules
