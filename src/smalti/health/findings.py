"""The health of a run: what its numbers say is going wrong, in words, and what to change.

Everything is a pure function of the lines of `metrics.jsonl`, so that training, a resumed run and
`smalti inspect` see the same. Axes: K codebook size, N code vectors of the evaluation set.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import fmean
from typing import Any, Literal

from smalti.health.run_images import RunImages, scored_images

FindingKind = Literal[
    "not_finite",
    "codebook_collapse",
    "discriminator_too_strong",
    "discriminator_stuck",
    "adversary_dominates",
    "over_fitting",
    "worse_than_uniform",
    "waiting_for_data",
]
RemedyKind = Literal["restart_codes", "slow_discriminator", "soften_adversary"]

Line = dict[str, Any]

# A batch's numbers are noisy and a discriminator needs time: what is judged must last this long.
RECENT_LINES = 10
RECENT_STEPS = 100
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
# A discriminator that is right about nearly every patch has nothing left to say but "worse".
TOO_ACCURATE = 0.95
# At chance, and with logits no further apart than their noise, it says nothing. The hinge loss of
# such a one is 1.0, the log loss 0.69.
CHANCE_ACCURACY = 0.55
STUCK_LOGITS = 0.05
# Above 1 the last layer is moved more by the discriminator than by the images.
DOMINATING_PULL = 1.0
# An adversary in good order costs a few per cent of the reconstruction; the ramp may cost more for
# one evaluation. One switched on cold at full weight costs a fifth of it for good.
WORSE_RECONSTRUCTION = 1.1
WORSE_EVALUATIONS = 2
# Three rises in a row are no chance; the share keeps tiny drifts at a plateau out.
OVER_FITTING_RISES = 3
OVER_FITTING_SHARE = 0.01
# New weights are a little above it, and their average stays so for a while.
ABOVE_UNIFORM = 1.01
UNIFORM_EVALUATIONS = 3
# Workers hide the decoding altogether where there are enough of them.
LONG_WAIT = 0.3


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is going wrong."""

    kind: FindingKind
    message: str
    """What is seen, with the figures."""
    advice: str
    """What to change; options by their names."""
    remedy: RemedyKind | None = None
    """What can be done about it while the run goes on, if anything is safe."""

    @property
    def flag(self) -> str:
        """A few words for the progress line."""
        return f"{self.kind.replace('_', ' ')}!"

    @property
    def in_words(self) -> str:
        """A line for people."""
        return f"{self.message}. What to change: {self.advice}"


def in_words(findings: Sequence[Finding]) -> list[str]:
    """Lines for people; one that says so when nothing is wrong."""
    return [finding.in_words for finding in findings] or ["nothing wrong is seen"]


class History:
    """The lines of a run, by what they are.

    Args:
        lines: of `metrics.jsonl`, in order.
    """

    def __init__(self, lines: Sequence[Line]) -> None:
        self._lines = lines

    def train(self, *names: str) -> list[Line]:
        """Lines of training steps that have all these numbers."""
        return [line for line in self._of("train") if _has(line, names)]

    def evaluations(self, *names: str) -> list[Line]:
        """Lines of evaluations that have all these numbers."""
        return [line for line in self._of("eval") if _has(line, names)]

    def ends_not_finite(self) -> list[Line]:
        """Lines of a loss or weight that became NaN or infinite, and so ended the run."""
        return self._of("not_finite")

    def recent(self, *names: str) -> list[Line]:
        """The newest training lines with these numbers; none while they span too short a time."""
        lines = self.train(*names)
        for start in range(len(lines) - RECENT_LINES, -1, -1):
            if lines[-1]["step"] - lines[start]["step"] >= RECENT_STEPS:
                return lines[start:]
        return []

    def since_remedy(self, remedy: RemedyKind) -> "History":
        """What came after this remedy was last applied: it is given time to work."""
        applied = [line["step"] for line in self._of("remedy") if line["remedy"] == remedy]
        after = max(applied, default=-1)
        return History([line for line in self._lines if line["step"] > after])

    @property
    def scored(self) -> str:
        """What the evaluations are of: held-out images, training images, ..."""
        return scored_images(self._lines)

    @property
    def has_other_images(self) -> bool:
        """Whether images that are not learned from are evaluated; assumed of older runs."""
        images = RunImages.last(self._lines)
        return images is None or images.held_out > 0

    def last_findings(self) -> list[str]:
        """Kinds of the findings of the last examination."""
        examined = self._of("health")
        return list(examined[-1]["findings"]) if examined else []

    def _of(self, group: str) -> list[Line]:
        return [line for line in self._lines if line["group"] == group]


def _has(line: Line, names: Sequence[str]) -> bool:
    """Whether a line has all these numbers; null is one that was NaN or infinite."""
    return all(line.get(name) is not None for name in names)


def examine(lines: Sequence[Line], codebook_size: int | None) -> list[Finding]:
    """What is wrong with a run.

    Args:
        lines: of its `metrics.jsonl`, in order.
        codebook_size: K of the tokenizer in training; None where a prior is trained.

    Returns:
        The findings, those that ruin a run first.
    """
    history = History(lines)
    collapse = _codebook_collapse(history, codebook_size) if codebook_size else None
    found = [_not_finite(history), collapse, *(rule(history) for rule in _RULES)]
    return [finding for finding in found if finding is not None]


def _not_finite(history: History) -> Finding | None:
    """A loss or weight became NaN or infinite and ended the run; one that goes on forgets it."""
    ends = history.ends_not_finite()
    if not ends:
        return None
    return Finding("not_finite", f"the run ended: {ends[-1]['what']}", ends[-1]["advice"])


def _codebook_collapse(history: History, codebook_size: int) -> Finding | None:
    """Few codes in use, or fewer and fewer."""
    names = ("code_use", "code_perplexity", "code_vectors")
    evaluations = history.since_remedy("restart_codes").evaluations(*names)
    recent = evaluations[-COLLAPSED_EVALUATIONS:]
    if len(recent) < COLLAPSED_EVALUATIONS:
        return None
    now = recent[-1]
    falls = "ssim" in now and _is_falling(evaluations)  # what maps need may well become less
    if not (falls or all(_is_low(line, codebook_size) for line in recent)):
        return None
    return Finding(
        "codebook_collapse",
        f"codebook collapse: {now['code_use']:.0%} of {codebook_size} codes are in use, "
        f"perplexity {now['code_perplexity']:.0f}",
        "another --vqgan.quantizer (kind fsq has no codes that could die, ema moves unused ones by "
        "itself; vector needs lookup_dim 8 and l2_normalised true), or a smaller "
        "--vqgan.codebook_size",
        "restart_codes",
    )


def _is_low(line: Line, codebook_size: int) -> bool:
    if "ssim" not in line:  # maps are mostly flat and need few codes
        return bool(line["code_perplexity"] < LOW_PERPLEXITY_OF_MAPS)
    reachable = reachable_codes(codebook_size, line["code_vectors"])
    return bool(
        line["code_use"] * codebook_size < LOW_USE * reachable
        or line["code_perplexity"] < LOW_PERPLEXITY * reachable
    )


def reachable_codes(codebook_size: int, vectors: int) -> float:
    """Codes that so many vectors would hit if all K were equally likely, expected value.

    A small evaluation set cannot show a large codebook in full use.
    """
    return float(codebook_size * (1 - (1 - 1 / codebook_size) ** vectors))


def _is_falling(evaluations: Sequence[Line]) -> bool:
    uses = [line["code_use"] for line in evaluations]
    last = uses[-FALLING_EVALUATIONS - 1 :]
    if len(last) <= FALLING_EVALUATIONS:
        return False
    return _all_rise(last[::-1]) and last[-1] < FALLEN_USE * max(uses)


def _discriminator_too_strong(history: History) -> Finding | None:
    """Right about almost every patch, and the generator gets further behind."""
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
        "lower --discriminator_optimizer.learning_rate or --discriminator.filters",
        "slow_discriminator",
    )


def _discriminator_stuck(history: History) -> Finding | None:
    """It cannot tell images from reconstructions, and does not learn to."""
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
        "raise --discriminator_optimizer.learning_rate or --discriminator.filters",
    )


def _adversary_dominates(history: History) -> Finding | None:
    """The discriminator moves the decoder more than the images do, or spoils what was learned."""
    treated = history.since_remedy("soften_adversary")
    message = _dominating_pull(treated) or _worse_reconstruction(history, treated)
    if message is None:
        return None
    return Finding(
        "adversary_dominates",
        f"adversary dominating: {message}",
        "lower --loss.adversary.weight",
        "soften_adversary",
    )


def _dominating_pull(history: History) -> str | None:
    names = ("adversary_weight", "generator_gradient_norm", "reconstruction_gradient_norm")
    lines = history.recent(*names)
    if not lines:
        return None
    weight, generator, reconstruction = ([line[name] for line in lines] for name in names)
    pull = fmean(w * norm for w, norm in zip(weight, generator, strict=True))
    if pull <= DOMINATING_PULL * fmean(reconstruction):
        return None
    return (
        f"its gradient at the last layer is {pull / max(fmean(reconstruction), 1e-12):.1f} times "
        "that of the reconstruction"
    )


def _worse_reconstruction(history: History, treated: History) -> str | None:
    """Compares with how it was before the discriminator was first heard."""
    heard = [line["step"] for line in history.train("adversary_weight") if line["adversary_weight"]]
    if not heard:
        return None
    name = "reconstruction_loss"
    before, after = _split_at(heard[0], history.evaluations(name), treated.evaluations(name), name)
    recent = after[-WORSE_EVALUATIONS:]
    if not before or len(recent) < WORSE_EVALUATIONS:
        return None
    trained_before, trained = _split_at(heard[0], history.train(name), treated.train(name), name)
    # Where training images got no worse it is over-fitting, which is not the adversary's doing.
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


def _over_fitting(history: History) -> Finding | None:
    """Training images get better while held-out images get worse."""
    if not history.has_other_images:
        return None
    for name, advice in _OVER_FITTING_ADVICE.items():
        evaluations = history.evaluations(name)[-OVER_FITTING_RISES - 1 :]
        scores = [line[name] for line in evaluations]
        if len(scores) <= OVER_FITTING_RISES or not _all_rise(scores):
            continue
        trained = list(_means_between(history.train(name), evaluations, name))
        rise = scores[-1] / scores[0] - 1 if scores[0] else 0.0
        if rise < OVER_FITTING_SHARE or not _all_rise(trained[::-1]):
            continue
        return Finding(
            "over_fitting",
            f"over-fitting: {name} of {history.scored} rose by {rise:.1%} over "
            f"{OVER_FITTING_RISES} evaluations while that of training fell",
            f"{advice}; the best model so far is kept in checkpoints/best",
        )
    return None


def _worse_than_uniform(history: History) -> Finding | None:
    """Evaluated images are less likely than if all codes were: certain, and wrong."""
    evaluations = history.evaluations("nll", "nll_uniform")[-UNIFORM_EVALUATIONS:]
    if len(evaluations) < UNIFORM_EVALUATIONS:
        return None
    if not all(line["nll"] > ABOVE_UNIFORM * line["nll_uniform"] for line in evaluations):
        return None
    now = evaluations[-1]
    return Finding(
        "worse_than_uniform",
        f"worse than knowing nothing: nll of {history.scored} is {now['nll']:.3f}, that of codes "
        f"that are all equally likely {now['nll_uniform']:.3f}",
        "a lower --optimizer.learning_rate while the nll of training is as high; more images, or "
        "a smaller --prior.width and --prior.layers, where it is far lower",
    )


def _means_between(
    lines: Sequence[Line], evaluations: Sequence[Line], name: str
) -> Iterator[float]:
    """Mean of a training number between each two evaluations."""
    for start, end in pairwise(line["step"] for line in evaluations):
        between = [line[name] for line in lines if start < line["step"] <= end]
        if between:
            yield fmean(between)


def _waiting_for_data(history: History) -> Finding | None:
    """The processor or the graphics card idles."""
    lines = history.recent("data_wait")[-RECENT_LINES:]
    if not lines:
        return None
    wait = fmean(line["data_wait"] for line in lines)
    if wait <= LONG_WAIT:
        return None
    return Finding(
        "waiting_for_data",
        f"waiting for data: {wait:.0%} of the time goes into reading images",
        "raise --training.workers; images stored near the size of --image.size decode faster",
    )


def _all_rise(values: Sequence[float]) -> bool:
    return len(values) > 1 and all(after > before for before, after in pairwise(values))


_ACCURACIES = ("real_accuracy", "fake_accuracy")
_OVER_FITTING_ADVICE = {
    "reconstruction_loss": "use more images, a smaller --vqgan.channels, or fewer steps",
    "nll": "use more images, more --codes.views, a higher --prior.dropout, a lower "
    "--token_keep, or fewer steps",
}
_RULES: Sequence[Callable[[History], Finding | None]] = (
    _adversary_dominates,
    _discriminator_too_strong,
    _discriminator_stuck,
    _over_fitting,
    _worse_than_uniform,
    _waiting_for_data,
)
