"""What the loop knows of a stage of training, and of its batches."""

from collections.abc import Mapping, Sequence
from typing import Protocol, TypeVar

from PIL import Image
from torch import Tensor

from smalti.health.findings import Finding
from smalti.health.history import Line
from smalti.health.remedies import Treatment
from smalti.training.checkpoint import InferenceModel, TrainingState


class Keyed(Protocol):
    """A batch that can say which images are in it."""

    @property
    def keys(self) -> Sequence[str]:
        """Where each example came from."""


B_contra = TypeVar("B_contra", bound=Keyed, contravariant=True)


class Learner(Protocol[B_contra]):
    """What the loop needs to know of a stage of training."""

    @property
    def shown(self) -> Sequence[str]:
        """Names of the scalars that the progress line shows."""

    def state(self) -> TrainingState:
        """Everything that a step changes."""

    def model(self) -> InferenceModel:
        """What is used after training."""

    def set_step(self, step: int) -> None:
        """Go on from a resumed step."""

    def step(self, batch: B_contra) -> Mapping[str, Tensor]:
        """Make one update, and return detached scalars by name."""

    def evaluate(self) -> Mapping[str, float]:
        """Numbers on the images to evaluate; "score" is the one to minimize. In process 0 alone."""

    def comparable_from(self) -> int:
        """First step whose scores may compete for the best: earlier ones measured less."""

    def pictures(self) -> Mapping[str, Image.Image]:
        """Pictures to keep, by name; called in process 0 alone."""

    def examine(self, lines: Sequence[Line]) -> Sequence[Finding]:
        """What is wrong with the run, by the lines of its metrics so far."""

    def treat(self, findings: Sequence[Finding]) -> Sequence[Treatment]:
        """Apply the remedies that were asked for and that help, and return what was changed."""
