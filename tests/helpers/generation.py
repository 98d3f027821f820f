"""Whole sequences of a prior, as tests draw them: without a canvas or a window."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from smalti.sampling.choice import Choose
from smalti.sampling.config import SamplingConfig
from smalti.sampling.guidance import Guidance
from smalti.sampling.token_loop import TokenLoop
from smalti.types import Prior


@dataclass(frozen=True, slots=True)
class Prompt:
    """What the image tokens follow, already in the prior's vocabulary."""

    cond_tokens: Tensor
    """(B, cond_length) int64 in [0, V)."""
    null_tokens: Tensor
    """(B, cond_length) int64 in [0, V): the dropped condition; read only with guidance."""


def generate(
    prior: Prior,
    prompt: Prompt,
    length: int,
    codebook_size: int,
    config: SamplingConfig,
    choose: Choose,
    on_token: Callable[[], object] = lambda: None,
) -> Tensor:
    """Draw the image tokens of a batch, one sequence of the prior each.

    Args:
        prior: in eval mode.
        prompt: on the prior's device.
        length: L, number of tokens to draw.
        codebook_size: K; conditioning tokens (K and above) are never drawn.
        config: temperature, top-k, top-p, guidance with one scale.
        choose: draws tokens from probabilities.
        on_token: called after each step, to show progress.

    Returns:
        (B, L) int64 in [0, K).

    Raises:
        InputError: the prior's logits are not finite numbers.

    Deviation: the released code draws from the whole vocabulary; a conditioning token that comes
        up is replaced by a code afterwards, when the later tokens have already followed it.
    """
    assert len(config.guidance) == 1, "a prompt is one condition"
    guidance = Guidance(config.guidance, config.guidance_schedule)
    tokens: list[Tensor] = []

    def place(step: int, drawn: Tensor) -> Tensor:
        tokens.append(drawn)
        on_token()
        return drawn

    with torch.inference_mode():
        by_prefix = (prompt.null_tokens, prompt.cond_tokens)
        context = torch.cat([by_prefix[prefix] for prefix in guidance.prefixes])
        loop = TokenLoop(prior, guidance, config, choose, codebook_size, length)
        for _ in loop.run(context, range(length), place):
            pass
        loop.check_finite()
        stacked = torch.stack(tokens, dim=1)
    # A tensor made in inference mode could not take part in training any more; a copy can.
    return stacked.clone()
