import pytest
import torch

from smalti.losses.reconstruction import PIXEL_LOSSES


@pytest.mark.parametrize(("kind", "second"), [("l1", 2.0), ("l2", 4.0)])
def test_pixel_losses_of_each_image_by_hand(kind, second):
    images = torch.zeros(2, 3, 2, 2)
    reconstructions = torch.zeros(2, 3, 2, 2)
    reconstructions[0, :, 0] = 1.0  # half of the pixels are off by 1
    reconstructions[1] = -2.0
    torch.testing.assert_close(
        PIXEL_LOSSES[kind](images, reconstructions), torch.tensor([0.5, second])
    )


@pytest.mark.parametrize("kind", sorted(PIXEL_LOSSES))
def test_pixel_losses_are_float32_for_half_precision(kind):
    images = torch.zeros(1, 3, 2, 2, dtype=torch.bfloat16)
    assert PIXEL_LOSSES[kind](images, images + 1).dtype == torch.float32
