"""What a step takes, by hand on small networks."""

import torch
from torch import nn

from smalti.compute import Compute
from smalti.losses.build import choose_perceptual
from smalti.losses.config import PatchDiscriminatorConfig, PerceptualConfig
from smalti.losses.discriminator import PatchDiscriminator
from smalti.prior.base import SequenceSizes
from smalti.prior.gpt.config import GPT2Config
from smalti.prior.gpt.model import GPT
from smalti.runs import cost as costs
from smalti.runs.cost import (
    StepCost,
    forward_cost,
    prior_cost,
    time_of_step,
    vqgan_cost,
)
from smalti.sequence.layout import Layout
from smalti.tokenizer.config import VQGANConfig
from smalti.tokenizer.vqgan import VQGAN
from smalti.training.config import TrainingConfig
from smalti.weights import count_parameters

CPU = Compute(torch.device("cpu"), torch.float32)
CARD = Compute(torch.device("cuda"), torch.bfloat16)
LAYOUT = Layout(codebook_size=16, cond_length=1, cond_vocab_size=1, image_length=8)
SIZES = SequenceSizes(vocab_size=17, max_length=8)
SHAPE = GPT2Config(layers=2, heads=2, width=16, dropout=0.1)
CHECKPOINTED = {"activation_checkpointing": True}
TINY = VQGANConfig(channels=8, channel_multipliers=(1, 1), code_dim=8, codebook_size=16)


def batches(size: int, chunks: int = 1) -> TrainingConfig:
    return TrainingConfig(batch_size=size, accumulation_steps=chunks)


def test_operations_of_two_layers():
    def layers() -> nn.Module:
        return nn.Sequential(nn.Linear(5, 7), nn.ReLU(), nn.Linear(7, 3))

    assert forward_cost(layers, lambda: torch.zeros(11, 5)).operations == 2 * 11 * (35 + 21)


def test_operations_of_a_transformer():
    """Twelve squares of the width a block and token, the head, and attention over all pairs."""
    shape = SHAPE.model_copy(update={"dropout": 0.0})
    found = forward_cost(lambda: GPT(shape, SIZES), lambda: torch.zeros(3, 8, dtype=torch.int64))
    weights = 2 * (12 * 16 * 16) + 16 * 17
    attention = 2 * (8 * 16 + 8 * 16)
    assert found.operations == 2 * 3 * 8 * (weights + attention)


def test_largest_chunk_counts():
    assert batches(32, 8).chunk_images == 4
    assert batches(10, 4).chunk_images == 3


def test_state_of_a_prior_is_five_copies_of_its_weights():
    found = prior_cost(lambda: GPT(SHAPE, SIZES), LAYOUT, batches(2), CPU, frozen_bytes=100)
    assert found.state_bytes == 5 * 4 * count_parameters(GPT(SHAPE, SIZES)) + 100
    assert found.memory_bytes == found.state_bytes + found.activation_bytes


def test_chunks_save_memory_and_no_operations():
    whole = prior_cost(lambda: GPT(SHAPE, SIZES), LAYOUT, batches(8), CPU)
    chunks = prior_cost(lambda: GPT(SHAPE, SIZES), LAYOUT, batches(8, 4), CPU)
    assert chunks.operations == whole.operations
    assert chunks.activation_bytes < whole.activation_bytes / 3


def test_activation_checkpointing_of_a_prior_saves_memory_and_repeats_its_blocks():
    kept, checkpointed = (
        prior_cost(lambda: GPT(SHAPE, SIZES), LAYOUT, training, CPU)
        for training in (batches(8), batches(8).model_copy(update=CHECKPOINTED))
    )
    assert checkpointed.activation_bytes < 0.7 * kept.activation_bytes
    assert checkpointed.state_bytes == kept.state_bytes
    head = 2 * 8 * 8 * 16 * 17
    # The forward pass is a third of all, and the head is no block.
    assert checkpointed.operations == kept.operations + kept.operations // 3 - head


def test_activation_checkpointing_of_a_tokenizer_saves_memory_and_takes_operations():
    perceptual = choose_perceptual(PerceptualConfig(kind="none"))
    kept, checkpointed = (
        vqgan_cost(TINY, None, perceptual, (16, 16), training, CPU)
        for training in (batches(8), batches(8).model_copy(update=CHECKPOINTED))
    )
    assert checkpointed.activation_bytes < 0.7 * kept.activation_bytes
    assert checkpointed.state_bytes == kept.state_bytes
    assert 1.2 * kept.operations < checkpointed.operations < 4 / 3 * kept.operations


def test_a_graphics_card_keeps_less():
    """Half the bytes for most numbers, and no weights of attention."""
    on_cpu = prior_cost(lambda: GPT(SHAPE, SIZES), LAYOUT, batches(8), CPU)
    on_card = prior_cost(lambda: GPT(SHAPE, SIZES), LAYOUT, batches(8), CARD)
    assert on_card.activation_bytes < 0.8 * on_cpu.activation_bytes


def test_state_of_a_tokenizer_has_its_adversary():
    judge = PatchDiscriminatorConfig(filters=4, layers=1)
    perceptual = choose_perceptual(PerceptualConfig(kind="none"))
    alone = vqgan_cost(TINY, None, perceptual, (16, 16), batches(2), CPU)
    both = vqgan_cost(TINY, judge, perceptual, (16, 16), batches(2), CPU)
    assert alone.state_bytes == 5 * 4 * count_parameters(VQGAN(TINY))
    extra = both.state_bytes - alone.state_bytes
    assert extra == 4 * 4 * count_parameters(PatchDiscriminator(judge))
    assert both.activation_bytes > alone.activation_bytes
    assert both.operations > alone.operations


def test_a_small_step_is_measured():
    calls = []
    found = time_of_step(lambda: lambda: calls.append(1), StepCost(10, 10, 1000), CPU)
    assert found.speed is None
    assert found.seconds < 1
    assert len(calls) == 1 + costs.MEASURED_STEPS


def test_a_step_without_room_or_of_minutes_is_reckoned(monkeypatch):
    monkeypatch.setattr(costs, "operations_per_second", lambda _compute: 1e9)
    monkeypatch.setattr(costs, "free_bytes", lambda _device: 1000)

    def prepare():
        raise AssertionError("nothing may be built")

    for cost in (StepCost(900, 100, 2 * 10**9), StepCost(1, 1, 10**12)):
        found = time_of_step(prepare, cost, CPU)
        assert (found.seconds, found.speed) == (cost.operations / 1e9, 1e9)
