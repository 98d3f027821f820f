"""What a tokenizer's codes are worth to a prior.

Codes are made to be predicted and drawn by a prior. So a small transformer, always of the same
shape, learns them for a fixed budget, and its bits of images that it was not trained on are a
figure of the tokenizer. A prior also draws some codes wrongly. The other figures are the Frechet
distance between images and what the tokenizer makes of their codes when a share of these was
replaced. Reconstruction tells of neither: a tokenizer with more codes may keep more of an image,
and leave more to learn.

Figures compare between tokenizers measured on the same images at the same size.

Axes: N images, h/w grid of codes, H/W size of the images in pixels, K codebook size, L = h * w.
"""

import copy
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from smalti.config import InputError
from smalti.evaluation.extractors.base import Extractor
from smalti.evaluation.measures import Figure
from smalti.metrics.frechet import frechet_distance
from smalti.metrics.moments import FeatureMoments
from smalti.metrics.nll import bits_per_dimension, nats_per_token, uniform_nats_per_token
from smalti.prior.base import SequenceSizes
from smalti.prior.gpt.config import GPT2Config
from smalti.prior.gpt.model import GPT
from smalti.randomness import generator_for
from smalti.sequence.layout import Layout
from smalti.tokenizer.base import Tokenizer
from smalti.words import counted

# The budget is the same for all tokenizers, or the figures would not compare.
SHAPE = GPT2Config(layers=4, heads=4, width=128, dropout=0.1)
STEPS, BATCH_SIZE, EVALUATE_STEPS = 400, 16, 25
LEARNING_RATE, WARMUP_STEPS = 1e-3, 40
SEED = 0

EVERY = 5
"""One of so many images, evenly spaced, is not trained on."""
FEWEST_IMAGES = 2 * EVERY
LONGEST = 1024
"""Codes of an image at most: attention over more takes hours on a processor."""
SHARES = (0.05, 0.2)
"""Shares of the codes that are replaced."""


@dataclass(frozen=True, slots=True)
class PriorData:
    """What the small prior came to."""

    nats: float
    """Nats a code of images that it was not trained on, at the lowest."""
    step: int
    """Step of the budget at which they were lowest."""
    training: int
    """Images that it learned from."""
    unseen: int
    """Images that it was measured on."""


def check_codes(images: int, height: int, width: int) -> None:
    """Refuse what the small prior cannot learn, before anything is encoded.

    Args:
        images: N.
        height: h.
        width: w.

    Raises:
        InputError: the images are too few, or their codes too many.
    """
    if images < FEWEST_IMAGES:
        raise InputError(
            f"--as-prior-data trains a prior on some of the images and needs {FEWEST_IMAGES} at "
            f"least, got {images}"
        )
    if height * width > LONGEST:
        raise InputError(
            f"--as-prior-data takes at most {LONGEST:,} codes an image, and these have "
            f"{height}x{width}; give a smaller --size"
        )


def learn_codes(
    codes: Tensor,
    codebook_size: int,
    device: torch.device,
    on_step: Callable[[], object] = lambda: None,
) -> PriorData:
    """Train the small prior on codes, from fixed weights and in a fixed order.

    Args:
        codes: (N, h, w) int64 in [0, K), N at least 10.
        codebook_size: K.
        device: where to train.
        on_step: called after each of the `STEPS` steps.
    """
    check_codes(*codes.shape)
    tokens = codes.flatten(1).cpu()
    is_unseen = torch.arange(len(tokens)) % EVERY == EVERY - 1
    training, unseen = tokens[~is_unseen], tokens[is_unseen]
    layout = Layout(codebook_size, 1, 1, tokens.shape[1])
    devices = [device] if device.type == "cuda" else []
    best, best_step = math.inf, 0
    with torch.random.fork_rng(devices):
        torch.manual_seed(SEED)
        prior = GPT(SHAPE, SequenceSizes(layout.vocab_size, layout.input_length)).to(device)
        optimizer = torch.optim.AdamW(prior.parameters(), LEARNING_RATE, weight_decay=0.01)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, _rate)
        for step in range(1, STEPS + 1):
            chosen = torch.randint(
                len(training), (BATCH_SIZE,), generator=generator_for(SEED, step)
            )
            loss = _nats(prior, layout, training[chosen].to(device)).mean()
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(prior.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            schedule.step()
            if step % EVALUATE_STEPS == 0:
                nats = _mean_nats(prior, layout, unseen, device)
                if nats < best:
                    best, best_step = nats, step
            on_step()
    return PriorData(best, best_step, len(training), len(unseen))


def _rate(step: int) -> float:
    """The learning rate as a share of the highest: a linear rise, then half a cosine down."""
    progress = min(step / STEPS, 1.0)
    return min((step + 1) / WARMUP_STEPS, 1.0) * (1 + math.cos(math.pi * progress)) / 2


def _nats(prior: GPT, layout: Layout, tokens: Tensor) -> Tensor:
    """Nats a code (B,) of the tokens (B, L) of images."""
    start = torch.zeros(len(tokens), 1, dtype=torch.int64, device=tokens.device)
    sequence = layout.join(start, tokens)
    return nats_per_token(layout.image_logits(prior(sequence.tokens)), sequence.targets)


@torch.no_grad()
def _mean_nats(prior: GPT, layout: Layout, tokens: Tensor, device: torch.device) -> float:
    """Mean over the tokens (N, L) of images, without dropout."""
    prior.eval()
    nats = [_nats(prior, layout, chunk.to(device)) for chunk in torch.split(tokens, BATCH_SIZE)]
    prior.train()
    return float(torch.cat(nats).mean())


def prior_data_figures(
    found: PriorData, codebook_size: int, grid: tuple[int, int], size_px: tuple[int, int]
) -> list[Figure]:
    """The figures of what the small prior came to.

    Args:
        found: by `learn_codes`.
        codebook_size: K.
        grid: h and w.
        size_px: H and W.
    """
    length = grid[0] * grid[1]
    uniform = bits_per_dimension(uniform_nats_per_token(codebook_size), length, *size_px)
    bits = bits_per_dimension(found.nats, length, *size_px)
    of = f"small prior, {counted(found.unseen, 'unseen image')}"
    return [
        Figure("prior_data_bits", f"bits a pixel dimension ({of})", bits, "{:.4f}"),
        Figure("prior_data_bits_uniform", "the same, of knowing nothing", uniform, "{:.4f}"),
        Figure("prior_data_nats", "nats a code", found.nats, "{:.3f}"),
    ]


@torch.no_grad()
def replaced_figures(
    tokenizer: Tokenizer, batches: Iterable[Tensor], codes: Tensor, extractor: Extractor
) -> list[Figure]:
    """The Frechet distance of images from what becomes of them when codes are replaced.

    Each code is replaced with the same probability, by one that is drawn from all codes of the
    images: as a prior is wrong, which knows what is frequent.

    Args:
        tokenizer: of RGB images, in eval mode.
        batches: the images (B, 3, H, W) float32 in [-1, 1] on the tokenizer's device.
        codes: (N, h, w) int64 in [0, K) of all of them, in their order.
        extractor: on the same device.
    """
    real = FeatureMoments(extractor.feature_count)
    replaced = {share: copy.deepcopy(real) for share in SHARES}
    start = 0
    for images in batches:
        real.add(extractor.features(images))
        own = codes[start : start + len(images)]
        for share, moments in replaced.items():
            changed = replace_codes(own, codes, share, first=start).to(images.device)
            moments.add(extractor.features(tokenizer.decode(changed)))
        start += len(images)
    return [
        Figure(
            f"fd_replaced_{share:.0%}".removesuffix("%"),
            f"{extractor.frechet_name} with {share:.0%} of the codes replaced",
            frechet_distance(real.gaussian(), moments.gaussian()),
            "{:.3f}",
        )
        for share, moments in replaced.items()
    ]


def replace_codes(codes: Tensor, everything: Tensor, share: float, first: int = 0) -> Tensor:
    """Codes of which a share is replaced; image i is a function of i, not of its batch.

    Args:
        codes: (B, h, w) int64.
        everything: (N, h, w) int64, from which other codes are drawn.
        share: chance of a code to be replaced, perhaps by one of the same value.
        first: number of the first image.
    """
    pool = everything.flatten()
    changed = []
    for number, image in enumerate(codes, first):
        generator = generator_for(SEED, number)
        is_replaced = torch.rand(image.shape, generator=generator) < share
        drawn = pool[torch.randint(len(pool), image.shape, generator=generator)]
        changed.append(torch.where(is_replaced, drawn, image))
    return torch.stack(changed)


def in_words(found: PriorData) -> str:
    """What to know before the figures are quoted."""
    return (
        f"the small prior ({SHAPE.in_words}) learned from {found.training:,} of the images for "
        f"{STEPS} steps of {BATCH_SIZE}, and was best at step {found.step}; its figures compare "
        "between tokenizers on the same images at the same size"
    )
