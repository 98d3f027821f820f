"""The base class of modules whose weights stay in float32, whatever the model around them has."""

from collections.abc import Callable
from typing import Self

import torch
from torch import Tensor, nn

NARROWER = (torch.bfloat16, torch.float16)


class InFloat32(nn.Module):
    """Module whose float32 weights `to`, `half` and `bfloat16` move, but do not make narrower.

    A code is the nearest of many entries. Rounded entries would flip near-ties: other codes, by a
    codebook of 8 bits of precision.
    """

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        # The function behind `to` and the like, which torch hands from module to module.
        def wide(tensor: Tensor) -> Tensor:
            changed = fn(tensor)
            is_narrowed = tensor.dtype == torch.float32 and changed.dtype in NARROWER
            return tensor.to(changed.device) if is_narrowed else changed

        return super()._apply(wide, recurse)  # type: ignore[no-untyped-call]
