"""Products of a weight with a few rows, laid out beforehand for reading one token at a time.

When single tokens are read, every weight is used once for each, so time is that of reading the
weights. The product behind `nn.Linear` is not made for this: on a processor it reads on one thread
only, or packs the weight anew each time.

Axes: R rows, I/O input and output features.
"""

import copy
import functools
import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from smalti.compute import has_bfloat16

PARTS = 8  # at most so many threads read one weight; more of them rarely find more bandwidth

Product = Callable[[Tensor], Tensor]
"""A linear layer from (R, I) to (R, O)."""


class ProductInParts:
    """A linear layer for one row on a processor, which uses the weight as it lies.

    The matrix-times-vector product behind `nn.Linear` reads on one thread only, and not fast. A
    batch of products with parts of the weight is spread over the threads, and was measured two to
    three times as fast.
    """

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        self.outputs, self.inputs = weight.shape
        self.parts = math.gcd(self.outputs, PARTS)
        self.weight = weight.view(self.parts, -1, self.inputs)  # (parts, O / parts, I)
        self.bias = None if bias is None else bias.view(self.parts, -1, 1)

    def __call__(self, x: Tensor) -> Tensor:
        """(1, I) -> (1, O)."""
        # The strides of a transposed row: those of a column lead to a product ten times as slow.
        column = x.view(1, 1, self.inputs).mT.expand(self.parts, -1, -1)  # (parts, I, 1)
        if self.bias is None:
            return torch.bmm(self.weight, column).view(1, self.outputs)
        return torch.baddbmm(self.bias, self.weight, column).view(1, self.outputs)


class PackedProduct:
    """A linear layer for several rows on a processor, with a copy of the weight in blocks.

    oneDNN reads such blocks once for all rows. `nn.Linear` puts the weight into blocks at each
    call, which takes longer than the product with few rows: this was measured two to three times
    as fast for 2 to 32 rows. In bfloat16 it was 1.7 times as fast from one row on, with the same
    numbers to the last bit.
    """

    def __init__(self, weight: Tensor, bias: Tensor | None, rows: int) -> None:
        self.dtype = weight.dtype
        self.weight = torch.ops.mkldnn._reorder_linear_weight(weight, rows)
        self.bias = bias

    def __call__(self, x: Tensor) -> Tensor:
        """(R, I) -> (R, O) in the number format of the weight."""
        # Autocast, which casts for `nn.Linear`, does not know this operation.
        product: Tensor = torch.ops.mkldnn._linear_pointwise(
            x.to(self.dtype), self.weight, self.bias, "none", [], ""
        )
        return product


@functools.cache
def can_pack() -> bool:
    """Whether oneDNN is there, on a processor where `PackedProduct` was measured as faster."""
    has_avx = torch.backends.cpu.get_cpu_capability().startswith("AVX")
    operations = ("_reorder_linear_weight", "_linear_pointwise")
    return has_avx and all(hasattr(torch.ops.mkldnn, operation) for operation in operations)


def prepare(linear: nn.Linear, rows: int, dtype: torch.dtype) -> Product:
    """The fastest way to compute a linear layer for so many rows, in a number format."""
    return prepare_product(linear.weight, linear.bias, rows, dtype)


def prepare_product(weight: Tensor, bias: Tensor | None, rows: int, dtype: torch.dtype) -> Product:
    """The fastest product with a weight (O, I) for so many rows, in a number format."""
    weight = weight.detach().to(dtype)
    bias = None if bias is None else bias.detach().to(dtype)
    if weight.is_cpu and dtype == torch.float32 and rows == 1:
        return ProductInParts(weight, bias)
    if weight.is_cpu and _is_multiplied(dtype) and can_pack():
        return PackedProduct(weight, bias, rows)
    return functools.partial(F.linear, weight=weight, bias=bias)


def _is_multiplied(dtype: torch.dtype) -> bool:
    """Whether the processor has instructions that multiply numbers of this format."""
    is_bfloat16 = dtype == torch.bfloat16 and has_bfloat16(torch.device("cpu"))
    return dtype == torch.float32 or is_bfloat16


def packed_copy(model: nn.Module, rows: int) -> nn.Module:
    """A copy of a model in eval mode that reads a few tokens at a time faster.

    It shares the parameters, and has the packed weights of the linear layers beside them
    (`PackedProduct`). Other than in float32 on a processor it is the model itself.

    Args:
        model: the model, whose parameters must stay as they are.
        rows: about so many rows of features come to a linear layer.
    """
    is_float = all(one.is_cpu and one.dtype == torch.float32 for one in model.parameters())
    if not is_float or torch.is_autocast_enabled("cpu") or not can_pack():
        return model
    return _packed(model, rows)


def _packed(module: nn.Module, rows: int) -> nn.Module:
    """A copy of a module and of those in it, whose linear layers are packed."""
    copied = copy.copy(module)
    copied._modules = {
        name: None if child is None else _packed(child, rows)
        for name, child in module._modules.items()
    }
    if isinstance(copied, nn.Linear):
        bias = None if copied.bias is None else copied.bias.detach()
        copied.forward = PackedProduct(copied.weight.detach(), bias, rows)  # type: ignore[assignment]
    return copied
