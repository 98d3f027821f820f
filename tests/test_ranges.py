"""uint8 and [-1, 1]."""

import pytest
import torch
from PIL import Image

from smalti.ranges import from_pil, from_uint8, to_pil, to_uint8

ALL_VALUES = torch.arange(256, dtype=torch.uint8)


def test_every_value_survives_the_round_trip():
    assert torch.equal(to_uint8(from_uint8(ALL_VALUES)), ALL_VALUES)


def test_ends_of_the_range():
    values = from_uint8(torch.tensor([0, 255], dtype=torch.uint8))
    assert values.dtype == torch.float32
    assert values.tolist() == [-1.0, 1.0]


@pytest.mark.parametrize(
    ("value", "expected"), [(-3.0, 0), (3.0, 255), (0.0, 128), (-0.997, 0), (-0.995, 1)]
)
def test_values_outside_are_clipped_and_others_rounded(value, expected):
    assert to_uint8(torch.tensor(value)).item() == expected


def test_half_precision_is_rounded_in_float32():
    values = from_uint8(ALL_VALUES).to(torch.bfloat16)
    assert torch.equal(to_uint8(values), to_uint8(values.float()))


def test_picture_survives_the_round_trip(generator):
    values = torch.randint(256, (5, 7, 3), generator=generator, dtype=torch.uint8)
    picture = Image.fromarray(values.numpy())
    image = from_pil(picture)
    assert image.shape == (3, 5, 7)
    assert torch.equal(image, from_uint8(values.permute(2, 0, 1)))
    assert to_pil(image).tobytes() == picture.tobytes()


def test_picture_of_another_mode_is_refused():
    with pytest.raises(ValueError, match="must be RGB, got mode L"):
        from_pil(Image.new("L", (2, 2)))
