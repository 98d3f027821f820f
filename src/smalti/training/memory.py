"""How much memory training takes, known before any of it is used."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode


def saved_bytes(build: Callable[[], nn.Module], make_inputs: Callable[[], Tensor]) -> int:
    """Bytes that a forward pass in float32 keeps for the backward pass.

    Both are made of fake tensors, which have shapes but no values: nothing is computed.

    Args:
        build: makes the model.
        make_inputs: makes the inputs of one step.
    """
    kept: dict[int, Tensor] = {}

    def keep(tensor: Tensor) -> Tensor:
        kept[id(tensor)] = tensor  # held, so that no other tensor gets its number
        return tensor

    with FakeTensorMode(), torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        module = build()
        module(make_inputs())
    weights = {id(parameter) for parameter in module.parameters()}
    activations = (tensor for number, tensor in kept.items() if number not in weights)
    return sum(tensor.numel() * tensor.element_size() for tensor in activations)
