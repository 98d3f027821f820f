import math

import pytest
import torch

from smalti.metrics.nll import bits_per_dimension, nats_per_token, uniform_nats_per_token


def test_uniform_logits_cost_the_logarithm_of_the_vocabulary():
    nats = nats_per_token(torch.zeros(2, 5, 37), torch.randint(37, (2, 5)))
    torch.testing.assert_close(nats, torch.full((2,), uniform_nats_per_token(37)))
    assert uniform_nats_per_token(37) == pytest.approx(math.log(37))


def test_nats_of_each_image_by_hand():
    probabilities = torch.tensor([[[0.5, 0.5], [0.25, 0.75]], [[0.9, 0.1], [0.2, 0.8]]])
    nats = nats_per_token(probabilities.log(), torch.tensor([[0, 0], [1, 1]]))
    expected = [-(math.log(0.5) + math.log(0.25)) / 2, -(math.log(0.1) + math.log(0.8)) / 2]
    torch.testing.assert_close(nats, torch.tensor(expected))


def test_half_precision_logits_are_summed_in_float32():
    logits = torch.zeros(1, 1, 16384, dtype=torch.bfloat16)
    assert nats_per_token(logits, torch.zeros(1, 1, dtype=torch.int64)).item() == pytest.approx(
        math.log(16384)
    )


def test_bits_per_dimension_by_hand():
    # 64 tokens of one byte each (8 bits) for 32x32x3 values
    assert bits_per_dimension(8 * math.log(2), 64, 32, 32) == pytest.approx(512 / 3072)
