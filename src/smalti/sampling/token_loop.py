"""The loop of generation, which draws tokens one after the other, each given all before it.

Axes: B batch, P prefixes of the conditions (see `guidance`; 1 without guidance), R = P * B rows of
the prior's batch, L image tokens, K codebook size, V vocabulary size.
Reference: arXiv:2012.09841, Sec. 3.2, Eqs. 9 and 10.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor

from smalti.config import InputError
from smalti.sampling.choice import Choose
from smalti.sampling.config import SamplingConfig
from smalti.sampling.filters import probabilities
from smalti.sampling.guidance import Guidance
from smalti.types import Prior


@dataclass(frozen=True, slots=True)
class Alike:
    """Which rows of the prior's batch begin with the same tokens."""

    length: int
    """Number of tokens that they have in common."""
    firsts: Tensor
    """(n,) int64, the first row of each of n different beginnings."""
    numbers: Tensor
    """(R,) int64 in [0, n), which of the beginnings each row has."""

    @classmethod
    def among(cls, rows: Tensor, length: int) -> Self | None:
        """Compare rows (R, ...) of numbers on which the first `length` tokens depend.

        It makes the device wait. One token is not worth it: read for all rows, it costs what it
        costs for one.

        Returns:
            None if all rows differ, or the length is 1.
        """
        if length == 1:
            return None
        distinct, numbers = rows.unique(dim=0, return_inverse=True)  # type: ignore[no-untyped-call]
        if len(distinct) == len(rows):
            return None
        listed = numbers.tolist()
        firsts = [listed.index(number) for number in range(len(distinct))]
        return cls(length, torch.tensor(firsts, device=rows.device), numbers)


class TokenLoop:
    """Draws codes one after the other, with one cache that serves all their contexts in turn.

    Args:
        prior: the prior, in eval mode.
        guidance: mixes the rows of the prior's batch.
        config: temperature, top-k, top-p.
        choose: draws codes from probabilities.
        codebook_size: K; conditioning tokens (K and above) are never drawn.
        length: number of all codes of an image.
        new_cache: makes the cache for a number of rows; None makes a new one of the prior.

    Deviation: the released code draws from the whole vocabulary; a conditioning token that comes
        up is replaced by a code afterwards, when the later tokens have already followed it.
    """

    def __init__(
        self,
        prior: Prior,
        guidance: Guidance,
        config: SamplingConfig,
        choose: Choose,
        codebook_size: int,
        length: int,
        new_cache: Callable[[int], Any] | None = None,
    ) -> None:
        self.prior = prior
        self.new_cache = new_cache or prior.new_cache
        self.guidance = guidance
        self.config = config
        self.choose = choose
        self.codebook_size = codebook_size
        self.last_step = max(length - 1, 1)
        self.cache: Any = None
        self.finite: Tensor | None = None

    def run(
        self,
        context: Tensor,
        steps: range,
        place: Callable[[int, Tensor], Tensor],
        saved: Any = None,
        alike: Alike | None = None,
    ) -> Iterator[int]:
        """Draw consecutive codes; their steps come out one after the other, as they are placed.

        Args:
            context: (R, l) int64 in [0, V), tokens before the first code; all images with the first
                of the guidance's prefixes, then with the second, and so on.
            steps: numbers of the codes among all codes of the image.
            place: called with the step and the drawn codes (B,); returns the codes (B,) that the
                image has there, which become the context of later ones.
            saved: what `cache.save()` returned when the cache held a beginning of this context;
                only the rest is read then.
            alike: rows of the context that begin alike; the beginning is read once for them.
        """
        logits = self._begin(context, saved, alike)
        for step in steps:
            codes = place(step, self.draw_codes(logits, step))
            yield step
            if step + 1 < steps.stop:
                tokens = codes.repeat(len(self.guidance.prefixes))
                logits = self.prior.logits(tokens[:, None], self.cache)[:, -1]

    def _begin(self, context: Tensor, saved: Any, alike: Alike | None) -> Tensor:
        """Logits (R, V) of what follows a context, as `run` takes it; the cache holds it then."""
        if self.cache is None:
            self.cache = self.new_cache(len(context))
        if saved is None:
            self.cache.reset()
        else:
            self.cache.restore(saved)
        return self._read(context, alike)

    def _read(self, context: Tensor, alike: Alike | None) -> Tensor:
        """Logits (R, V) of what follows a context (R, l), of which the cache may hold a part."""
        if alike is not None and self.cache.length == 0:
            is_all = context.shape[1] == alike.length
            if is_all or self.cache.reads_together:
                beginning = context[alike.firsts, : alike.length]
                logits = self.prior.logits(beginning, self.cache, last_only=True)[:, -1]
                self.cache.spread(alike.numbers)
                if is_all:
                    return logits[alike.numbers]
        rest = context[:, self.cache.length :]
        return self.prior.logits(rest, self.cache, last_only=True)[:, -1]

    def draw(
        self, context: Tensor, steps: Sequence[int], place: Callable[[int, Tensor], Tensor]
    ) -> Iterator[int]:
        """Draw one code from each of n contexts, which do not hold each other's codes.

        The steps come out as the codes are placed.

        Args:
            context: (P * n * B, l) int64 in [0, V), tokens before each code; all contexts with the
                first of the guidance's prefixes, then with the second, and so on.
            steps: (n,) numbers of the codes among all codes of the image.
            place: called with each step and the drawn codes (B,).
        """
        logits = self.prior.logits(context, last_only=True)[:, -1]
        shape = (len(self.guidance.prefixes), len(steps), -1, logits.shape[1])
        of_steps = logits.view(shape).unbind(1)  # n times (P, B, V)
        for step, of_step in zip(steps, of_steps, strict=True):
            place(step, self.draw_codes(of_step.flatten(0, 1), step))
            yield step

    def draw_codes(self, logits: Tensor, step: int) -> Tensor:
        """Draw codes (B,) by the logits (R, V) of a step."""
        guided = self._guided(logits, step)
        self._watch(guided)
        return self.choose(probabilities(guided, self.config), step)

    def _guided(self, logits: Tensor, step: int) -> Tensor:
        """Logits (B, K) of the codes, mixed of the logits (R, V) of a step."""
        return self.guidance.mix(logits[:, : self.codebook_size], step / self.last_step)

    def _watch(self, logits: Tensor) -> None:
        """Note whether all logits are finite numbers, for `check_finite`."""
        # Asked once at the end: asking now would make the device wait at each token.
        finite = logits.isfinite().all()
        self.finite = finite if self.finite is None else self.finite.logical_and_(finite)

    def check_finite(self) -> None:
        """Check that all logits were finite numbers.

        Raises:
            InputError: they were not.
        """
        if self.finite is not None and not self.finite:
            raise InputError(
                "the prior's logits are not finite numbers: its weights are damaged, or its "
                "training diverged, or its number format is too narrow"
            )
