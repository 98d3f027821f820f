"""Divides the weights of a network among the processes of a run, with PyTorch's FSDP2.

Each process holds a part of each weight, and with it of the gradient, of the optimizer's averages
and of the averaged weights. Whole weights exist only for the block that is being computed, which
the processes gather for it. All processes must call a sharded network equally often.
"""

from typing import cast

import torch
from torch import Tensor, nn
from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.distributed.tensor import DTensor

from smalti.distributed import world_size


def shard(network: nn.Module, device: torch.device) -> None:
    """Divide the weights of a network among all processes, in place; they move to the device.

    They are gathered in float32, so that autocast computes as without sharding.

    Args:
        network: network with its layers in `blocks`, equal in all processes.
        device: device of this process, of the same type in all.
    """
    mesh = init_device_mesh(device.type, (world_size(),))
    for block in cast(nn.ModuleList, network.blocks):
        fully_shard(block, mesh=mesh, reshard_after_forward=True)
    fully_shard(network, mesh=mesh, reshard_after_forward=True)
    if device.type == "cpu":
        for module in network.modules():
            if isinstance(module, FSDPModule):
                # Some versions of gloo sum where they are asked for a mean.
                module.set_force_sum_reduction_for_comms(True)


def is_sharded(network: nn.Module) -> bool:
    """Whether the weights of a network are divided among processes."""
    return isinstance(network, FSDPModule)


def own_part(tensor: Tensor) -> Tensor:
    """The part of a divided tensor that this process holds, in the same memory; others whole."""
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


def whole(tensor: Tensor) -> Tensor:
    """A divided tensor as a whole, for which all processes must call this; others as they are."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def whole_weights(network: nn.Module) -> dict[str, Tensor]:
    """State dict of a network with whole weights, for which all processes must call this.

    Those of a sharded network are on the CPU, and only process 0 gets them.
    """
    if not is_sharded(network):
        return network.state_dict()
    options = StateDictOptions(full_state_dict=True, cpu_offload=True)
    return cast(dict[str, Tensor], get_model_state_dict(network, options=options))
