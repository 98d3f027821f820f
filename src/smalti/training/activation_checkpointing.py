"""Activation checkpointing: memory is saved by computing activations a second time."""

from collections.abc import Iterable
from functools import partial

from torch import nn
from torch.utils.checkpoint import checkpoint


def checkpoint_activations(blocks: Iterable[nn.Module]) -> None:
    """Let blocks keep only their inputs for the backward pass, which computes the rest again.

    Activations of one block at a time are then in memory. Losses and gradients stay the same, as
    dropout draws the same numbers again. Where no gradient is asked for, nothing changes.

    Args:
        blocks: parts of a network, changed in place. What they compute must depend on their inputs
            and weights alone, and leave nothing behind, such as running averages.

    Reference: Chen et al. 2016, "Training Deep Nets with Sublinear Memory Cost", arXiv:1604.06174.
    """
    for block in blocks:
        # The class's forward pass stays; hooks, such as those of sharding, run once around this.
        block.forward = partial(checkpoint, block.forward, use_reentrant=False)
