"""The state of a run, read from its folder; the run may still be training."""

from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from smalti.config import InputError, describe
from smalti.health.examine import examine
from smalti.health.findings import Finding
from smalti.health.history import Line
from smalti.health.run_images import RunImages, scored_images
from smalti.runs.config import ROOTS, BaseRunConfig, PriorRunConfig, VQGANRunConfig
from smalti.runs.stored import CONFIG_FILE, read_run_config
from smalti.training.log import read_metrics


@dataclass(frozen=True, slots=True)
class RunState:
    """Config and metrics of a run."""

    folder: Path
    config: VQGANRunConfig | PriorRunConfig
    lines: list[Line]
    """Lines of the run's `metrics.jsonl`."""

    @property
    def findings(self) -> list[Finding]:
        """Findings of what is wrong with the run."""
        vqgan = self.config.vqgan if isinstance(self.config, VQGANRunConfig) else None
        return examine(self.lines, vqgan)

    @property
    def step(self) -> int:
        """Number of steps in the log."""
        return max((line["step"] for line in self.lines), default=0)

    @property
    def seconds(self) -> float:
        """Training time in the log."""
        return max((line.get("seconds") or 0.0 for line in self.lines), default=0.0)

    def has_stopped_early(self, without_gain: int) -> bool:
        """Whether a prior ended before its last step, after so many evaluations without gain."""
        if isinstance(self.config, VQGANRunConfig):
            return False
        patience, total_steps = self.config.training.early_stop, self.config.training.total_steps
        return isinstance(patience, int) and without_gain >= patience and self.step < total_steps

    @property
    def images(self) -> RunImages | None:
        """Numbers of the training images and evaluated images; None for runs of older versions."""
        return RunImages.last(self.lines)

    @property
    def scored(self) -> str:
        """Words for the evaluated images."""
        return scored_images(self.lines)

    @property
    def changes(self) -> list[str]:
        """Lines on options that were changed during training."""
        return [
            f"step {line['step']}: {line['option']} from {line['was']} to {line['now']}"
            for line in self.lines
            if line["group"] == "change"
        ]

    def last_evaluation(self) -> dict[str, float | None]:
        """The newest scores by name; empty before the first evaluation.

        A score that was NaN or infinite is None.
        """
        evaluations = [line for line in self.lines if line["group"] == "eval"]
        last = evaluations[-1] if evaluations else {}
        return {name: value for name, value in last.items() if name not in ("step", "group")}


def in_figures(value: float | None) -> str:
    """A number of a run's metrics as text for people."""
    return "not a number" if value is None else f"{value:.4g}"


def read_config(folder: Path) -> BaseRunConfig | None:
    """Read the stored config of a run of any stage; None if the folder is no run.

    Raises:
        InputError: it is damaged.
    """
    stored = read_run_config(folder)
    if stored is None:
        return None
    try:
        return ROOTS.get(str(stored.get("stage")), VQGANRunConfig).model_validate(stored)
    except ValidationError as error:
        raise InputError(f"{folder / CONFIG_FILE}: {describe(error)}") from error


def read_run(folder: Path) -> RunState | None:
    """Read the state of a run; None if the folder is no run, or one without steps (pixels).

    Raises:
        InputError: its config is damaged.
    """
    config = read_config(folder)
    if not isinstance(config, VQGANRunConfig | PriorRunConfig):
        return None
    return RunState(folder, config, read_metrics(folder))
