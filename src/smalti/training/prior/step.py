"""One step of stage 2, in which the prior learns to predict the next code.

Axes: B batch, h/w latent grid, L sequence length.
Reference: arXiv:2012.09841, Sec. 3.2, Eq. 9.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from smalti.compute import Compute
from smalti.conditions.conditioning import Conditioning, draw_present
from smalti.distributed import rank, without_sync
from smalti.metrics.nll import nats_per_token
from smalti.prior.build import PriorModel
from smalti.sequence.layout import Layout, TrainingSequence
from smalti.sequence.ordering import Ordering
from smalti.training.ema import EMA
from smalti.training.optim import ScheduledAdamW
from smalti.training.prior.code_batch import CodeBatch


@dataclass(slots=True)
class PriorState:
    """Models, optimizer and step count, which a step reads and changes."""

    prior: PriorModel
    forward: nn.Module
    """The prior, wrapped for distributed training if there are several processes."""
    average: EMA[PriorModel]
    optimizer: ScheduledAdamW
    compute: Compute
    step: int = 0


@dataclass(frozen=True, slots=True)
class RandomOrders:
    """For how many images of a step the codes stand in random orders; the share falls to zero.

    Reference: Yu et al. 2024, "Randomized Autoregressive Visual Generation", arXiv:2411.00776,
        Sec. 3.2, Eq. 4.
    """

    all_until: int
    """Step until which all are in random orders."""
    none_from: int
    """Step from which none is; between the two the share falls in a line."""

    def share(self, step: int) -> float:
        """Probability in [0, 1] that an image of a step is in a random order."""
        if step < self.all_until:
            return 1.0
        if step >= self.none_from:
            return 0.0
        return 1 - (step - self.all_until) / (self.none_from - self.all_until)

    def draw(self, images: int, cells: int, step: int, generator: torch.Generator) -> Tensor:
        """The orders (images, cells) int64 of a step; `generator` is on the CPU."""
        usual = torch.arange(cells).expand(images, -1)
        random = torch.rand(images, cells, generator=generator).argsort(dim=1)
        is_random = torch.rand(images, 1, generator=generator) < self.share(step)
        return torch.where(is_random, random, usual)


@dataclass(frozen=True, slots=True)
class PriorStepConfig:
    """Settings of the run that a step needs."""

    layout: Layout
    ordering: Ordering
    conditioning: Conditioning
    condition_drop: float
    """Share of the examples whose conditions are dropped."""
    accumulation_steps: int
    token_keep: float = 1.0
    """Probability in (0, 1] that an image token is read as it is; else a random code is read."""
    random_orders: RandomOrders | None = None
    """Random orders of the codes; None has none."""

    def orders(self, images: int, step: int, generator: torch.Generator) -> Tensor | None:
        """The orders (images, cells) int64 of a step's images; None if all are the usual one."""
        orders = self.random_orders
        if orders is None or orders.share(step) == 0:
            return None
        return orders.draw(images, self.layout.image_length, step, generator)

    def sequence(
        self,
        batch: CodeBatch,
        dropping: torch.Generator | None = None,
        order: Tensor | None = None,
    ) -> TrainingSequence:
        """Join conditioning and image.

        `dropping` is a generator on the CPU that chooses which conditions are dropped and which
        image tokens are replaced; None changes nothing. `order` (B, cells) int64 puts the image
        tokens into other orders.
        """
        present = None
        if dropping is not None and self.condition_drop > 0:
            conditions = len(self.conditioning.kinds)
            present = draw_present(len(batch.codes), conditions, self.condition_drop, dropping)
        cond_tokens = self.conditioning.tokens(batch.conditions, present)
        image_tokens = self.ordering.to_tokens(batch.codes)
        if order is not None:
            image_tokens = image_tokens.gather(1, order)
        sequence = self.layout.join(cond_tokens, image_tokens)
        if dropping is None or self.token_keep == 1:
            return sequence
        # After the conditions, so that what is dropped does not depend on what is kept here.
        tokens = corrupt(sequence.tokens, self.layout, self.token_keep, dropping)
        return replace(sequence, tokens=tokens)


def corrupt(tokens: Tensor, layout: Layout, keep: float, generator: torch.Generator) -> Tensor:
    """Replace some of the image tokens that a prior reads by random codes.

    The prior then learns not to rely on any one token; in sampling it reads its own tokens, which
    may be wrong.

    Args:
        tokens: (B, input_length) int64 in [0, V), conditioning first; on the CPU.
        layout: layout of the sequence.
        keep: probability in [0, 1] that an image token stays.
        generator: generator on the CPU that chooses the tokens and the codes.

    Returns:
        (B, input_length) int64: the conditioning as it was, and image tokens in [0, K). A random
        code may be the former one.

    Reference: `pkeep` of the released code.
    """
    conditioning, image = tokens[:, : layout.cond_length], tokens[:, layout.cond_length :]
    kept = torch.rand(image.shape, generator=generator) < keep
    random = torch.randint(layout.codebook_size, image.shape, generator=generator)
    return torch.cat([conditioning, torch.where(kept, image, random)], dim=1)


def prior_step(state: PriorState, batch: CodeBatch, config: PriorStepConfig) -> dict[str, Tensor]:
    """One update of the prior.

    Args:
        state: updated in place.
        batch: codes, on the CPU.
        config: what the sequence is made of, and chunks.

    Returns:
        Detached scalars by name, for the log; nll is in nats per token.

    Reference: Eq. 9.
    """
    if rank() > 0:  # each process drops other conditions, tokens and activations
        torch.manual_seed(torch.initial_seed() + rank())
    # The loop seeds each step; this stream is the same on every device. Without random orders it
    # gives none away, so that the rest is drawn as before.
    dropping = torch.Generator().manual_seed(torch.initial_seed())
    order = config.orders(len(batch.codes), state.step, dropping)
    sequence = config.sequence(batch, dropping, order)
    tokens = sequence.tokens.to(state.compute.device, non_blocking=True)
    targets = sequence.targets.to(state.compute.device, non_blocking=True)

    total = torch.zeros((), device=tokens.device)
    chunks = tokens.chunk(config.accumulation_steps)
    target_chunks = targets.chunk(config.accumulation_steps)
    arguments = _chunks_with_orders(chunks, order)
    for number, (chunk, chunk_targets) in enumerate(zip(arguments, target_chunks, strict=True), 1):
        with without_sync(state.forward, unless=number == len(chunks)):
            with state.compute.autocast():
                logits = state.forward(*chunk)
            mean = nats_per_token(config.layout.image_logits(logits), chunk_targets).mean()
            loss = mean * (len(chunk_targets) / len(tokens))
            loss.backward()  # type: ignore[no-untyped-call]
        total += loss.detach()

    norm = state.optimizer.update(state.step)
    state.average.update(state.prior, state.step)
    state.step += 1
    return {"nll": total, "gradient_norm": norm}


def _chunks_with_orders(
    chunks: Sequence[Tensor], order: Tensor | None
) -> Sequence[tuple[Tensor, ...]]:
    """The arguments of the forward pass for each chunk: its tokens, and its orders if there are."""
    if order is None:
        return [(chunk,) for chunk in chunks]
    orders = order.to(chunks[0].device, non_blocking=True).split_with_sizes([*map(len, chunks)])
    return list(zip(chunks, orders, strict=True))
