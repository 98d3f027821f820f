"""Cost of a step of either stage: memory, from the shapes alone, and time.

Axes: B batch, C channels, H/W image size in pixels, L sequence length.
"""

import contextlib
import copy
import functools
import os
import statistics
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils.flop_counter import FlopCounterMode

from smalti.compute import Compute
from smalti.content_images import content_images
from smalti.losses.config import PatchDiscriminatorConfig
from smalti.losses.discriminator import Judge, PatchDiscriminator
from smalti.losses.perceptual import PerceptualLoss
from smalti.metrics.nll import nats_per_token
from smalti.prior.attention import CausalSelfAttention
from smalti.prior.build import PriorModel
from smalti.sequence.layout import Layout
from smalti.tokenizer.config import VQGANConfig
from smalti.tokenizer.vqgan import VQGAN
from smalti.training.config import TrainingConfig
from smalti.weights import count_parameters

FLOAT_BYTES = 4
LEARNED_COPIES = 4  # a weight, its gradient, and Adam's two averages of that
PRODUCT_SIDE = 1024  # of the matrices whose product tells how fast a processor is
GPU_PRODUCT_SIDE = 8192
MEASURED_STEPS = 1  # after one that does not count
LONGEST_MEASURED_SECONDS = 10.0  # of a step at the speed of matrix products
MOST_MEMORY = 0.8  # share of the free memory that a step may take and be tried

N = TypeVar("N", bound=nn.Module)


@dataclass(frozen=True, slots=True)
class ForwardCost:
    """Memory and operations of a forward pass."""

    saved_bytes: int
    """Memory of what is kept for the backward pass, beside the weights."""
    operations: int
    """Number of multiplications and additions in convolutions and matrix products."""
    peak_bytes: int
    """Most memory of both passes, beside the weights: `saved_bytes`, and with activation
    checkpointing what one block needs at a time."""
    repeated_operations: int
    """Number of the operations that the backward pass does again."""


@dataclass(frozen=True, slots=True)
class StepCost:
    """Memory and operations of a step."""

    state_bytes: int
    """Memory of weights, gradients, Adam's averages, averaged weights and frozen networks."""
    activation_bytes: int
    """Most memory that the activations of one chunk of a batch take."""
    operations: int
    """Number of multiplications and additions of a whole step."""

    @property
    def memory_bytes(self) -> int:
        """Memory of the state and the activations."""
        return self.state_bytes + self.activation_bytes


@dataclass(frozen=True, slots=True)
class StepTime:
    """Time of a step, measured or estimated."""

    seconds: float
    speed: float | None
    """None if real steps were measured; else the operations per second of a large matrix product,
    by which the time was estimated. Real steps are slower than that."""
    free_bytes: int | None
    """Free memory of the device, or None if it is not known."""


def time_of_step(
    prepare: Callable[[], Callable[[], object]], cost: StepCost, compute: Compute
) -> StepTime:
    """Measure the time of a step if it fits and takes seconds only, else estimate it.

    `prepare` makes the networks, and returns a function that takes a step.
    """
    free, speed = free_bytes(compute.device), operations_per_second(compute)
    fits = free is None or cost.memory_bytes < MOST_MEMORY * free
    if fits and cost.operations / speed < LONGEST_MEASURED_SECONDS:
        return StepTime(seconds_of(prepare(), compute.device, MEASURED_STEPS), None, free)
    return StepTime(cost.operations / speed, speed, free)


def prior_cost(
    build: Callable[[], PriorModel],
    layout: Layout,
    training: TrainingConfig,
    compute: Compute,
    frozen_bytes: int = 0,
) -> StepCost:
    """Cost of a step of stage 2; `build` makes the prior, `frozen_bytes` are of the tokenizers."""
    tokens = (training.chunk_images, layout.input_length)
    forward = forward_cost(
        lambda: _PriorLoss(_as_on(compute, build()), layout),
        lambda: torch.zeros(tokens, dtype=torch.int64),
        lambda: _autocast(compute),
        lambda loss: loss.prior.blocks if training.activation_checkpointing else (),
    )
    with torch.device("meta"):
        weights = weight_bytes(build())
    # A backward pass is two products for each one of the forward pass.
    operations = 3 * forward.operations + forward.repeated_operations
    return StepCost(
        state_bytes=(LEARNED_COPIES + 1) * weights + frozen_bytes,
        activation_bytes=forward.peak_bytes,
        operations=training.accumulation_steps * operations,
    )


def vqgan_cost(
    config: VQGANConfig,
    discriminator: PatchDiscriminatorConfig | None,
    perceptual: PerceptualLoss,
    size: tuple[int, int],
    training: TrainingConfig,
    compute: Compute,
) -> StepCost:
    """Cost of a step of stage 1 on images of (H, W), once the generator loss has a weight."""
    content, images = config.content, training.chunk_images
    shape = (images, content.channels, *size)
    autoencoder = forward_cost(
        lambda: VQGAN(config),
        lambda: content_images(content).blank(images, *size),
        lambda: _autocast(compute),
        lambda vqgan: vqgan.blocks if training.activation_checkpointing else (),
    )
    compared = forward_cost(
        lambda: _OnReconstructions(copy.deepcopy(perceptual)),
        lambda: torch.zeros(shape, requires_grad=True),
    )
    with torch.device("meta"):
        weights = (LEARNED_COPIES + 1) * weight_bytes(VQGAN(config)) + weight_bytes(perceptual)
    judged, extra_passes = ForwardCost(0, 0, 0, 0), 0
    if discriminator is not None:
        judged = forward_cost(
            lambda: _OnReconstructions(Judge(PatchDiscriminator(discriminator, content.channels))),
            lambda: torch.zeros(shape, requires_grad=True),
            lambda: _autocast(compute),
        )
        extra_passes = int(training.accumulation_steps > 1)
        with torch.device("meta"):
            weights += LEARNED_COPIES * weight_bytes(
                PatchDiscriminator(discriminator, content.channels)
            )
    # Half of the losses' inputs are images, which need no gradient.
    of_losses = (3 * compared.operations + 7 * judged.operations) // 2
    operations = (3 + extra_passes) * autoencoder.operations + of_losses
    operations += autoencoder.repeated_operations
    # Each loss is differentiated down to the reconstructions before the next one.
    with_loss = autoencoder.saved_bytes + max(compared.saved_bytes, judged.saved_bytes)
    return StepCost(
        state_bytes=weights,
        activation_bytes=max(with_loss, autoencoder.peak_bytes),
        operations=training.accumulation_steps * operations,
    )


def weight_bytes(module: nn.Module) -> int:
    """Memory of a network's parameters in float32."""
    return FLOAT_BYTES * count_parameters(module)


def operations_per_second(compute: Compute) -> float:
    """Speed of a large matrix product on a device, in its number format."""
    on_gpu = compute.device.type != "cpu"
    side = GPU_PRODUCT_SIDE if on_gpu else PRODUCT_SIDE
    matrix = torch.ones(side, side, device=compute.device, dtype=compute.dtype)
    seconds = seconds_of(lambda: matrix @ matrix, compute.device, repeats=5)
    return 2 * side**3 / seconds


def seconds_of(call: Callable[[], object], device: torch.device, repeats: int) -> float:
    """Median time of a call, after one that does not count."""
    times = []
    for _ in range(repeats + 1):
        started = time.perf_counter()
        call()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        times.append(time.perf_counter() - started)
    return statistics.median(times[1:])


def free_bytes(device: torch.device) -> int | None:
    """Free memory of a device, or None if it is not known."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    if device.type == "cpu" and "SC_AVPHYS_PAGES" in getattr(os, "sysconf_names", ()):
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return None


def forward_cost(
    build: Callable[[], N],
    make_inputs: Callable[[], Tensor],
    autocast: Callable[[], contextlib.AbstractContextManager[object]] = contextlib.nullcontext,
    checkpointed: Callable[[N], Iterable[nn.Module]] = lambda _: (),
) -> ForwardCost:
    """Cost of a forward pass, with fake tensors, which have shapes: no values are computed.

    `build` makes the model, or copies one that exists. It runs in the context `autocast`; without
    one it is float32. `checkpointed` gives the blocks of the model that keep only their inputs.
    """
    counter = FlopCounterMode(display=False, custom_mapping=ATTENTION)
    with FakeTensorMode(allow_non_fake_inputs=True), counter:
        module, inputs = build(), make_inputs()
        forward = _Forward(module, counter)
        blocks = list(checkpointed(module))
        for block in blocks:
            block.forward = functools.partial(forward.run_checkpointed, block.forward)
        with autocast(), torch.autograd.graph.saved_tensors_hooks(forward.keep, lambda kept: kept):
            module(inputs)
            is_rounded = torch.is_autocast_enabled("cpu")
    # Autocast holds the weights that it has rounded until the forward pass ends.
    rounded = sum(map(weight_bytes, blocks)) // 2 if is_rounded else 0
    return ForwardCost(
        saved_bytes=forward.kept_bytes,
        operations=counter.get_total_flops(),
        peak_bytes=max(forward.peak_bytes, forward.kept_bytes + rounded),
        repeated_operations=forward.repeated_operations,
    )


class _Forward:
    """What the forward pass of a model keeps for the backward pass."""

    def __init__(self, model: nn.Module, counter: FlopCounterMode) -> None:
        self._counter = counter
        self._weights = {weight.untyped_storage()._cdata for weight in model.parameters()}
        self._kept: dict[int, torch.UntypedStorage] = {}
        self.peak_bytes = 0
        self.repeated_operations = 0

    def keep(self, tensor: Tensor) -> Tensor:
        """Count a tensor; weights are there anyway."""
        storage = tensor.untyped_storage()  # views of a tensor, and of a weight, share it
        if storage._cdata not in self._weights:
            self._kept[storage._cdata] = storage  # held, so that no other gets its number
        return tensor

    @property
    def kept_bytes(self) -> int:
        """Memory of all that is kept."""
        return sum(storage.nbytes() for storage in self._kept.values())

    def run_checkpointed(self, forward: Callable[..., object], *inputs: object) -> object:
        """Run a block that keeps only its inputs.

        When the backward pass comes to it, what was kept before it is there still, and beside that
        for a while all that the block needs.
        """
        for one in inputs:
            if isinstance(one, Tensor):
                self.keep(one)
        before, self._kept = self._kept, dict(self._kept)
        operations = self._counter.get_total_flops()
        outputs = forward(*inputs)
        self.repeated_operations += self._counter.get_total_flops() - operations
        self.peak_bytes = max(self.peak_bytes, self.kept_bytes)
        self._kept = before
        return outputs


def _attention_operations(
    queries: torch.Size, keys: torch.Size, values: torch.Size, *_: Any, **__: Any
) -> int:
    """Operations of fused attention, from the shapes (B, H, L, C) of its inputs."""
    # A product of queries with keys, and one of weights with values; a mask saves nothing here.
    rows = queries.numel() // queries[-1]
    return 2 * rows * keys[-2] * (keys[-1] + values[-1])


# The one kernel of attention that the counter does not know: the processor's.
ATTENTION = {torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: _attention_operations}


class _PriorLoss(nn.Module):
    """A prior with its loss, which stores activations too."""

    def __init__(self, prior: PriorModel, layout: Layout) -> None:
        super().__init__()
        self.prior, self.layout = prior, layout

    def forward(self, tokens: Tensor) -> Tensor:
        """NLL in nats per token, a scalar, of tokens (B, L) int64."""
        logits = self.layout.image_logits(self.prior(tokens))
        targets = tokens.new_zeros(len(tokens), self.layout.image_length)
        return nats_per_token(logits, targets).mean()


class _OnReconstructions(nn.Module):
    """A network that takes images and their reconstructions."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, reconstructions: Tensor) -> object:
        """Call the network on reconstructions (B, C, H, W) that are equal to their images."""
        return self.network(reconstructions.detach(), reconstructions)


def _as_on(compute: Compute, prior: PriorModel) -> PriorModel:
    """Make a prior store what it would on a device, although shapes are followed on the CPU."""
    if compute.device.type == "cuda":
        # Fused attention drops weights without keeping them; the processor's does not drop.
        for module in prior.modules():
            if isinstance(module, CausalSelfAttention):
                module.dropout = 0.0
    return prior


def _autocast(compute: Compute) -> torch.autocast:
    return torch.autocast("cpu", torch.bfloat16, enabled=compute.dtype == torch.bfloat16)
