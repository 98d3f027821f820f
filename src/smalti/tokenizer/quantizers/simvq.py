"""SimVQ: a frozen random codebook seen through one learned linear layer.

All entries move when the layer does, so none is left behind unused.

Axes: B batch, D code dimension, d lookup dimension, h/w latent grid, K codebook size.
Reference: Zhu et al. 2024, "Addressing Representation Collapse in Vector Quantized Models with One
    Linear Layer", arXiv:2411.02038, Sec. 4.
"""

import torch
from torch import Tensor, nn

from smalti.tokenizer.quantizers.base import QUANTIZERS
from smalti.tokenizer.quantizers.config import SimVQConfig
from smalti.tokenizer.quantizers.lookup import LearnedLookup


@QUANTIZERS.register("simvq")
class SimVQ(LearnedLookup):
    """Nearest neighbour among the images of fixed random vectors under a learned linear map.

    The codebook loss moves the linear map.
    """

    codebook: Tensor

    def __init__(self, config: SimVQConfig, codebook_size: int, code_dim: int) -> None:
        super().__init__(config, code_dim)
        entries = torch.randn(codebook_size, self.lookup_dim)
        self.register_buffer("codebook", entries)
        self.basis = nn.Linear(self.lookup_dim, self.lookup_dim, bias=False)
        nn.init.orthogonal_(self.basis.weight)  # the entries begin as they were drawn, only turned

    def all_entries(self) -> Tensor:
        """The codebook (K, d): the frozen vectors through the learned layer."""
        return self.basis(self.codebook)
