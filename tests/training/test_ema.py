"""The average of a model's weights."""

import pytest
import torch
from torch import nn

from smalti.training.ema import EMA


def model_with(value: float) -> nn.Linear:
    module = nn.Linear(1, 1)
    nn.init.constant_(module.weight, value)
    nn.init.constant_(module.bias, value)
    return module


def test_average_by_hand():
    """Decays 0.1 at step 0 and 2/11 at step 1, from 0 towards 1 and then 3."""
    average = EMA(model_with(0.0), decay=0.9)
    average.update(model_with(1.0), step=0)
    assert average.model.weight.item() == pytest.approx(0.9)
    average.update(model_with(3.0), step=1)
    assert average.model.bias.item() == pytest.approx(0.9 * 2 / 11 + 3.0 * 9 / 11)


def test_decay_stops_rising_at_the_one_asked_for():
    average = EMA(model_with(0.0), decay=0.75)
    average.update(model_with(1.0), step=1000)
    assert average.model.weight.item() == pytest.approx(0.25)


def test_no_decay_copies():
    average = EMA(model_with(0.0), decay=0.0)
    average.update(model_with(5.0), step=7)
    assert average.model.weight.item() == 5.0


def test_average_has_weights_of_its_own():
    model = model_with(1.0)
    average = EMA(model, decay=0.5)
    nn.init.zeros_(model.weight)
    assert average.model.weight.item() == 1.0
    assert not any(parameter.requires_grad for parameter in average.model.parameters())


def test_buffers_are_copied():
    model = nn.BatchNorm1d(2)
    average = EMA(model, decay=0.99)
    model(torch.tensor([[0.0, 4.0], [2.0, 8.0]]))
    average.update(model, step=0)
    assert torch.equal(average.model.running_mean, model.running_mean)
    assert average.model.num_batches_tracked.item() == 1
