"""A linear layer that generates at the speed of the memory.

Axes: R rows (batch times positions), I/O input and output features.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

FEW_ROWS = 4  # measured: with more, the usual product is as fast
PARTS = 8  # at most so many threads read one weight; more of them rarely find more bandwidth


class Linear(nn.Linear):
    """`nn.Linear` with another route to the same numbers for a handful of rows on a processor.

    With one row per image every weight is read once and used once, so time is memory traffic. The
    matrix-times-vector product behind `nn.Linear` reads on one thread only; a batch of products
    with parts of the weight is spread over all of them and measured two to three times as fast.
    """

    def forward(self, input: Tensor) -> Tensor:
        """(..., I) -> (..., O)."""
        if input.is_cpu and input.numel() <= FEW_ROWS * self.in_features:
            return self._in_parts(input)
        return F.linear(input, self.weight, self.bias)

    def _in_parts(self, input: Tensor) -> Tensor:
        inputs, outputs = self.in_features, self.out_features
        parts = math.gcd(outputs, PARTS)
        weights = self.weight.view(parts, -1, inputs)  # (parts, O / parts, I)
        columns = input.reshape(1, -1, inputs).mT.expand(parts, -1, -1)  # (parts, I, R)
        if self.bias is None:
            products = torch.bmm(weights, columns)
        else:
            products = torch.baddbmm(self.bias.view(parts, -1, 1), weights, columns)
        # (parts, O / parts, R) is (O, R) in memory. The fused attention wants whole rows.
        return products.view(outputs, -1).t().contiguous().view(*input.shape[:-1], outputs)
