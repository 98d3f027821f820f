"""Negative log-likelihood of tokens under a prior, in the two usual units.

Axes: B batch, L sequence length, V vocabulary size, K codebook size.
Reference: Esser et al. 2021, arXiv:2012.09841, Sec. 4.1, Table 1 (nats per token).
"""

import math
from typing import TypeVar

import torch.nn.functional as F
from torch import Tensor

N = TypeVar("N", float, Tensor)


def nats_per_token(logits: Tensor, tokens: Tensor) -> Tensor:
    """Negative log-likelihood of each image's tokens, averaged over its tokens.

    Its mean over images is what a prior is trained to lower. It gives probability to conditioning
    tokens too; `nats_of_codes` does not.

    Args:
        logits: (B, L, V) floating point; position i predicts `tokens[:, i]`.
        tokens: (B, L) int64 in [0, V).

    Returns:
        (B,) float32 >= 0.

    Reference: arXiv:2012.09841, Eq. 9, divided by the length of the sequence.
    """
    return _nats(logits, tokens).mean(1)


def nats_of_codes(logits: Tensor, codes: Tensor, codebook_size: int) -> Tensor:
    """Negative log-likelihood of each code among the codes alone.

    The probabilities of the K codes sum to 1, as in sampling, where conditioning tokens are never
    drawn. So the scores of priors with different conditions compare with each other and with
    `uniform_nats_per_token`.

    Args:
        logits: (B, L, V) floating point; position i predicts `codes[:, i]`.
        codes: (B, L) int64 in [0, K).
        codebook_size: K; the logits of the codes are the first ones.

    Returns:
        (B, L) float32 >= 0.
    """
    return _nats(logits[..., :codebook_size], codes)


def _nats(logits: Tensor, tokens: Tensor) -> Tensor:
    """Negative log-likelihood (B, L) float32 of tokens."""
    # Half precision would lose the third digit of a sum over V. Rows of V side by side take half
    # the time of (B, V, L) on a processor.
    rows = F.cross_entropy(logits.float().flatten(0, 1), tokens.flatten(), reduction="none")
    return rows.view_as(tokens)


def bits_per_dimension(nats: N, tokens: int, height_px: int, width_px: int) -> N:
    """Bits per colour value of the image, from nats per token.

    They code the codes alone, not what the tokenizer loses of the image. Compare them between
    priors over the same tokenizer only.

    Args:
        nats: nats per token, of one image or of each of several.
        tokens: tokens an image, h * w.
        height_px: H of the image.
        width_px: W of the image.
    """
    return nats * tokens / (3 * height_px * width_px * math.log(2))


def uniform_nats_per_token(codebook_size: int) -> float:
    """Nats per token of a prior that has learned nothing: ln K."""
    return math.log(codebook_size)
