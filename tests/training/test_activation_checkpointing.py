"""Activation checkpointing trains what training without it does, and computes blocks twice."""

import copy
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor

from smalti.compute import Compute
from smalti.prior.base import GridSizes
from smalti.prior.build import PriorModel, build_prior
from smalti.prior.config import PriorConfig
from smalti.prior.gpt.config import GPT2Config, GPTConfig
from smalti.prior.local.config import LocalConfig
from smalti.prior.pixelsnail.config import PixelSNAILConfig
from smalti.runs.config import PriorRunConfig, VQGANRunConfig
from smalti.runs.prior import prior_state, prior_step_config
from smalti.runs.vqgan import vqgan_state
from smalti.sampling.prior_model import PriorModelConfig
from smalti.tokenizer.config import VQGANConfig
from smalti.tokenizer.vqgan import VQGAN
from smalti.training.activation_checkpointing import checkpoint_activations
from smalti.training.prior.code_batch import CodeBatch
from smalti.training.prior.step import prior_step
from smalti.training.vqgan.step import VQGANStepConfig, vqgan_step

TINY = VQGANConfig(channels=8, channel_multipliers=(1, 1), code_dim=8, codebook_size=16)
SIZES = GridSizes(11, 13, cond_length=2, grid_height=3, grid_width=4)
OPTIONS = {"width": 16, "heads": 2, "dropout": 0.3}
PRIORS: dict[str, PriorConfig] = {
    "gpt2": GPT2Config(layers=2, **OPTIONS),
    "gpt": GPTConfig(layers=2, class_by="norm", **OPTIONS),
    "local": LocalConfig(layers=2, **OPTIONS),
    "pixelsnail": PixelSNAILConfig(blocks=2, **OPTIONS),
}


def new_network(kind: str) -> PriorModel | VQGAN:
    """The same weights at every call, of which none is zero, so that every gradient counts."""
    torch.manual_seed(0)
    network = VQGAN(TINY) if kind == "vqgan" else build_prior(PRIORS[kind], SIZES)
    with torch.no_grad():
        for weight in network.parameters():
            weight += 0.1 * torch.randn_like(weight)
    return network


def backward(network: PriorModel | VQGAN) -> dict[str, Tensor]:
    """Gradients of all weights, from the same inputs and random numbers at every call."""
    torch.manual_seed(1)
    if isinstance(network, VQGAN):
        network(torch.randn(2, 3, 8, 8)).reconstructions.square().mean().backward()
    else:
        network(torch.randint(11, (3, 13))).square().mean().backward()
    return {name: p.grad for name, p in network.named_parameters() if p.grad is not None}


def calls_of_blocks(network: PriorModel | VQGAN) -> list[int]:
    """Filled with the calls of each block, counted at the first layer in it."""
    counts = [0] * len(network.blocks)

    def count(number: int) -> None:
        counts[number] += 1

    for number, block in enumerate(network.blocks):
        first = next(module for module in block.modules() if not list(module.children()))
        first.register_forward_pre_hook(lambda *_, number=number: count(number))
    return counts


@pytest.mark.parametrize("kind", ["vqgan", *PRIORS])
def test_gradients_are_the_same_and_each_block_is_computed_twice(kind):
    """Dropout included."""
    network = new_network(kind)
    kept, checkpointed = copy.deepcopy(network), network
    checkpoint_activations(checkpointed.blocks)
    calls = [calls_of_blocks(kept), calls_of_blocks(checkpointed)]
    expected, found = backward(kept), backward(checkpointed)
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], gradient) for name, gradient in expected.items())
    assert calls == [[1] * len(kept.blocks), [2] * len(kept.blocks)]


def test_blocks_of_a_tokenizer_are_all_of_its_residual_and_non_local_blocks():
    """One at each of two levels of the encoder, two of the decoder, two in each middle; attention
    follows those of the lower level, and is in each middle."""
    names = [type(block).__name__ for block in VQGAN(TINY).blocks]
    assert names.count("ResidualBlock") == 2 + 2 * 2 + 2 * 2
    assert names.count("NonLocalAttention") == 1 + 2 + 2
    assert len(names) == 15


@pytest.mark.parametrize("kind", ["vqgan", *PRIORS])
def test_nothing_is_computed_twice_without_gradients(kind):
    network = new_network(kind)
    checkpoint_activations(network.blocks)
    calls = calls_of_blocks(network)
    with torch.no_grad():
        network(torch.zeros(1, 3, 8, 8) if kind == "vqgan" else torch.zeros(1, 13).long())
    assert calls == [1] * len(calls)


# Whole steps


class Trained(NamedTuple):
    """What two steps left."""

    weights: dict[str, Tensor]
    """Of the network, and of its average."""
    scalars: list[dict[str, Tensor]]
    calls: list[int]
    """Of each block of the network."""


def weights_of(state: Any, network: PriorModel | VQGAN) -> dict[str, Tensor]:
    averages = state.average.model.state_dict()
    return network.state_dict() | {f"average.{name}": value for name, value in averages.items()}


def vqgan_trained(dtype: torch.dtype, **training: Any) -> Trained:
    """Two steps of stage 1, with the adversary at full weight and a quantizer that draws."""
    options = {
        "data": ("none",),
        "vqgan": TINY.model_dump() | {"quantizer": {"kind": "gumbel"}},
        "discriminator": {"filters": 4, "layers": 1, "norm": "spectral"},
        "loss": {
            "perceptual": {"kind": "none"},
            "adversary": {"start": 0, "warmup": 0, "ramp": 0},
        },
        "training": training,
    }
    config = VQGANRunConfig.model_validate(options)
    state = vqgan_state(config, Compute(torch.device("cpu"), dtype))
    calls = calls_of_blocks(state.vqgan)
    torch.manual_seed(1)
    images = 2 * torch.rand(4, 3, 16, 16) - 1
    step_config = VQGANStepConfig(config.loss, config.training.accumulation_steps)
    scalars = [vqgan_step(state, images, step_config) for _ in range(2)]
    return Trained(weights_of(state, state.vqgan), scalars, calls)


def prior_trained(kind: str, dtype: torch.dtype, **training: Any) -> Trained:
    """Two steps of stage 2 with dropout and replaced tokens, in two chunks each."""
    prior = PRIORS[kind].model_dump() | ({"class_by": "token"} if kind == "gpt" else {})
    model = PriorModelConfig(
        prior=prior, vocab_size=11, max_length=12, codebook_size=10, grid_height=3, grid_width=4
    )
    options = {
        "data": ("none",),
        "token_keep": 0.8,
        "prior": prior,
        "training": {"accumulation_steps": 2} | training,
    }
    config = PriorRunConfig.model_validate(options)
    state = prior_state(config, model, Compute(torch.device("cpu"), dtype))
    calls = calls_of_blocks(state.prior)
    torch.manual_seed(1)
    conditioning = model.build_conditioning()
    batch = CodeBatch([""] * 4, torch.randint(10, (4, 3, 4)), conditioning.blank(4))
    step_config = prior_step_config(config, model, conditioning)
    scalars = [prior_step(state, batch, step_config) for _ in range(2)]
    return Trained(weights_of(state, state.prior), scalars, calls)


def check_same(kept: Trained, checkpointed: Trained) -> None:
    """Both have trained the same, bit for bit, and one of them has called its blocks more often."""
    for ours, theirs in zip(
        [checkpointed.weights, *checkpointed.scalars], [kept.weights, *kept.scalars], strict=True
    ):
        assert ours.keys() == theirs.keys()
        assert all(torch.equal(ours[name], tensor) for name, tensor in theirs.items())
    assert min(checkpointed.calls) > max(kept.calls)


@pytest.mark.parametrize(
    ("dtype", "accumulation_steps"), [(torch.bfloat16, 1), (torch.float32, 1), (torch.float32, 2)]
)
def test_tokenizer_is_trained_the_same(dtype, accumulation_steps):
    kept, checkpointed = (
        vqgan_trained(dtype, accumulation_steps=accumulation_steps, activation_checkpointing=choice)
        for choice in (False, True)
    )
    assert "adaptive_weight" in kept.scalars[0]
    check_same(kept, checkpointed)


@pytest.mark.parametrize(
    ("kind", "dtype"), [("gpt2", torch.bfloat16), *((kind, torch.float32) for kind in PRIORS)]
)
def test_prior_is_trained_the_same(kind, dtype):
    check_same(
        *(prior_trained(kind, dtype, activation_checkpointing=choice) for choice in (False, True))
    )
