"""What a user asks for, as values of the prior's conditions."""

from PIL import Image

from smalti.conditions.conditioning import conditioning_of
from smalti.conditions.low_resolution import LowResolutionConfig
from smalti.content import RGBContent


def test_small_picture_is_enlarged_by_the_factor_of_the_prior():
    config = LowResolutionConfig(
        content=RGBContent(), codebook_size=8, grid_height=2, grid_width=2, factor=4
    )
    small = Image.new("RGB", (3, 2), (255, 0, 0))
    values = conditioning_of([config]).values(small, 2)["low_resolution"]
    assert values.shape == (2, 3, 8, 12)
    assert values[:, 0].unique().tolist() == [1.0]
    assert values[:, 1:].unique().tolist() == [-1.0]
