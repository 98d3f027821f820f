import math

import pytest
import torch

from smalti.content import IGNORED
from smalti.losses.reconstruction import PIXEL_LOSSES

cross_entropy = PIXEL_LOSSES["cross_entropy"]


def test_knowing_nothing_costs_the_logarithm_of_the_classes():
    losses = cross_entropy(torch.randint(0, 5, (2, 4, 4)), torch.zeros(2, 5, 4, 4))
    assert losses.tolist() == pytest.approx([math.log(5)] * 2)


def test_ignored_pixels_change_nothing():
    labels, logits = torch.tensor([[[1, 0]]]), torch.randn(1, 3, 1, 2)
    expected = -torch.log_softmax(logits, 1)[0, 1, 0, 0]
    labels[0, 0, 1] = IGNORED
    torch.testing.assert_close(cross_entropy(labels, logits), expected[None])


def test_a_map_without_labels_costs_nothing_and_pulls_nowhere():
    logits = torch.randn(1, 3, 2, 2, requires_grad=True)
    loss = cross_entropy(torch.full((1, 2, 2), IGNORED), logits)
    loss.sum().backward()
    assert loss.tolist() == [0.0]
    assert logits.grad is not None
    assert not logits.grad.any()


def test_it_is_computed_in_float32():
    loss = cross_entropy(
        torch.zeros(1, 2, 2, dtype=torch.int64), torch.randn(1, 3, 2, 2).bfloat16()
    )
    assert loss.dtype == torch.float32
