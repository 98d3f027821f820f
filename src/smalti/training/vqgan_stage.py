"""Stage 1 as the loop sees it: the tokenizer's models, its batches' meaning, its evaluation."""

from collections.abc import Callable, Iterable, Mapping

import torch
from PIL import Image
from torch import Tensor, nn

from smalti.metrics.codebook import CodebookUse
from smalti.sampling.sheet import contact_sheet
from smalti.training.checkpoint import InferenceModel, TrainingState
from smalti.training.reconstruction_scores import ReconstructionScores
from smalti.training.vqgan_step import VQGANState, VQGANStepConfig, vqgan_step
from smalti.types import Batch

PICTURES = 8  # images in the picture of reconstructions


class VQGANStage:
    """A `Stage` of the loop.

    Args:
        training: models and optimizers.
        config: of the step.
        evaluation_batches: the held-out batches, anew at each call.
        eval_images: how many of them to look at, at most.
    """

    shown = ("reconstruction_loss", "pixel_loss", "perceptual_loss", "adaptive_weight")

    def __init__(
        self,
        training: VQGANState,
        config: VQGANStepConfig,
        evaluation_batches: Callable[[], Iterable[Batch]],
        eval_images: int,
    ) -> None:
        self.training, self.config = training, config
        self._evaluation_batches, self._eval_images = evaluation_batches, eval_images

    def state(self) -> TrainingState:
        """Everything that a step changes."""
        training, adversary = self.training, self.training.adversary
        modules: dict[str, nn.Module] = {"vqgan": training.vqgan, "average": training.average.model}
        optimizers = {"generator_optimizer": training.optimizer}
        if adversary is not None:
            modules |= {
                "discriminator": adversary.discriminator,
                "schedule": adversary.schedule,
                "logit_averages": adversary.averages,
            }
            optimizers["discriminator_optimizer"] = adversary.optimizer
        return TrainingState(modules, optimizers)

    def model(self) -> InferenceModel:
        """The averaged tokenizer."""
        average = self.training.average.model
        return InferenceModel("vqgan", average.config, average)

    def set_step(self, step: int) -> None:
        """Go on from a resumed step."""
        self.training.step = step

    def step(self, batch: Batch) -> Mapping[str, Tensor]:
        """One update of both sides."""
        return vqgan_step(self.training, self._on_device(batch), self.config)

    def comparable_from(self) -> int:
        """Before the adversary has its full weight, scores are lower for no better pictures."""
        if self.training.adversary is None:
            return 0
        full = self.training.adversary.schedule.full_step
        total = self.config.total_steps
        return total if full is None else full if full < total else 0

    @torch.no_grad()
    def evaluate(self) -> Mapping[str, float]:
        """Quality of the averaged tokenizer's reconstructions of held-out images."""
        training, tokenizer = self.training, self.training.average.model
        use = CodebookUse(tokenizer.codebook_size)
        scores = ReconstructionScores(tokenizer.content, self.config.loss, training.perceptual)
        for images in self._held_out():
            codes = tokenizer.encode(images)
            use.add(codes)
            scores.add(images, tokenizer.outputs(codes))
        return scores.values() | {"code_use": use.usage, "code_perplexity": use.perplexity}

    @torch.no_grad()
    def pictures(self) -> Mapping[str, Image.Image]:
        """Held-out images above their reconstructions."""
        images = next(iter(self._held_out()))[:PICTURES]
        reconstructions = self.training.average.model.reconstruct(images)
        draw = self.training.average.model.content.draw
        both = [draw(image) for image in torch.cat([images, reconstructions])]
        return {"reconstructions": contact_sheet(both, columns=len(images))}

    def _held_out(self) -> Iterable[Tensor]:
        """Batches of held-out images, `eval_images` together at most."""
        left = self._eval_images
        for batch in self._evaluation_batches():
            images = self._on_device(batch)[:left]
            left -= len(images)
            yield images
            if left <= 0:
                return

    def _on_device(self, batch: Batch) -> Tensor:
        return batch.images.to(self.training.compute.device, non_blocking=True)
