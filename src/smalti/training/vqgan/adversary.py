"""The adversary of stage 1: the discriminator, its schedule and its losses.

The released code starts an untrained discriminator at full weight, at a step that the user must
guess. Here it starts when the reconstruction loss has reached a plateau, learns alone for a while
(warm-up), and its weight then rises to full (ramp).

Reference: arXiv:2012.09841, Sec. 3.1, Eqs. 5 to 7.
"""

import logging

import torch
from torch import Tensor, nn

from smalti.distributed import mean_over_processes
from smalti.health.remedies import Remedies
from smalti.losses.adversarial import (
    ADVERSARIAL_LOSSES,
    LogitAverages,
    adaptive_weight,
    lecam_penalty,
)
from smalti.losses.discriminator import Judge, Judgement, PatchDiscriminator
from smalti.training.config import OptimizerConfig
from smalti.training.optim import ScheduledAdamW
from smalti.training.vqgan.config import AdversaryConfig, Duration

UNDECIDED = -1

log = logging.getLogger(__name__)


def in_steps(duration: Duration, total_steps: int) -> int:
    """Number of steps of a duration in a run of `total_steps`."""
    return int(duration * total_steps) if isinstance(duration, float) else duration


class AdversarySchedule(nn.Module):
    """Start, warm-up and ramp in steps.

    They follow from the length of the run as it begins. They are saved with it, and stay when it
    grows longer later.
    """

    WINDOW, EARLIEST, LATEST = 0.05, 0.2, 0.4  # shares of the run, for start auto
    start_step: Tensor
    warmup_steps: Tensor
    ramp_steps: Tensor
    window_steps: Tensor
    earliest_step: Tensor
    latest_step: Tensor
    window_sum: Tensor
    window_before: Tensor

    def __init__(self, config: AdversaryConfig, total_steps: int) -> None:
        super().__init__()
        self.improvement = config.auto_improvement
        steps = {
            "start_step": UNDECIDED
            if config.start == "auto"
            else in_steps(config.start, total_steps),
            "warmup_steps": in_steps(config.warmup, total_steps),
            "ramp_steps": in_steps(config.ramp, total_steps),
            "window_steps": max(1, in_steps(self.WINDOW, total_steps)),
            "earliest_step": in_steps(self.EARLIEST, total_steps),
            "latest_step": in_steps(self.LATEST, total_steps),
        }
        # These stay on the CPU whatever the device: every step asks for them.
        for name, count in steps.items():
            self.register_buffer(name, torch.tensor(count))
        self.register_buffer("window_sum", torch.zeros(()))
        self.register_buffer("window_before", torch.tensor(torch.finfo(torch.float32).max))

    @property
    def is_decided(self) -> bool:
        """Whether the start is known."""
        return int(self.start_step) != UNDECIDED

    def learns(self, step: int) -> bool:
        """Whether the discriminator learns in step `step`."""
        return self.is_decided and step >= int(self.start_step)

    def ramp(self, step: int) -> float:
        """Share of the full weight in step `step`, in [0, 1]."""
        if not self.is_decided:
            return 0.0
        since = step - int(self.start_step + self.warmup_steps)
        return min(1.0, (since + 1) / (int(self.ramp_steps) + 1)) if since >= 0 else 0.0

    @property
    def full_step(self) -> int | None:
        """First step at full weight; None while the start is undecided."""
        if not self.is_decided:
            return None
        return int(self.start_step + self.warmup_steps + self.ramp_steps)

    def observe(self, step: int, reconstruction_loss: Tensor) -> None:
        """Add a step's reconstruction loss, and decide on the start at the end of a window.

        The loss (a scalar) stays on its device; it is read once a window.
        """
        if self.is_decided:
            return
        self.window_sum = self.window_sum.to(reconstruction_loss)
        self.window_sum += mean_over_processes(reconstruction_loss)
        done = step + 1
        if done % int(self.window_steps):
            return
        window = self.window_sum.cpu()
        has_levelled_off = bool(window > (1 - self.improvement) * self.window_before)
        if done >= int(self.latest_step) or (done >= int(self.earliest_step) and has_levelled_off):
            self.start_step.fill_(done)
            log.info("step %d: the adversary begins to learn", done)
        self.window_before.copy_(window)
        self.window_sum = torch.zeros_like(self.window_sum)


class Adversary:
    """The discriminator with its optimizer, schedule, averages and losses.

    The discriminator is on its device. With several processes, `judge` is to be wrapped.
    """

    def __init__(
        self,
        config: AdversaryConfig,
        discriminator: PatchDiscriminator,
        optimizer: OptimizerConfig,
        total_steps: int,
    ) -> None:
        assert config.kind != "none", "without an adversary there is no loss of one"
        self.config, self.discriminator = config, discriminator
        self.losses = ADVERSARIAL_LOSSES["hinge" if config.kind == "auto" else config.kind]
        self.judge: nn.Module = Judge(discriminator)
        self.optimizer = ScheduledAdamW(discriminator, optimizer, total_steps)
        self.schedule = AdversarySchedule(config, total_steps)
        self.averages = LogitAverages().to(next(discriminator.parameters()).device)
        self.remedies = Remedies()

    def generator_gradient(self, judgement: Judgement, reconstructions: Tensor) -> Tensor:
        """Gradient (B, C, H, W) float32 of the generator loss at the reconstructions.

        Args:
            judgement: logits with a graph to the reconstructions, which is kept.
            reconstructions: (B, C, H, W) that were judged, a leaf of the graph.
        """
        loss = self.losses.generator_loss(judgement.fake_logits)
        (gradient,) = torch.autograd.grad(loss, reconstructions, retain_graph=True)
        return gradient

    def discriminator_backward(self, judgement: Judgement, fraction: float) -> dict[str, Tensor]:
        """Add the discriminator's gradients from one chunk of a batch.

        Args:
            judgement: logits with a graph to the discriminator.
            fraction: fraction of the chunk in this process's batch, in (0, 1].

        Returns:
            Scalars by name, with a graph; accuracies are shares of patches classified correctly.

        Reference: Eq. 5.
        """
        losses, lecam_weight = self.losses, self.config.lecam_weight
        real_logits, fake_logits = judgement
        loss = losses.discriminator_loss(real_logits, fake_logits)  # Eq. 5
        scalars = {
            "generator_loss": losses.generator_loss(fake_logits),
            "discriminator_loss": loss,
            "real_logits": real_logits.mean(),
            "fake_logits": fake_logits.mean(),
            "real_accuracy": (real_logits > 0).float().mean(),
            "fake_accuracy": (fake_logits < 0).float().mean(),
        }
        if lecam_weight > 0:
            penalty = lecam_penalty(
                real_logits, fake_logits, self.averages.real, self.averages.fake
            )
            scalars["lecam_penalty"] = penalty
            loss = loss + lecam_weight * penalty
        # A spectral norm's graph is shared by all chunks of a batch.
        (fraction * loss).backward(  # type: ignore[no-untyped-call]
            inputs=list(self.discriminator.parameters()), retain_graph=fraction < 1
        )
        return scalars

    def generator_weight(self, at_last_layer: Tensor, step: int) -> dict[str, Tensor]:
        """Weight of the generator loss in a step: lambda of Eq. 7, over the whole batch.

        Args:
            at_last_layer: (2, ...) gradients of this process's batch with respect to the weight of
                the decoder's last layer: of the reconstruction loss and of the generator loss.
            step: number of the step.

        Returns:
            Scalars by name: `adversary_weight`, which includes the ramp, and the norms and ratio
            from which it follows.

        Reference: Eq. 7.
        """
        reconstruction_gradient, generator_gradient = mean_over_processes(at_last_layer)
        scalars = {
            "reconstruction_gradient_norm": torch.linalg.vector_norm(reconstruction_gradient),
            "generator_gradient_norm": torch.linalg.vector_norm(generator_gradient),
        }
        ramp = self.schedule.ramp(step) * float(self.remedies.adversary_weight_factor)
        weight = at_last_layer.new_tensor(self.config.weight * ramp)
        if self.config.weighing == "adaptive":
            adaptive = self.config.adaptive
            ratio = adaptive_weight(  # Eq. 7
                reconstruction_gradient, generator_gradient, adaptive.delta, adaptive.max_weight
            )
            scalars["adaptive_weight"] = adaptive.factor * ratio
            weight = weight * scalars["adaptive_weight"]
        return scalars | {"adversary_weight": weight}

    def update(self, scalars: dict[str, Tensor], step: int) -> dict[str, Tensor]:
        """Update the discriminator if it learned in this step; its learning rate starts with it.

        `scalars` has the reconstruction loss, and mean logits if it learned. Returns the norm of
        the gradients by name; empty while the discriminator does not learn.
        """
        if not self.schedule.learns(step):
            self.schedule.observe(step, scalars["reconstruction_loss"])
            return {}
        start, factor = self.schedule.start_step, self.remedies.discriminator_rate_factor
        norm = self.optimizer.update(step, int(start), float(factor))
        logits = torch.stack([scalars["real_logits"], scalars["fake_logits"]])
        self.averages.update(*mean_over_processes(logits))
        return {"discriminator_gradient_norm": norm}
