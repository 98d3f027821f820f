"""Memory that training takes, by hand on two layers."""

import torch
from torch import nn

from smalti.runs.cost import forward_cost

FLOAT = 4  # bytes


def two_layers() -> nn.Module:
    return nn.Sequential(nn.Linear(5, 7), nn.ReLU(), nn.Linear(7, 3))


def saved_bytes(batch_size: int) -> int:
    return forward_cost(two_layers, lambda: torch.zeros(batch_size, 5)).saved_bytes


def test_inputs_of_linear_layers_and_outputs_of_relu_are_kept_once():
    """The second layer keeps what the ReLU keeps: 7 numbers, not 14; weights do not count."""
    assert saved_bytes(11) == 11 * (5 + 7) * FLOAT


def test_grows_with_the_batch_and_computes_nothing():
    """A batch of this size would take terabytes."""
    assert saved_bytes(10**11) == 10**11 * (5 + 7) * FLOAT


def test_leaves_no_fake_tensors_behind():
    saved_bytes(2)
    assert two_layers()(torch.ones(2, 5)).isfinite().all()
