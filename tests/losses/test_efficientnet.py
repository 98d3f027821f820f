import pytest
import skimage.data
import torch
import torch.nn.functional as F
from PIL import Image

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
