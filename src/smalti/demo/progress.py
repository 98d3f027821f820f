"""How far the two stages of the demonstration are, read from their runs."""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

from smalti.runs.state import read_run
from smalti.training.checkpoint import newest_step


@dataclass(frozen=True, slots=True)
class StageProgress:
    """How far the run of a stage is."""

    step: int = 0
    """Step of the newest checkpoint, with which the run would go on; 0 before the first one."""
    total_steps: int = 0
    """Length of the run in steps; 0 before it has begun."""
    minutes: float = 0.0
    """Training time so far."""

    @classmethod
    def read(cls, run: Path) -> Self:
        """Read it from the folder of a run, which need not exist yet.

        Raises:
            InputError: the config of the run is damaged.
        """
        state = read_run(run)
        if state is None:
            return cls()
        step = newest_step(run / "checkpoints")
        return cls(step, state.config.training.total_steps, state.seconds / 60)

    @property
    def is_done(self) -> bool:
        """Whether the last step is done."""
        return 0 < self.total_steps <= self.step

    @property
    def in_words(self) -> str:
        """The step, and after the first checkpoint the time that the stage still needs."""
        words = f"step {self.step} of {self.total_steps}"
        if not self.step:
            return words
        left = self.minutes * (self.total_steps - self.step) / self.step
        return f"{words}, about {max(1, round(left))} min left in this stage"


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the demonstration is."""

    vqgan: StageProgress
    prior: StageProgress

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read it from the runs `vqgan` and `prior` in the demonstration's folder.

        Raises:
            InputError: the config of a run is damaged.
        """
        return cls(StageProgress.read(folder / "vqgan"), StageProgress.read(folder / "prior"))

    @property
    def is_done(self) -> bool:
        """Whether both stages are done."""
        return self.vqgan.is_done and self.prior.is_done

    @property
    def stage_ends(self) -> bool:
        """Whether the present stage has done its last step."""
        return self.prior.is_done if self.prior.total_steps else self.vqgan.is_done

    @property
    def in_words(self) -> str:
        """What is being done, and what is still to come."""
        if self.is_done:
            return (
                f"Done: {self.vqgan.minutes:.1f} minutes for stage 1, "
                f"{self.prior.minutes:.1f} for stage 2."
            )
        if self.prior.step:
            return f"Stage 2 of 2 learns which codes follow which: {self.prior.in_words}."
        if self.vqgan.is_done:
            return "Stage 2 of 2 begins: the photographs become codes. New images come soon."
        if self.vqgan.step:
            return (
                f"Stage 1 of 2 learns the codes: {self.vqgan.in_words}. Then stage 2 learns which "
                "codes follow which, and new images are drawn."
            )
        return "Stage 1 of 2 begins: it learns the codes. The first reconstructions come soon."
