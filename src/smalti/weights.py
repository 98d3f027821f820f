"""Counts the parameters of a network and hashes its weights."""

import hashlib
from collections.abc import Mapping

import torch
from torch import Tensor, nn


def count_parameters(network: nn.Module) -> int:
    """Number of parameters of a network."""
    return sum(parameter.numel() for parameter in network.parameters())


def weights_hash(network: nn.Module) -> str:
    """SHA-256 over names and values of all weights and buffers of a network."""
    return tensors_hash(network.state_dict())


def tensors_hash(tensors: Mapping[str, Tensor], settings: str = "") -> str:
    """SHA-256 over a text and the names and values of tensors, whatever their order."""
    digest = hashlib.sha256(settings.encode())
    for name, tensor in sorted(tensors.items()):
        digest.update(name.encode())
        # As bytes: numpy has no bfloat16.
        flat = tensor.detach().cpu().contiguous().reshape(-1)
        digest.update(flat.view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
