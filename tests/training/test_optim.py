"""The optimizer and its schedule."""

import pytest
import torch
from torch import nn

from smalti.training.config import OptimizerConfig
from smalti.training.optim import ScheduledAdamW, learning_rate_at


@pytest.mark.parametrize(
    ("step", "rate"),
    [
        (0, 0.25),  # a quarter of the way up
        (3, 1.0),
        (4, 1.0),  # the cosine begins
        (8, 0.55),  # half way: 0.1 + 0.9 / 2
        (12, 0.1),
        (20, 0.1),  # resumed with fewer steps than it has done: stays at the end
    ],
)
def test_learning_rate_by_hand(step, rate):
    config = OptimizerConfig(learning_rate=1.0, warmup_steps=4, final_factor=0.1)
    assert learning_rate_at(step, 12, config) == pytest.approx(rate)


def test_learning_rate_is_constant_when_asked():
    config = OptimizerConfig(learning_rate=0.3, warmup_steps=0, final_factor=1)
    assert {learning_rate_at(step, 10, config) for step in range(10)} == {0.3}


def test_warm_up_as_long_as_the_run_ends_at_the_highest_rate():
    config = OptimizerConfig(learning_rate=1.0, warmup_steps=5)
    assert learning_rate_at(4, 5, config) == 1.0


def test_only_matrices_and_convolutions_decay():
    module = nn.Sequential(nn.Conv2d(1, 2, 3), nn.GroupNorm(1, 2), nn.Linear(2, 2))
    decaying, others = ScheduledAdamW(module, OptimizerConfig(weight_decay=0.1), 10).param_groups
    assert decaying["weight_decay"] == 0.1
    assert others["weight_decay"] == 0
    expected = [module[0].weight, module[2].weight]
    assert all(a is b for a, b in zip(decaying["params"], expected, strict=True))
    assert len(others["params"]) == 4


def test_frozen_weights_are_left_out():
    module = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2).requires_grad_(False))
    groups = ScheduledAdamW(module, OptimizerConfig(), 10).param_groups
    assert sum(len(group["params"]) for group in groups) == 2


def gradient_step(
    gradient: float, clip_norm: float, factor: float = 1.0
) -> tuple[ScheduledAdamW, list[float], torch.Tensor]:
    """One step at the rate 1 on a weight of 0, with what the optimizer got as gradient."""
    module = nn.Linear(1, 1, bias=False)
    nn.init.zeros_(module.weight)
    module.weight.grad = torch.full((1, 1), gradient)
    config = OptimizerConfig(
        learning_rate=1.0, warmup_steps=0, final_factor=1, weight_decay=0, clip_norm=clip_norm
    )
    optimizer = ScheduledAdamW(module, config, total_steps=10)
    got: list[float] = []
    optimizer.register_step_pre_hook(lambda *_: got.append(module.weight.grad.item()))
    return optimizer, got, optimizer.update(5, factor=factor)


def test_update_uses_the_rate_and_the_factor_and_clears_the_gradients():
    """The first step of Adam has the length of the rate."""
    optimizer, _, norm = gradient_step(0.5, clip_norm=1.0, factor=0.25)
    assert optimizer.module.weight.item() == pytest.approx(-0.25)
    assert norm.item() == 0.5
    assert optimizer.module.weight.grad is None


def test_update_clips_and_returns_the_norm_before():
    _, got, norm = gradient_step(8.0, clip_norm=2.0)
    assert got == [pytest.approx(2.0, rel=1e-5)]
    assert norm.item() == 8.0
