"""Generation: the prior's tokens one after the other, each from all before it.

Axes: B batch, R rows of the prior's batch (B, or 2 B with guidance), L image tokens, K codebook
size, V vocabulary size.
Reference: arXiv:2012.09841, Sec. 3.2, Eqs. 9 and 10.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from smalti.sampling.draw import Draw
from smalti.sampling.filters import SamplingConfig, probabilities
from smalti.types import InputError, Prior


@dataclass(frozen=True, slots=True)
class Prompt:
    """What the image tokens follow, already in the prior's vocabulary."""

    cond_tokens: Tensor
    """(B, cond_length) int64 in [0, V)."""
    null_tokens: Tensor
    """(B, cond_length) int64 in [0, V): the dropped condition; read only with guidance."""

    def rows(self, rows: range) -> "Prompt":
        """The prompt of some of the images."""
        chosen = slice(rows.start, rows.stop, rows.step)
        return Prompt(self.cond_tokens[chosen], self.null_tokens[chosen])


def generate(
    prior: Prior,
    prompt: Prompt,
    length: int,
    codebook_size: int,
    config: SamplingConfig,
    draw: Draw,
    on_token: Callable[[], object] = lambda: None,
) -> Tensor:
    """Draw the image tokens of a batch, with a cache.

    Args:
        prior: in eval mode.
        prompt: on the prior's device.
        length: L, number of tokens to draw.
        codebook_size: K; conditioning tokens (K and above) are never drawn.
        config: temperature, top-k, top-p, guidance.
        draw: chooses tokens from probabilities.
        on_token: called after each step, to show progress.

    Returns:
        (B, L) int64 in [0, K).

    Raises:
        InputError: the prior's logits are not finite numbers.

    Deviation: the released code draws from the whole vocabulary; a conditioning token that comes
        up is replaced by a code afterwards, when the later tokens have already followed it.
    """
    with torch.inference_mode():
        tokens = _generate(prior, prompt, length, codebook_size, config, draw, on_token)
    # A tensor made in inference mode could not take part in training any more; a copy can.
    return tokens.clone()


def _generate(
    prior: Prior,
    prompt: Prompt,
    length: int,
    codebook_size: int,
    config: SamplingConfig,
    draw: Draw,
    on_token: Callable[[], object],
) -> Tensor:
    guided = config.guidance != 1
    rows = torch.cat([prompt.cond_tokens, prompt.null_tokens]) if guided else prompt.cond_tokens
    cache = prior.new_cache(len(rows))
    logits = prefill(prior, rows, cache)
    tokens: list[Tensor] = []
    finite = torch.ones((), dtype=torch.bool, device=rows.device)
    for step in range(length):
        code_logits = guide(logits, config.guidance)[:, :codebook_size]
        # Asked once at the end: asking now would make the device wait at each token.
        finite = finite & code_logits.isfinite().all()
        tokens.append(draw(probabilities(code_logits, config), step))
        on_token()
        if step + 1 < length:
            newest = tokens[-1].repeat(2) if guided else tokens[-1]
            logits = decode_one_token(prior, newest, cache)
    if not finite:
        raise InputError(
            "the prior's logits are not finite numbers: its weights are damaged, or its training "
            "diverged, or its number format is too narrow"
        )
    return torch.stack(tokens, dim=1)


def prefill(prior: Prior, cond_tokens: Tensor, cache: Any) -> Tensor:
    """Read the conditioning at once; logits (R, V) of the first image token."""
    return prior.logits(cond_tokens, cache)[:, -1]


def decode_one_token(prior: Prior, tokens: Tensor, cache: Any) -> Tensor:
    """Read the newest image tokens (R,); logits (R, V) of the next."""
    return prior.logits(tokens.unsqueeze(1), cache)[:, -1]


def guide(logits: Tensor, guidance: float) -> Tensor:
    """Push the logits away from those without a condition.

    Args:
        logits: (2 B, V), first with the condition, then without; (B, V) if guidance is 1.
        guidance: scale; 1 leaves the logits as they are.

    Returns:
        (B, V): null + guidance * (cond - null).

    Reference: Ho and Salimans 2022, arXiv:2207.12598, Eq. 6, where w = guidance - 1.
    """
    if guidance == 1:
        return logits
    cond, null = logits.chunk(2)
    return null + guidance * (cond - null)
