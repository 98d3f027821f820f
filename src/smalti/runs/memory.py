"""Memory and operations of a forward pass, computed from the shapes alone."""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils.flop_counter import FlopCounterMode

Context = contextlib.AbstractContextManager[object]


@dataclass(frozen=True, slots=True)
class ForwardCost:
    """Memory and operations of a forward pass."""

    saved_bytes: int
    """Memory of what the backward pass needs, beside the weights."""
    operations: int
    """Number of multiplications and additions in convolutions and matrix products."""


def forward_cost(
    build: Callable[[], nn.Module],
    make_inputs: Callable[[], Tensor],
    autocast: Callable[[], Context] = contextlib.nullcontext,
) -> ForwardCost:
    """Cost of a forward pass, with fake tensors, which have shapes but no values.

    No values are computed.

    Args:
        build: makes the model, or copies one that exists.
        make_inputs: makes the inputs of one pass.
        autocast: context in which the model runs; without one it is float32.
    """
    storages: dict[int, torch.UntypedStorage] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()  # views of a tensor, and of a weight, share it
        storages[storage._cdata] = storage  # held, so that no other gets its number
        return tensor

    counter = FlopCounterMode(display=False, custom_mapping=ATTENTION)
    hooks = torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor)
    with FakeTensorMode(allow_non_fake_inputs=True), counter, hooks:
        module, inputs = build(), make_inputs()
        with autocast():
            module(inputs)
    weights = {parameter.untyped_storage()._cdata for parameter in module.parameters()}
    saved = sum(storage.nbytes() for number, storage in storages.items() if number not in weights)
    return ForwardCost(saved, counter.get_total_flops())


def _attention_operations(
    queries: torch.Size, keys: torch.Size, values: torch.Size, *_: Any, **__: Any
) -> int:
    """Operations of fused attention, from the shapes (B, H, L, C) of its inputs."""
    # A product of queries with keys, and one of weights with values; a mask saves nothing here.
    rows = queries.numel() // queries[-1]
    return 2 * rows * keys[-2] * (keys[-1] + values[-1])


# The one kernel of attention that the counter does not know: the processor's.
ATTENTION = {torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: _attention_operations}
