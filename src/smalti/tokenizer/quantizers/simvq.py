"""SimVQ: a frozen random codebook seen through one learned linear layer.

All entries move when the layer does, so none is left behind unused.

Axes: B batch, D code dimension, d lookup dimension, h/w latent grid, K codebook size.
Reference: Zhu et al. 2024, "Addressing Representation Collapse in Vector Quantized Models with One
    Linear Layer", arXiv:2411.02038, Sec. 4.
"""

from typing import Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from smalti.tokenizer.quantizers.base import QUANTIZERS, Quantized
from smalti.tokenizer.quantizers.lookup import LookupOptions, LookupQuantizer


class SimVQConfig(LookupOptions):
    """Config of `SimVQ`."""

    kind: Literal["simvq"] = "simvq"
    lookup_dim: int | None = Field(default=8, ge=1)
    """Dimension in which codes are compared, through learned projections; null compares in all
    code_dim dimensions, as the source does: short runs then use a handful of codes."""
    l2_normalised: bool = True
    """Compare directions instead of points: vectors and codes are scaled to length one."""


@QUANTIZERS.register("simvq")
class SimVQ(LookupQuantizer):
    """Nearest neighbour among the images of fixed random vectors under a learned linear map.

    Args:
        config: the kind's options.
        codebook_size: K.
        code_dim: D, channels of the encoder output.
    """

    codebook: Tensor

    def __init__(self, config: SimVQConfig, codebook_size: int, code_dim: int) -> None:
        super().__init__(config, code_dim)
        entries = torch.randn(codebook_size, self.lookup_dim)
        self.register_buffer("codebook", entries)
        self.basis = nn.Linear(self.lookup_dim, self.lookup_dim, bias=False)
        nn.init.orthogonal_(self.basis.weight)  # the entries begin as they were drawn, only turned

    def forward(self, z: Tensor) -> Quantized:
        """Quantize an encoder output.

        Args:
            z: (B, D, h, w) floating point, unbounded.

        Returns:
            The latent in the dtype of z; the codebook loss moves the linear layer.

        Raises:
            ValueError: z is not 4-dimensional or its channels are not D.
        """
        match = self.match(z)
        codebook_loss = F.mse_loss(match.entries, match.vectors.detach())
        commitment_loss = F.mse_loss(match.vectors, match.entries.detach())
        none = codebook_loss.new_zeros(())
        z_q = self.latent(match, z.dtype)
        return Quantized(z_q, match.codes, codebook_loss, commitment_loss, none)

    def all_entries(self) -> Tensor:
        """The codebook (K, d): the frozen vectors through the learned layer."""
        return self.basis(self.codebook)  # type: ignore[no-any-return]
