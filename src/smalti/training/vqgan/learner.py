"""The learner of stage 1: its models, a step, the evaluation, pictures and remedies."""

from collections.abc import Callable, Iterable, Mapping, Sequence

import torch
from PIL import Image
from torch import Tensor, nn

from smalti.content_images import content_images
from smalti.evaluation.tokenizer import evaluate
from smalti.health.examine import examine
from smalti.health.findings import Finding, RemedyKind
from smalti.health.history import Line
from smalti.health.remedies import Treatment
from smalti.metrics.codebook import CodebookUse
from smalti.sampling.sheet import contact_sheet
from smalti.training.checkpoint import InferenceModel, TrainingState
from smalti.training.learner import Learner
from smalti.training.vqgan.codebook_picture import codebook_pictures
from smalti.training.vqgan.held_out import loss_measures, score
from smalti.training.vqgan.step import VQGANState, VQGANStepConfig, latent_of_all, vqgan_step
from smalti.types import Batch
from smalti.words import counted

PICTURES = 8  # images in the picture of reconstructions


class VQGANLearner(Learner[Batch]):
    """The learner of stage 1.

    `evaluated_batches` gives this process's share of the images to evaluate, anew at each call.
    With `auto_remedy` it applies the remedies of findings.
    """

    shown = ("reconstruction_loss", "pixel_loss", "perceptual_loss", "adaptive_weight")

    def __init__(
        self,
        training: VQGANState,
        config: VQGANStepConfig,
        evaluated_batches: Callable[[], Iterable[Batch]],
        auto_remedy: bool = False,
    ) -> None:
        self.training, self.config = training, config
        self._evaluated_batches, self._auto_remedy = evaluated_batches, auto_remedy
        self._last_images: Tensor | None = None
        self._use = CodebookUse(training.vqgan.codebook_size)

    def state(self) -> TrainingState:
        """Modules and optimizers that a step changes."""
        training, adversary = self.training, self.training.adversary
        modules: dict[str, nn.Module] = {"vqgan": training.vqgan, "average": training.average.model}
        optimizers: dict[str, torch.optim.Optimizer] = {"generator_optimizer": training.optimizer}
        if adversary is not None:
            modules |= {
                "discriminator": adversary.discriminator,
                "schedule": adversary.schedule,
                "logit_averages": adversary.averages,
                "remedies": adversary.remedies,
            }
            optimizers["discriminator_optimizer"] = adversary.optimizer
        return TrainingState(modules, optimizers)

    def model(self) -> InferenceModel:
        """The averaged tokenizer."""
        average = self.training.average.model
        return InferenceModel("vqgan", average.config, average)

    def set_step(self, step: int) -> None:
        """Set the number of steps done, when a run is resumed."""
        self.training.step = step

    def step(self, batch: Batch) -> Mapping[str, Tensor]:
        """Update the tokenizer, and the discriminator once it learns."""
        self._last_images = self._on_device(batch)
        return vqgan_step(self.training, self._last_images, self.config)

    def comparable_from(self) -> int:
        """First step with the adversary at full weight; earlier scores cannot be compared."""
        if self.training.adversary is None:
            return 0
        full = self.training.adversary.schedule.full_step
        total = self.training.optimizer.total_steps
        return total if full is None else full if full < total else 0

    @torch.no_grad()
    def evaluate(self) -> Mapping[str, float]:
        """Measure the averaged tokenizer's reconstructions of the images to evaluate."""
        tokenizer, loss = self.training.average.model, self.config.loss
        measures = loss_measures(tokenizer.content, loss, self.training.perceptual)
        batches = map(self._on_device, self._evaluated_batches())
        evaluation = evaluate(tokenizer, batches, measures)
        use = self._use = evaluation.use
        values = {figure.name: figure.value for figure in evaluation.figures}
        return values | {
            "score": score(values, loss),
            "reconstruction_loss": score(values, loss),
            "code_use": use.usage,
            "code_perplexity": use.perplexity,
            "dead_codes": use.dead,
            "code_vectors": int(use.counts.sum()),
        }

    @torch.no_grad()
    def pictures(self) -> Mapping[str, Image.Image]:
        """Draw evaluated images above their reconstructions, and the codes that they use."""
        tokenizer = self.training.average.model
        evaluated = self._on_device(next(iter(self._evaluated_batches())))
        images = evaluated[:PICTURES]
        both = torch.cat([images, tokenizer.reconstruct(images)])
        draw = content_images(tokenizer.content).draw
        sheet = contact_sheet([draw(image) for image in both], columns=len(images))
        return {"reconstructions": sheet, **codebook_pictures(tokenizer, evaluated)}

    def examine(self, lines: Sequence[Line]) -> Sequence[Finding]:
        """Find what is wrong with the run, by the lines of its metrics so far."""
        return examine(lines, self.training.vqgan.config)

    def treat(self, findings: Sequence[Finding]) -> Sequence[Treatment]:
        """Apply the remedies of the findings, each once, and return what was changed."""
        treatments = []
        for finding in findings if self._auto_remedy else ():
            change = self._apply(finding.remedy) if finding.remedy else None
            if finding.remedy and change:
                treatments.append(Treatment(finding.kind, finding.remedy, change))
        return treatments

    def _apply(self, remedy: RemedyKind) -> str | None:
        if remedy == "restart_codes":
            return self._restart_codes()
        assert self.training.adversary is not None, "only an adversary asks for this"
        remedies = self.training.adversary.remedies
        if remedy == "slow_discriminator":
            return remedies.slow_discriminator()
        return remedies.soften_adversary()

    @torch.no_grad()
    def _restart_codes(self) -> str | None:
        """Move the codes that no evaluated image used onto latents of the last batch."""
        assert self._last_images is not None, "a remedy is due after a step"
        z = latent_of_all(self.training, self._last_images.chunk(self.config.accumulation_steps))
        counts = self._use.counts.to(z.device)
        moved = self.training.vqgan.quantizer.restart(counts == 0, z)
        if not moved:
            return None
        return f"{counted(moved, 'unused code')} moved onto latents of the last batch"

    def _on_device(self, batch: Batch) -> Tensor:
        return batch.images.to(self.training.compute.device, non_blocking=True)
