"""The health report of a run: faults that its numbers show.

All findings are a pure function of the lines of `metrics.jsonl`, so that training, a resumed run
and `smalti inspect` report the same.
"""

from collections.abc import Callable, Sequence

from smalti.health.findings import Finding
from smalti.health.history import History, Line
from smalti.health.learning import not_finite, over_fitting, waiting_for_data, worse_than_uniform
from smalti.health.tokenizer import (
    adversary_dominates,
    codebook_collapse,
    discriminator_stuck,
    discriminator_too_strong,
)
from smalti.tokenizer.config import VQGANConfig

RULES: Sequence[Callable[[History], Finding | None]] = (
    adversary_dominates,
    discriminator_too_strong,
    discriminator_stuck,
    over_fitting,
    worse_than_uniform,
    waiting_for_data,
)


def examine(lines: Sequence[Line], vqgan: VQGANConfig | None) -> list[Finding]:
    """Find what is wrong with a run by the lines of its metrics, what ruins a run first.

    `vqgan` is the config of the tokenizer that is trained; None in a run of stage 2.
    """
    history = History(lines)
    collapse = None if vqgan is None else codebook_collapse(history, vqgan)
    findings = [not_finite(history), collapse, *(rule(history) for rule in RULES)]
    return [finding for finding in findings if finding is not None]
