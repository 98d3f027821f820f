"""The learner of stage 2: its model, a step, the evaluation and pictures."""

import contextlib
import copy
from collections.abc import Iterator, Mapping, Sequence

import torch
from PIL import Image
from torch import Tensor

from smalti.content_images import content_images
from smalti.distributed import largest, rank, sum_over_processes
from smalti.health.examine import examine
from smalti.health.findings import Finding
from smalti.health.history import Line
from smalti.metrics.nll import bits_per_dimension, nats_of_codes, uniform_nats_per_token
from smalti.model_folder import without_memory
from smalti.prior.build import PriorModel, build_prior
from smalti.sampling.canvas import Canvas
from smalti.sampling.choice import seeded_choice
from smalti.sampling.config import SamplingConfig
from smalti.sampling.pipeline import Pipeline
from smalti.sampling.prior_model import PriorModelConfig
from smalti.sampling.sheet import contact_sheet
from smalti.sampling.sliding_window import sample_canvas
from smalti.sharding import is_sharded, whole_weights
from smalti.training.checkpoint import InferenceModel, TrainingState
from smalti.training.learner import Learner
from smalti.training.prior.code_batch import CodeBatch
from smalti.training.prior.step import PriorState, PriorStepConfig, prior_step

PICTURES = 16  # samples in the picture


class PriorLearner(Learner[CodeBatch]):
    """The learner of stage 2. No remedy of a prior is known.

    Samples are drawn with the pipeline of the averaged prior, and from the same seed for each
    picture, so that they can be compared.
    """

    shown = ("nll",)

    def __init__(
        self,
        training: PriorState,
        config: PriorStepConfig,
        pipeline: Pipeline,
        evaluation: Sequence[CodeBatch],
        seed: int,
    ) -> None:
        self.training, self.config = training, config
        self._pipeline, self._evaluation, self._seed = pipeline, evaluation, seed

    def state(self) -> TrainingState:
        """Modules and optimizers that a step changes."""
        return TrainingState(
            modules={"prior": self.training.prior, "average": self.training.average.model},
            optimizers={"optimizer": self.training.optimizer},
        )

    def model(self) -> InferenceModel:
        """The averaged prior."""
        return InferenceModel("prior", self._pipeline.config, self.training.average.model)

    def set_step(self, step: int) -> None:
        """Set the number of steps done, when a run is resumed."""
        self.training.step = step

    def step(self, batch: CodeBatch) -> Mapping[str, Tensor]:
        """Update the prior."""
        return prior_step(self.training, batch, self.config)

    @torch.no_grad()
    def evaluate(self) -> Mapping[str, float]:
        """NLL of the images to evaluate under the averaged prior and under equally likely codes.

        It is that of `smalti score`, among the codes alone; that of a step is the training loss.
        """
        layout, device = self._pipeline.layout, self.training.compute.device
        total, images = 0.0, 0
        most = largest(len(self._evaluation))  # batches of a process
        for batch in self._evaluation:
            sequence = self.config.sequence(batch)
            with self.training.compute.autocast():
                logits = self.training.average.model(sequence.tokens.to(device))
            nats = nats_of_codes(
                layout.image_logits(logits), sequence.targets.to(device), layout.codebook_size
            )
            total, images = total + float(nats.mean(1).sum()), images + len(nats)
        if is_sharded(self.training.average.model):
            self._accompany(most - len(self._evaluation))
        # Each process has its share of the images.
        sums = sum_over_processes(torch.tensor([total, images], dtype=torch.float64))
        total, images = float(sums[0]), int(sums[1])
        mean, uniform = total / images, uniform_nats_per_token(layout.codebook_size)
        size = self._pipeline.size
        return {
            "nll": mean,
            "nll_uniform": uniform,
            "bits_per_dimension": bits_per_dimension(mean, layout.image_length, *size),
            "bits_per_dimension_uniform": bits_per_dimension(uniform, layout.image_length, *size),
            "score": mean,
        }

    def _accompany(self, calls: int) -> None:
        """Call the sharded prior without use, for processes with more batches than this one."""
        device = self.training.compute.device
        blank = torch.zeros(1, self._pipeline.layout.input_length, dtype=torch.int64, device=device)
        for _ in range(calls):
            with self.training.compute.autocast():
                self.training.average.model(blank)

    @contextlib.contextmanager
    def drawing(self) -> Iterator[None]:
        """Context, in all processes, in which process 0 has a whole copy of a sharded prior."""
        pipeline, average = self._pipeline, self.training.average.model
        if is_sharded(average):
            weights = whole_weights(average)
            if rank() == 0:
                self._pipeline = copy.copy(pipeline)
                self._pipeline.prior = _with_weights(pipeline.config, weights).to(pipeline.device)
        try:
            yield
        finally:
            self._pipeline = pipeline

    def pictures(self) -> Mapping[str, Image.Image]:
        """Draw new images, with the same seeds each time.

        If a user would have to give a condition, the samples have the conditions of the evaluated
        images: the first rows show the maps and poses, the last row the images drawn from them.
        """
        if all(condition.has_default for condition in self._pipeline.conditioning.conditions):
            samples = self._pipeline.sample(PICTURES, self._seed, progress=False)
            return {"samples": contact_sheet(samples)}
        return {"samples": self._picture_with_conditions()}

    @torch.no_grad()
    def _picture_with_conditions(self) -> Image.Image:
        pipeline, batch = self._pipeline, self._evaluation[0]
        conditions = {
            kind: codes[:PICTURES].to(pipeline.device) for kind, codes in batch.conditions.items()
        }
        canvas = Canvas.unknown(torch.zeros_like(batch.codes[:PICTURES], device=pipeline.device))
        count, rows, columns = canvas.codes.shape
        sample_canvas(
            pipeline.prior,
            pipeline.config,
            pipeline.conditioning,
            conditions,
            canvas,
            SamplingConfig(),
            seeded_choice(self._seed, range(count), rows * columns, pipeline.device),
        )
        pictures = pipeline.conditioning.pictures(conditions)
        images = content_images(pipeline.tokenizer.content)
        pictures += [images.draw(image) for image in pipeline.decode(canvas.codes)]
        return contact_sheet(pictures, columns=count)

    def examine(self, lines: Sequence[Line]) -> Sequence[Finding]:
        """Find what is wrong with the run, by the lines of its metrics so far."""
        return examine(lines, vqgan=None)


def _with_weights(config: PriorModelConfig, weights: dict[str, Tensor]) -> PriorModel:
    """A prior with given weights, without a second copy of them."""
    prior = without_memory(lambda: build_prior(config.prior, config.sizes))
    prior.load_state_dict(weights, assign=True)
    return prior.eval().requires_grad_(False)
