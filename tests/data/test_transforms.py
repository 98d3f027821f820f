"""Resize, crop and flip: geometry and randomness."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from pydantic import ValidationError

from helpers.crops import center_transform, random_transform
from smalti.config import InputError
from smalti.data.config import TransformConfig
from smalti.data.decode import PixelSize
from smalti.data.transforms import resized_size
from smalti.randomness import generator_for

sizes = st.integers(1, 80)
scales = st.one_of(st.sampled_from(["crop", "keep"]), sizes)


def noise(width: int, height: int) -> Image.Image:
    values = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(values)


@given(sizes, sizes, sizes, sizes, scales, st.sampled_from(["random", "center"]), st.integers(0, 9))
def test_any_picture_gives_the_crop_size_when_small_ones_are_enlarged(
    width: int, height: int, crop_height: int, crop_width: int, resize: object, crop: str, seed: int
) -> None:
    config = TransformConfig.model_validate(
        {"size": (crop_height, crop_width), "resize_px": resize, "crop": crop, "small": "enlarge"}
    )
    picture = noise(width, height)
    for image in (
        random_transform(picture, config, generator_for(seed), "key"),
        center_transform(picture, config, "key"),
    ):
        assert image.shape == (3, crop_height, crop_width)
        assert image.dtype == torch.float32
        assert image.min() >= -1
        assert image.max() <= 1


@given(sizes, sizes, sizes, sizes, scales)
def test_unless_asked_no_picture_is_enlarged(
    width: int, height: int, crop_height: int, crop_width: int, resize: object
) -> None:
    config = TransformConfig.model_validate(
        {"size": (crop_height, crop_width), "resize_px": resize}
    )
    if width < crop_width or height < crop_height:
        with pytest.raises(InputError, match=f"{height}x{width} pixels, smaller than the crop"):
            resized_size(PixelSize(width, height), config, "key")
    else:
        result = resized_size(PixelSize(width, height), config, "key")
        assert crop_width <= result.width <= width
        assert crop_height <= result.height <= height


@pytest.mark.parametrize(
    ("resize", "small", "expected"),
    [
        ("crop", "error", (120, 64)),
        ("keep", "error", (300, 160)),
        (80, "error", (150, 80)),
        (40, "error", (120, 64)),  # no smaller than covers the crop
        (320, "error", (300, 160)),  # no larger than the picture
        (320, "enlarge", (600, 320)),
    ],
)
def test_resize_px_decides_the_scale(resize: object, small: str, expected: tuple[int, int]) -> None:
    config = TransformConfig.model_validate({"size": 64, "resize_px": resize, "small": small})
    assert resized_size(PixelSize(300, 160), config, "key") == expected


def test_too_small_picture_is_named() -> None:
    with pytest.raises(InputError, match=r"a/b\.png is 16x20 pixels"):
        center_transform(noise(20, 16), TransformConfig(size=32), "a/b.png")


def test_center_crop_of_unscaled_picture_is_its_middle() -> None:
    picture = noise(11, 9)
    image = center_transform(picture, TransformConfig(size=(5, 3), resize_px="keep"), "key")
    middle = np.asarray(picture)[2:7, 4:7].transpose(2, 0, 1)
    torch.testing.assert_close(image, torch.from_numpy(middle / 127.5 - 1).float())


def test_random_crops_reach_every_place_and_both_directions() -> None:
    ramp = Image.fromarray(np.arange(0, 250, 50, dtype=np.uint8)[None].repeat(2, 0)).convert("RGB")
    config = TransformConfig(size=2, resize_px="keep")
    firsts = {
        tuple(random_transform(ramp, config, generator_for(n), "key")[0, 0].tolist())
        for n in range(200)
    }
    assert len(firsts) == 8  # four places, each in two directions


def test_same_generator_state_gives_the_same_image() -> None:
    config = TransformConfig(size=8, resize_px="keep")
    first, second = (
        random_transform(noise(40, 40), config, generator_for(3, 1, 4), "key") for _ in range(2)
    )
    assert torch.equal(first, second)


def test_flip_off_keeps_center_crops_fixed() -> None:
    """Of a picture that leaves room for other crops."""
    config = TransformConfig(size=8, resize_px=12, crop="center", flip=False)
    picture = noise(40, 20)
    expected = center_transform(picture, config, "key")
    for number in range(8):
        image = random_transform(picture, config, generator_for(number), "key")
        assert torch.equal(image, expected)


def test_shrinking_is_antialiased() -> None:
    stripes = np.zeros((64, 64, 3), dtype=np.uint8)
    stripes[:, ::2] = 255
    image = center_transform(Image.fromarray(stripes), TransformConfig(size=8), "key")
    assert image[..., 1:-1].abs().max() < 0.05  # mid grey; without it, black or white


@pytest.mark.parametrize("size", [0, -1, (8, 0), (8,), 1.5])
def test_size_must_be_positive(size: object) -> None:
    with pytest.raises(ValidationError):
        TransformConfig.model_validate({"size": size})
