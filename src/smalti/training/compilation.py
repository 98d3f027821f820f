"""Compiles networks with `torch.compile`: time is saved by joining their operations."""

import os
import shutil
import sys
from collections.abc import Iterable

import torch
from torch import nn

from smalti.config import InputError
from smalti.training.config import TrainingConfig

MOST_VARIANTS = 64
"""Kinds of inputs and weights for which a forward pass is compiled. A tokenizer has one for each
resolution and number of channels, and with PyTorch's limit of 8 the rest would not be compiled."""


def compile_blocks(blocks: Iterable[nn.Module]) -> None:
    """Let blocks compile their forward and backward pass when they first see inputs of a shape.

    They compute the same but for rounding, and dropout draws other numbers. Weights keep their
    names. A copy of a compiled block would call the block itself, so copies must be made before.

    Args:
        blocks: parts of a network, changed in place, before `checkpoint_activations`, which then
            calls what was compiled.
    """
    limit = max(MOST_VARIANTS, torch._dynamo.config.recompile_limit)
    torch._dynamo.config.recompile_limit = limit
    for block in blocks:
        # Not `block.compile()`, which also compiles the block's hooks, such as those of sharding.
        block.forward = torch.compile(block.forward, dynamic=False)


def check_compiler(training: TrainingConfig, device: torch.device) -> None:
    """Compile something small, if the networks are to be compiled, to find out whether that works.

    Args:
        training: options of training.
        device: device of the networks.

    Raises:
        InputError: a compiler is missing, or something else that compiling needs.
    """
    if not training.compile:
        return
    # What was compiled before is read from a cache, which hides that the compiler is gone.
    compiler = _cpp_compiler()
    if device.type == "cpu" and shutil.which(compiler) is None:
        raise InputError(
            f"training.compile is true, but the C++ compiler {compiler} is not there; install it, "
            "name another one in the environment variable CXX, or leave training.compile false"
        )
    try:
        torch.compile(torch.neg)(torch.ones(2, device=device))
    except Exception as error:  # of many kinds, depending on what is missing
        reason = str(error).strip().partition("\n")[0]
        raise InputError(
            f"training.compile is true, but compiling fails on {device}: {reason}; leave "
            "training.compile false"
        ) from error


def _cpp_compiler() -> str:
    """Name or path of the compiler that PyTorch uses for processors."""
    usual = {"darwin": "clang++", "win32": "cl"}.get(sys.platform, "g++")
    return os.environ.get("CXX", usual)
