"""Speculative sampling: several codes are guessed, and the prior checks all of them in one pass.

A pass over n tokens costs less than n passes over one. So codes are drafted, the prior reads them
together, and the codes up to the first wrong draft are kept. Drafts are what the previous pass drew
from its own, partly wrong, drafts, and beyond it draws from the last distribution of that pass.

**The distribution is that of the plain loop.** The random numbers of each step are independent of
those of other steps, and fixed beforehand (`RacingChoice`). Let c(p, i) be the code that they
choose from probabilities p at step i; it is k with probability p(k). The loop ends with x_i =
c(p(. | x_<i), i) for every i: a pass computes c at all its positions, and keeps position i only if
all drafts that it read before i are equal to the codes that were kept there. Then what it read
before i is x_<i. As x_<i is a function of the random numbers of earlier steps only, x_i given x_<i
has the distribution p(. | x_<i). The drafts may depend on the same random numbers, as they never
decide which code is kept, only whether it is known already. For the same reason the codes depend on
neither the drafts, nor the number of codes a pass, nor the other images of a batch, but for
rounding.

Axes: B batch, P prefixes of the conditions (see `guidance`), R = P * B rows of the prior's batch,
n codes of a pass, K codebook size, V vocabulary size.
Reference: Teng et al. 2024, "Accelerating Auto-regressive Text-to-Image Generation with
    Training-free Speculative Jacobi Decoding", arXiv:2410.01699 (drafts of the previous pass);
    Leviathan et al. 2023, "Fast Inference from Transformers via Speculative Decoding",
    arXiv:2211.17192; Wiggers and Hoogeboom 2020, "Predictive Sampling with Forecasting
    Autoregressive Models", arXiv:2002.09928 (random numbers that are fixed beforehand).
Deviation: the first two accept a draft x with probability min(1, p(x) / q(x)), which accepts some
    more drafts. Then an image depends on when each of its codes was drafted, and so on the other
    images of its batch.
"""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from smalti.config import InputError
from smalti.prior.products import packed_copy
from smalti.sampling.choice import RacingChoice
from smalti.sampling.config import SamplingConfig
from smalti.sampling.filters import probabilities
from smalti.sampling.guidance import Guidance
from smalti.sampling.token_loop import Alike, TokenLoop
from smalti.types import Prior


class SpeculativeLoop(TokenLoop):
    """Draws codes as `TokenLoop` with the same `choose` does, several in one pass of the prior.

    Rows of a batch go on together, by as many codes as are right in all of them. What a row had
    right beyond that is among its next drafts, and right again.

    Args:
        prior: as `TokenLoop`.
        guidance: as `TokenLoop`.
        config: as `TokenLoop`; `speculative` is the number n of codes of a pass.
        race: draws codes from probabilities.
        codebook_size: as `TokenLoop`.
        length: as `TokenLoop`.
        with_known: called with a step and drawn codes (B, n) of the steps from there on; returns
            the codes (B, n) that the image will have there, which differ where codes are known.
        new_cache: as `TokenLoop`.
    """

    def __init__(
        self,
        prior: Prior,
        guidance: Guidance,
        config: SamplingConfig,
        race: RacingChoice,
        codebook_size: int,
        length: int,
        with_known: Callable[[int, Tensor], Tensor],
        new_cache: Callable[[int], Any] | None = None,
    ) -> None:
        super().__init__(prior, guidance, config, race, codebook_size, length, new_cache)
        self.race = race
        self.with_known = with_known
        self.passes = 0
        self._wide: Any = None

    def run(
        self,
        context: Tensor,
        steps: range,
        place: Callable[[int, Tensor], Tensor],
        saved: Any = None,
        alike: Alike | None = None,
    ) -> Iterator[int]:
        """Draw consecutive codes; arguments and result are those of `TokenLoop.run`."""
        logits = self._begin(context, saved, alike)
        chances = self._chances(logits[:, None], steps.start)
        drawn = self._draw(chances, steps.start)
        step, right = steps.start, 1
        while True:
            for codes in drawn[:, :right].unbind(1):
                newest = place(step, codes)
                yield step
                step += 1
            if step == steps.stop:
                return
            wanted = min(self.config.speculative, steps.stop - step) - 1
            drafts = self._drafts(drawn[:, right:], chances[:, -1], step, wanted)
            read = self.cache.length
            chances = self._chances(self._pass(newest, drafts), step)
            drawn = self._draw(chances, step)
            right = count_right(drafts, drawn)
            self.cache.rewind(read + right)

    def _drafts(self, drawn: Tensor, chances: Tensor, step: int, wanted: int) -> Tensor:
        """Guess codes (B, wanted): those drawn (B, any) from a step on, then draws by chances.

        The chances (B, K) are those of the last position of the previous pass. Those of the
        positions after it are not known, but images change slowly.
        """
        missing = wanted - drawn.shape[1]
        if missing <= 0:
            return drawn[:, :wanted]
        guesses = self._draw(chances[:, None].expand(-1, missing, -1), step + drawn.shape[1])
        return torch.cat([drawn, guesses], dim=1)

    def _pass(self, newest: Tensor, drafts: Tensor) -> Tensor:
        """Logits (R, n, V) of what follows the newest codes (B,) and each of the drafts (B, n - 1).

        All these tokens are in the cache then.
        """
        self.passes += 1
        tokens = torch.cat([newest[:, None], drafts], dim=1).repeat(len(self.guidance.prefixes), 1)
        if self._wide is None and isinstance(self.prior, nn.Module):
            self._wide = packed_copy(self.prior, self.config.speculative * len(tokens))
        return (self._wide or self.prior).logits(tokens, self.cache)

    def _chances(self, logits: Tensor, step: int) -> Tensor:
        """Probabilities (B, n, K) by the logits (R, n, V) of the steps from `step` on."""
        of_steps = [self._guided(one, step + after) for after, one in enumerate(logits.unbind(1))]
        guided = torch.stack(of_steps, dim=1)
        self._watch(guided)
        return probabilities(guided.flatten(0, 1), self.config).view(guided.shape)

    def _draw(self, chances: Tensor, step: int) -> Tensor:
        """Codes (B, n) by the probabilities (B, n, K) of the steps from `step` on."""
        return self.with_known(step, self.race.several(chances, step))


def count_right(drafts: Tensor, drawn: Tensor) -> int:
    """How many of the drawn codes follow right drafts only, in all rows.

    Args:
        drafts: (B, n - 1) int64, the drafts that were read before all drawn codes but the first.
        drawn: (B, n) int64.

    Returns:
        1 to n.
    """
    is_right = (drafts == drawn[:, :-1]).all(0).long()
    return 1 + int(is_right.cumprod(0).sum())


def check_speculative(prior: Prior) -> None:
    """Refuse a prior that cannot go back to fewer tokens.

    Raises:
        InputError: its cache cannot forget the newest tokens.
    """
    if not hasattr(prior.new_cache(1), "rewind"):
        raise InputError(
            f"a prior of this kind ({type(prior).__name__}) computes its codes one after the other "
            "and cannot take them back; leave speculative at 1"
        )
