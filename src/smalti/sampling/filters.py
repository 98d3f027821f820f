"""Turns the prior's logits into the probabilities by which a token is drawn.

Axes: B batch, K codebook size.
Reference: arXiv:2012.09841, App. A: temperature 1.0 and top-k 100 by default; Holtzman et al. 2020,
    "The Curious Case of Neural Text Degeneration", arXiv:1904.09751, Sec. 3.1 (top-p).
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from smalti.sampling.config import SamplingConfig

GREEDY_BELOW = 1e-6  # dividing by less would leave the range of float32


def probabilities(logits: Tensor, config: SamplingConfig) -> Tensor:
    """Probabilities of the next token after temperature, top-k and top-p, in this order.

    Args:
        logits: (B, K) floating point.
        config: temperature, top-k and top-p.

    Returns:
        (B, K) float32, each row sums to 1; codes that were filtered out have exactly 0.
    """
    logits = logits.float()
    if config.temperature < GREEDY_BELOW:
        return F.one_hot(logits.argmax(-1), logits.shape[-1]).float()
    kept = keep_top_k(logits / config.temperature, config.top_k)
    return keep_top_p(kept.softmax(-1), config.top_p)


def keep_top_k(logits: Tensor, top_k: int) -> Tensor:
    """Set all but the `top_k` highest logits (B, K) of each row to -inf; 0 keeps all.

    Deviation: the released code keeps every logit that equals the k-th, so more than k on ties;
        here it is always k.
    """
    if top_k == 0 or top_k >= logits.shape[-1]:
        return logits
    highest = logits.topk(top_k, dim=-1)
    nothing = torch.full_like(logits, float("-inf"))
    return nothing.scatter(-1, highest.indices, highest.values)


def keep_top_p(probabilities: Tensor, top_p: float) -> Tensor:
    """Set all but the nucleus of each row (B, K) to 0, and scale it to sum to 1; 1 keeps all.

    The nucleus is the smallest set of likeliest codes whose probabilities reach `top_p`.
    """
    if top_p == 1:
        return probabilities
    ranked, codes = probabilities.sort(-1, descending=True)
    before = ranked.cumsum(-1) - ranked  # what the likelier codes have together
    ranked = ranked.masked_fill(before >= top_p, 0)
    nucleus = torch.zeros_like(probabilities).scatter(-1, codes, ranked)
    return nucleus / nucleus.sum(-1, keepdim=True)
