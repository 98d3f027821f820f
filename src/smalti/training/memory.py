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
    kept: dict[int, torch.UntypedStorage] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()  # views of a tensor, and of a weight, share it
        kept[storage._cdata] = storage  # held, so that no other gets its number
        return tensor

    with FakeTensorMode(), torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        module = build()
        module(make_inputs())
    weights = {parameter.untyped_storage()._cdata for parameter in module.parameters()}
    return sum(storage.nbytes() for number, storage in kept.items() if number not in weights)
