"""How much memory training takes, known before any of it is used."""

import torch
from torch import Tensor, nn


def saved_bytes(module: nn.Module, inputs: Tensor) -> int:
    """Bytes that a forward pass in float32 keeps for the backward pass.

    Args:
        module: on the meta device, in which nothing is computed or allocated.
        inputs: of one step, on the meta device.
    """
    weights = {id(parameter) for parameter in module.parameters()}
    kept: dict[int, Tensor] = {}

    def keep(tensor: Tensor) -> Tensor:
        if id(tensor) not in weights:
            kept[id(tensor)] = tensor  # held, so that no other tensor gets its number
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        module(inputs)
    return sum(tensor.numel() * tensor.element_size() for tensor in kept.values())
