"""Whether a run trains, is done, was stopped or failed, read from its folder."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from smalti.health.history import Line
from smalti.runs.state import RunState
from smalti.training.log import resume_command
from smalti.training.run_lock import read_holder, shows_life

StatusKind = Literal["training", "finished", "stopped", "failed"]


@dataclass(frozen=True, slots=True)
class Status:
    """How a run stands."""

    kind: StatusKind
    message: str
    """The same in words, with what to do about it."""


def status_of(state: RunState) -> Status:
    """How a run stands by its metrics and the file of the process that holds it.

    A process that was killed is noticed when its file has shown no life for a minute and a half.
    """
    training = state.config.training
    of_all = f"step {state.step:,} of {training.total_steps:,}"
    if shows_life(state.folder):
        return Status("training", f"{of_all}, training now")
    go_on = f"{resume_command(state.folder)} goes on"
    broken = [line for line in state.lines if line["group"] == "not_finite"]
    if broken:
        what = f"{broken[-1]['what']} was not a number at step {broken[-1]['step']:,}"
        return Status("failed", f"{what}; {broken[-1]['advice']}")
    if state.step >= training.total_steps:
        return Status("finished", f"all {training.total_steps:,} steps are done")
    if state.has_stopped_early(_evaluations_without_gain(state.lines)):
        return Status("finished", f"{of_all}: it stopped early, as its scores got no better")
    if read_holder(state.folder) is not None:
        silent = "no sign of life of its process, which was killed or sleeps"
        return Status("failed", f"{of_all}: {silent}; {go_on}")
    return Status("stopped", f"{of_all}; {go_on}")


def _evaluations_without_gain(lines: Sequence[Line]) -> int:
    """Number of evaluations of a prior since the one with the lowest NLL."""
    scores = [line["nll"] for line in lines if line["group"] == "eval" and line.get("nll")]
    return len(scores) - 1 - scores.index(min(scores)) if scores else 0
