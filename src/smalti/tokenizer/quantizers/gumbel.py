"""Gumbel-softmax: the encoder gives scores of all codes, and training draws from them.

Axes: B batch, D code dimension, h/w latent grid, K codebook size, N = B * h * w vectors.
Reference: Jang et al. 2017, "Categorical Reparameterization with Gumbel-Softmax",
    arXiv:1611.01144, Secs. 2.1 and 2.2 (straight-through); the KL term to even use is Ramesh et al.
    2021, arXiv:2102.12092, Sec. 2.1, as in the released code of arXiv:2012.09841.
"""

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from smalti.tokenizer.quantizers.base import QUANTIZERS, Quantized, Quantizer
from smalti.tokenizer.quantizers.config import GumbelQuantizerConfig
from smalti.tokenizer.quantizers.lookup import check_shape, to_grid, to_rows
from smalti.tokenizer.quantizers.soft import entropies, over_chunks

SPREAD = 5.0  # deviation of the first scores of vectors of deviation 1


class _Choice(NamedTuple):
    """Codes drawn for some vectors."""

    codes: Tensor  # (n,)
    expected: Tensor  # (n, D), mean entry under the soft choice; its gradient reaches the scores
    entropy: Tensor  # scalar, sum of the entropies of the choices without noise


@QUANTIZERS.register("gumbel")
class GumbelQuantizer(Quantizer):
    """Scores all codes by a linear layer; training draws one of them, eval mode takes the best.

    The noise comes from torch's generator: it follows from the run's seed and step, but differs
    with the number of processes.
    """

    steps: Tensor

    def __init__(self, config: GumbelQuantizerConfig, codebook_size: int, code_dim: int) -> None:
        super().__init__()
        self.config = config
        self.code_dim = code_dim
        self.scores = nn.Linear(code_dim, codebook_size)
        # Scores must stand out of the noise (deviation 1.3), or the decoder sees only chance.
        nn.init.normal_(self.scores.weight, std=SPREAD * code_dim**-0.5)
        nn.init.zeros_(self.scores.bias)
        self.codebook = nn.Embedding(codebook_size, code_dim)
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))

    def forward(self, z: Tensor) -> Quantized:
        """Quantize an encoder output (B, D, h, w): in training by chance, else by the best score.

        The latent's gradient reaches scores and codebook. The entropy loss is the weighted KL term.
        """
        check_shape(z, self.code_dim)
        vectors = to_rows(z.float())
        size = self.codebook.num_embeddings
        chunks = over_chunks(self._choose, vectors, size)
        codes = torch.cat([chunk.codes for chunk in chunks])
        expected = torch.cat([chunk.expected for chunk in chunks])
        indexed = self._pick(codes) + (expected - expected.detach())
        entropy = torch.stack([chunk.entropy for chunk in chunks]).sum() / len(vectors)
        kl = self.config.kl_weight * (math.log(size) - entropy)
        none = kl.new_zeros(())
        grid = codes.view(len(z), *z.shape[2:])
        return Quantized(to_grid(indexed, grid).to(z.dtype), grid, none, none, kl)

    @torch.no_grad()
    def encode(self, z: Tensor) -> Tensor:
        """Codes (B, h, w) int64 with the best score."""
        check_shape(z, self.code_dim)
        size = self.codebook.num_embeddings
        codes = over_chunks(lambda chunk: self._logits(chunk).argmax(1), to_rows(z.float()), size)
        return torch.cat(codes).view(len(z), *z.shape[2:])

    def embed(self, codes: Tensor) -> Tensor:
        """Quantized latent (B, D, h, w) of codes (B, h, w) int64, in the type of the codebook."""
        return to_grid(self._pick(codes.flatten()), codes).to(self.codebook.weight.dtype)

    def finish_step(self) -> None:
        """Count the step, for the temperature."""
        self.steps += 1

    def _choose(self, vectors: Tensor) -> _Choice:
        logits = self._logits(vectors)
        entropy = entropies(logits).sample_entropy
        if self.training:
            logits = logits + _gumbel_noise(logits)
        soft = (logits / self._temperature()).softmax(1)
        expected = soft @ self.codebook.weight.float().detach()
        return _Choice(logits.argmax(1), expected, entropy)

    def _logits(self, vectors: Tensor) -> Tensor:
        return F.linear(vectors, self.scores.weight.float(), self.scores.bias.float())

    def _temperature(self) -> Tensor:
        """Temperature at this step, a scalar > 0."""
        first, last = self.config.temperature, self.config.final_temperature
        progress = (self.steps / self.config.anneal_steps).clamp(max=1)
        return first * (last / first) ** progress

    def _pick(self, codes: Tensor) -> Tensor:
        return F.embedding(codes, self.codebook.weight.float())


def _gumbel_noise(logits: Tensor) -> Tensor:
    """-log(-log(uniform)), of the shape of the logits: the largest of the sum is a fair draw."""
    return -torch.empty_like(logits).exponential_().log()
