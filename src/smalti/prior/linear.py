"""Linear layers, by the library that multiplies float32 fastest on this processor.

PyTorch multiplies matrices of float32 by MKL, which uses instructions of half the width (AVX2) on
processors of AMD with AVX-512. oneDNN, which PyTorch has too, uses the whole width there. It was
measured up to 2.2 times as fast for many rows, on a Zen 5.

Axes: R rows, I/O input and output features.
"""

import functools
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

# Below both of these, MKL was as fast or faster: a call of oneDNN takes longer.
LEAST_WEIGHT = 2**18  # numbers of the weight
LEAST_PRODUCTS = 2**21  # multiplications, R I O
CPU_INFO = Path("/proc/cpuinfo")


class Linear(nn.Linear):
    """`nn.Linear`, with the same numbers but for rounding."""

    def forward(self, x: Tensor) -> Tensor:
        """(..., I) -> (..., O)."""
        return linear(x, self.weight, self.bias)


def linear(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """`F.linear` of x (..., I) with a weight (O, I): (..., O)."""
    if not (_is_large(x, weight) and _is_plain(x, weight) and is_faster_by_onednn()):
        return F.linear(x, weight, bias)
    flat = x.reshape(-1, x.shape[-1]).contiguous()  # (R, I)
    product: Tensor = _Product.apply(flat, weight, bias)  # type: ignore[no-untyped-call]
    return product.view(*x.shape[:-1], -1)


@functools.cache
def is_faster_by_onednn() -> bool:
    """Whether this is a processor of AMD with AVX-512, and PyTorch multiplies by MKL."""
    return (
        torch.backends.cpu.get_cpu_capability() == "AVX512"
        and torch.backends.mkl.is_available()  # type: ignore[no-untyped-call]
        and hasattr(torch.ops.mkldnn, "_linear_pointwise")
        and CPU_INFO.is_file()
        and "AuthenticAMD" in CPU_INFO.read_text(encoding="utf-8", errors="replace")
    )


def _is_large(x: Tensor, weight: Tensor) -> bool:
    """Whether a product is large enough to gain."""
    return weight.numel() >= LEAST_WEIGHT or x.numel() * len(weight) >= LEAST_PRODUCTS


def _is_plain(x: Tensor, weight: Tensor) -> bool:
    """Whether it is a product of values in float32 on a processor, and no trace or count of it."""
    return (
        type(x) is Tensor
        and x.is_cpu
        and x.dtype == weight.dtype == torch.float32
        and not torch.is_autocast_enabled("cpu")
        and not torch.compiler.is_compiling()
    )


class _Product(torch.autograd.Function):
    """x (R, I) times a weight (O, I), plus a bias (O,): (R, O)."""

    @staticmethod
    def forward(context: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        context.save_for_backward(x, weight)
        return _by_onednn(x, weight, bias)

    @staticmethod
    @once_differentiable
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = context.saved_tensors
        needs_x, needs_weight, needs_bias = context.needs_input_grad
        return (
            _by_onednn(gradient, weight.mT) if needs_x else None,
            _by_onednn(gradient.mT, x.mT) if needs_weight else None,
            gradient.sum(0) if needs_bias else None,
        )


def _by_onednn(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    product: Tensor = torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")
    return product
