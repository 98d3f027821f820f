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


def test_checkpointed_block_keeps_its_inputs_and_needs_the_rest_for_a_while():
    """Both keep 5 numbers of an example. The most is there while the second is computed again."""

    def network() -> nn.Sequential:
        return nn.Sequential(*(nn.Sequential(two_layers(), nn.Linear(3, 5)) for _ in range(2)))

    cost = forward_cost(network, lambda: torch.zeros(11, 5), checkpointed=lambda blocks: blocks)
    inside = 7 + 3  # inputs of the other two layers
    assert cost.saved_bytes == 11 * (5 + 5) * FLOAT
    assert cost.peak_bytes == 11 * (5 + 5 + inside) * FLOAT
    assert cost.repeated_operations == cost.operations > 0


def test_what_follows_checkpointed_blocks_may_need_more_than_they():
    def network() -> nn.Sequential:
        return nn.Sequential(two_layers(), *(nn.Linear(3, 3) for _ in range(9)))

    cost = forward_cost(network, lambda: torch.zeros(11, 5), checkpointed=lambda model: model[:1])
    assert cost.saved_bytes == cost.peak_bytes == 11 * (5 + 9 * 3) * FLOAT
    assert cost.repeated_operations == 2 * 11 * (5 * 7 + 7 * 3)


def test_autocast_holds_rounded_weights_of_checkpointed_blocks_in_the_forward_pass():
    def autocast() -> torch.autocast:
        return torch.autocast("cpu", torch.bfloat16)

    def network() -> nn.Sequential:
        return nn.Sequential(*(nn.Linear(64, 64, bias=False) for _ in range(3)))

    cost = forward_cost(network, lambda: torch.zeros(1, 64), autocast, lambda blocks: blocks)
    assert cost.peak_bytes == cost.saved_bytes + 3 * 64 * 64 * 2


def test_leaves_no_fake_tensors_behind():
    saved_bytes(2)
    assert two_layers()(torch.ones(2, 5)).isfinite().all()
