"""Findings of stage 1: codebook collapse, and faults of the adversarial training.

Axes: K codebook size, N code vectors of the images that are evaluated.
"""

from collections.abc import Sequence
from statistics import fmean

from smalti.health.findings import Finding
from smalti.health.history import RECENT_LINES, History, Line, all_rise
from smalti.tokenizer.config import VQGANConfig

# The first evaluation of a run may be of a codebook that has not spread out yet.
COLLAPSED_EVALUATIONS = 2
# Measured against what N vectors can show at all. Codebooks in good order use over half of that and
# have a perplexity of over a fifth of it; what is called collapsed in the literature is far below.
LOW_USE = 0.25
LOW_PERPLEXITY = 0.05
LOW_PERPLEXITY_OF_MAPS = 2.0  # codes, not a share
# A use that falls at each of three evaluations, by this share of its highest, does not come back.
FALLING_EVALUATIONS = 3
FALLEN_USE = 0.7
# A discriminator that is right about nearly every patch gives no useful gradient.
TOO_ACCURATE = 0.95
# At chance, and with logits no further apart than their noise, a discriminator tells nothing. Its
# hinge loss is 1.0, its log loss 0.69.
CHANCE_ACCURACY = 0.55
STUCK_LOGITS = 0.05
# Above 1 the last layer is moved more by the discriminator than by the images.
DOMINATING_GRADIENT = 1.0
# An adversary in good order costs a few per cent of the reconstruction; the ramp may cost more for
# one evaluation. One switched on cold at full weight costs a fifth of it for good.
WORSE_RECONSTRUCTION = 1.1
WORSE_EVALUATIONS = 2
_ACCURACIES = ("real_accuracy", "fake_accuracy")


def codebook_collapse(history: History, vqgan: VQGANConfig) -> Finding | None:
    """Codebook collapse: few codes are in use, or fewer at each evaluation."""
    names = ("code_use", "code_perplexity", "code_vectors")
    evaluations = history.since_remedy("restart_codes").evaluations(*names)
    recent = evaluations[-COLLAPSED_EVALUATIONS:]
    if len(recent) < COLLAPSED_EVALUATIONS:
        return None
    now = recent[-1]
    # What maps need may well become less.
    falls = vqgan.content.kind == "rgb" and _is_falling(evaluations)
    if not (falls or all(_is_low(line, vqgan) for line in recent)):
        return None
    return Finding(
        "codebook_collapse",
        f"codebook collapse: {now['code_use']:.0%} of {vqgan.codebook_size} codes are in use, "
        f"perplexity {now['code_perplexity']:.0f}",
        "another --vqgan.quantizer (kind fsq has no codes that could die, ema moves unused ones by "
        "itself; vector needs lookup-dim 8 and l2-normalised true), or a smaller "
        "--vqgan.codebook-size",
        "restart_codes",
    )


def _is_low(line: Line, vqgan: VQGANConfig) -> bool:
    if vqgan.content.kind != "rgb":  # maps are mostly flat and need few codes
        return bool(line["code_perplexity"] < LOW_PERPLEXITY_OF_MAPS)
    reachable = reachable_codes(vqgan.codebook_size, line["code_vectors"])
    return bool(
        line["code_use"] * vqgan.codebook_size < LOW_USE * reachable
        or line["code_perplexity"] < LOW_PERPLEXITY * reachable
    )


def reachable_codes(codebook_size: int, vectors: int) -> float:
    """Expected number of different codes of so many vectors if all K were equally likely.

    A small evaluation set cannot show a large codebook in full use.
    """
    return float(codebook_size * (1 - (1 - 1 / codebook_size) ** vectors))


def _is_falling(evaluations: Sequence[Line]) -> bool:
    uses = [line["code_use"] for line in evaluations]
    last = uses[-FALLING_EVALUATIONS - 1 :]
    if len(last) <= FALLING_EVALUATIONS:
        return False
    return all_rise(last[::-1]) and last[-1] < FALLEN_USE * max(uses)


def discriminator_too_strong(history: History) -> Finding | None:
    """The discriminator is right about nearly all patches, and the generator loss rises."""
    lines = history.since_remedy("slow_discriminator").recent(
        "real_accuracy", "fake_accuracy", "generator_loss"
    )
    if not lines:
        return None
    accuracy = min(fmean(line[name] for line in lines) for name in _ACCURACIES)
    losses = [line["generator_loss"] for line in lines]
    half = len(losses) // 2
    if accuracy < TOO_ACCURATE or fmean(losses[half:]) <= fmean(losses[:half]):
        return None
    return Finding(
        "discriminator_too_strong",
        f"discriminator too strong: it is right about {accuracy:.0%} of the patches, and the "
        f"generator loss rises (now {losses[-1]:.2f})",
        "lower --discriminator-optimizer.learning-rate or --discriminator.filters",
        "slow_discriminator",
    )


def discriminator_stuck(history: History) -> Finding | None:
    """The discriminator cannot tell images from reconstructions and does not improve."""
    lines = history.recent(*_ACCURACIES, "real_logits", "fake_logits", "discriminator_loss")
    if not lines:
        return None
    accuracy = fmean(line[name] for line in lines for name in _ACCURACIES)
    apart = fmean(line["real_logits"] - line["fake_logits"] for line in lines)
    if accuracy > CHANCE_ACCURACY or abs(apart) > STUCK_LOGITS:
        return None
    return Finding(
        "discriminator_stuck",
        f"discriminator stuck: it is right about {accuracy:.0%} of the patches, as by chance, and "
        f"its loss stays at {lines[-1]['discriminator_loss']:.2f}",
        "raise --discriminator-optimizer.learning-rate or --discriminator.filters",
    )


def adversary_dominates(history: History) -> Finding | None:
    """The generator loss moves the decoder more than the reconstruction loss, or spoils it."""
    treated = history.since_remedy("soften_adversary")
    message = _dominating_gradient(treated) or _worse_reconstruction(history, treated)
    if message is None:
        return None
    return Finding(
        "adversary_dominates",
        f"adversary dominating: {message}",
        "lower --loss.adversary.weight",
        "soften_adversary",
    )


def _dominating_gradient(history: History) -> str | None:
    names = ("adversary_weight", "generator_gradient_norm", "reconstruction_gradient_norm")
    lines = history.recent(*names)
    if not lines:
        return None
    weight, generator, reconstruction = ([line[name] for line in lines] for name in names)
    adversarial = fmean(w * norm for w, norm in zip(weight, generator, strict=True))
    if adversarial <= DOMINATING_GRADIENT * fmean(reconstruction):
        return None
    return (
        "its gradient at the last layer is "
        f"{adversarial / max(fmean(reconstruction), 1e-12):.1f} times that of the reconstruction"
    )


def _worse_reconstruction(history: History, treated: History) -> str | None:
    """Message if the reconstruction is worse than before the generator loss first had a weight."""
    lines = history.train("adversary_weight")
    joined = next((line["step"] for line in lines if line["adversary_weight"]), None)
    if joined is None:
        return None
    name = "reconstruction_loss"
    before, after = _split_at(joined, history.evaluations(name), treated.evaluations(name), name)
    recent = after[-WORSE_EVALUATIONS:]
    if not before or len(recent) < WORSE_EVALUATIONS:
        return None
    trained_before, trained = _split_at(joined, history.train(name), treated.train(name), name)
    # If training images got no worse it is over-fitting, which the adversary does not cause.
    if _recent_mean(trained) <= _recent_mean(trained_before):
        return None
    if min(recent) <= WORSE_RECONSTRUCTION * before[-1]:
        return None
    return (
        f"the reconstruction of {history.scored} is {recent[-1] / before[-1] - 1:.0%} worse than "
        "before it joined"
    )


def _split_at(
    step: int, lines: Sequence[Line], treated: Sequence[Line], name: str
) -> tuple[list[float], list[float]]:
    """Values up to a step, and those after it and after the last remedy."""
    before = [line[name] for line in lines if line["step"] <= step]
    return before, [line[name] for line in treated if line["step"] > step]


def _recent_mean(values: Sequence[float]) -> float:
    return fmean(values[-RECENT_LINES:]) if values else 0.0
