"""The protocol by which the loop trains either stage."""

import contextlib
from collections.abc import Mapping, Sequence
from typing import Protocol, TypeVar

from PIL import Image
from torch import Tensor

from smalti.health.findings import Finding
from smalti.health.history import Line
from smalti.health.remedies import Treatment
from smalti.training.checkpoint import InferenceModel, TrainingState


class Keyed(Protocol):
    """A batch that knows the keys of its images."""

    @property
    def keys(self) -> Sequence[str]:
        """Path of each example, for messages."""


B_contra = TypeVar("B_contra", bound=Keyed, contravariant=True)


class Learner(Protocol[B_contra]):
    """A stage of training as the loop needs it."""

    @property
    def shown(self) -> Sequence[str]:
        """Names of the scalars that the progress line shows."""

    def state(self) -> TrainingState:
        """Modules and optimizers that a step changes."""

    def model(self) -> InferenceModel:
        """The model that is used after training."""

    def set_step(self, step: int) -> None:
        """Set the number of steps done, when a run is resumed."""

    def step(self, batch: B_contra) -> Mapping[str, Tensor]:
        """Make one update, and return detached scalars by name."""

    def evaluate(self) -> Mapping[str, float]:
        """Evaluate, called in all processes; "score" is the number that early stopping minimizes.

        The result is the same in each process.
        """

    def comparable_from(self) -> int:
        """First step whose scores may be the best; earlier scores cannot be compared with later."""
        return 0

    def drawing(self) -> contextlib.AbstractContextManager[None]:
        """Context, in all processes, in which process 0 has what `pictures` needs."""
        return contextlib.nullcontext()

    def pictures(self) -> Mapping[str, Image.Image]:
        """Draw pictures to save, by name, in process 0 alone."""

    def examine(self, lines: Sequence[Line]) -> Sequence[Finding]:
        """Find what is wrong with the run, by the lines of its metrics so far."""

    def treat(self, findings: Sequence[Finding]) -> Sequence[Treatment]:
        """Apply remedies of findings, if the config allows it; returns what was changed."""
        return ()
