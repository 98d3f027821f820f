"""How a run stands, from what its folder tells; the run may still be training."""

from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from smalti.config import InputError, describe
from smalti.health.examine import examine
from smalti.health.findings import Finding
from smalti.health.history import Line
from smalti.health.run_images import RunImages, scored_images
from smalti.runs.config import PixelsRunConfig, PriorRunConfig, VQGANRunConfig
from smalti.runs.stored import CONFIG_FILE, read_run_config
from smalti.training.log import read_metrics

PIXELS = PixelsRunConfig.model_fields["stage"].default


@dataclass(frozen=True, slots=True)
class RunState:
    """What a run's folder tells of it."""

    folder: Path
    config: VQGANRunConfig | PriorRunConfig
    lines: list[Line]
    """Lines of the run's `metrics.jsonl`."""

    @property
    def findings(self) -> list[Finding]:
        """What is wrong with it."""
        vqgan = self.config.vqgan if isinstance(self.config, VQGANRunConfig) else None
        return examine(self.lines, vqgan)

    @property
    def step(self) -> int:
        """Steps that the log knows of."""
        return max((line["step"] for line in self.lines), default=0)

    @property
    def seconds(self) -> float:
        """Training time that the log knows of."""
        return max((line.get("seconds") or 0.0 for line in self.lines), default=0.0)

    def has_stopped_early(self, without_gain: int) -> bool:
        """Whether a prior ended before its last step.

        Args:
            without_gain: evaluations without gain by its newest checkpoint.
        """
        patience = (
            self.config.training.early_stop if isinstance(self.config, PriorRunConfig) else None
        )
        is_done = self.step >= self.config.training.total_steps
        return isinstance(patience, int) and without_gain >= patience and not is_done

    @property
    def images(self) -> RunImages | None:
        """The images that it learns from and that its scores are of; None for older runs."""
        return RunImages.last(self.lines)

    @property
    def scored(self) -> str:
        """The images that its scores are of, in words."""
        return scored_images(self.lines)

    @property
    def changes(self) -> list[str]:
        """Options that were changed while it trained, in words."""
        return [
            f"step {line['step']}: {line['option']} from {line['was']} to {line['now']}"
            for line in self.lines
            if line["group"] == "change"
        ]

    def last_evaluation(self) -> dict[str, float | None]:
        """The newest scores, by name; empty before the first evaluation.

        One that was NaN or infinite is None.
        """
        evaluations = [line for line in self.lines if line["group"] == "eval"]
        last = evaluations[-1] if evaluations else {}
        return {name: value for name, value in last.items() if name not in ("step", "group")}


def in_figures(value: float | None) -> str:
    """A number of a run's metrics as people read it."""
    return "not a number" if value is None else f"{value:.4g}"


def read_run(folder: Path) -> RunState | None:
    """The state of a run; None where the folder is not a run, or one that has no steps (pixels).

    Raises:
        InputError: its config is damaged.
    """
    stored = read_run_config(folder)
    if stored is None or stored.get("stage") == PIXELS:
        return None
    root = PriorRunConfig if stored.get("stage") == "prior" else VQGANRunConfig
    try:
        config = root.model_validate(stored)
    except ValidationError as error:
        raise InputError(f"{folder / CONFIG_FILE}: {describe(error)}") from error
    return RunState(folder, config, read_metrics(folder))
