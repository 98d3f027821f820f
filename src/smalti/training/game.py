"""The game between tokenizer and discriminator, as one step of stage 1 plays it.

Axes: B batch, C channels, H/W image size in pixels.
Reference: arXiv:2012.09841, Sec. 3.1, Eqs. 5 to 7.
"""

import torch
from torch import Tensor

from smalti.distributed import mean_over_processes
from smalti.losses.adversarial import (
    ADVERSARIAL_LOSSES,
    AdversarialLoss,
    adaptive_weight,
    lecam_penalty,
)
from smalti.losses.discriminator import Judgement
from smalti.training.adversary import Adversary, AdversaryConfig


def pull_of_generator(judgement: Judgement, surface: Tensor, config: AdversaryConfig) -> Tensor:
    """Gradient of the generator loss at the reconstructions.

    Args:
        judgement: logits with a graph to `surface`; it stays, for `teach`.
        surface: the reconstructions (B, C, H, W) that were judged, a leaf.
        config: which game.

    Returns:
        (B, C, H, W) float32.
    """
    loss = _game(config).generator_loss(judgement.fake_logits)
    (pull,) = torch.autograd.grad(loss, surface, retain_graph=True)
    return pull


def teach(adversary: Adversary, judgement: Judgement, share: float) -> dict[str, Tensor]:
    """Add the discriminator's gradients from one part of a batch.

    Args:
        adversary: whose discriminator gave the judgement.
        judgement: logits with a graph to the discriminator.
        share: of the part in this process's batch, in (0, 1].

    Returns:
        Scalars by name, with a graph; accuracies are shares of patches judged right.
    """
    config = adversary.config
    game = _game(config)
    real_logits, fake_logits = judgement
    loss = game.discriminator_loss(real_logits, fake_logits)
    scalars = {
        "generator_loss": game.generator_loss(fake_logits),
        "discriminator_loss": loss,
        "real_logits": real_logits.mean(),
        "fake_logits": fake_logits.mean(),
        "real_accuracy": (real_logits > 0).float().mean(),
        "fake_accuracy": (fake_logits < 0).float().mean(),
    }
    if config.lecam_weight > 0:
        averages = adversary.averages
        penalty = lecam_penalty(real_logits, fake_logits, averages.real, averages.fake)
        scalars["lecam_penalty"] = penalty
        loss = loss + config.lecam_weight * penalty
    # A spectral norm's graph is shared by all parts of a batch.
    (share * loss).backward(  # type: ignore[no-untyped-call]
        inputs=list(adversary.discriminator.parameters()), retain_graph=share < 1
    )
    return scalars


def weigh(adversary: Adversary, sides: Tensor, step: int) -> dict[str, Tensor]:
    """The generator loss's weight in a step: by Eq. 7 over the whole batch of all processes.

    Args:
        adversary: with its config and schedule.
        sides: (2, ...) gradients of this process's batch with respect to the last layer's weight,
            of the reconstruction loss and of the generator loss.
        step: number of the step.

    Returns:
        `adversary_weight` with the ramp, and what it was made from; scalars by name.
    """
    reconstruction, generator = mean_over_processes(sides)
    scalars = {
        "reconstruction_gradient_norm": torch.linalg.vector_norm(reconstruction),
        "generator_gradient_norm": torch.linalg.vector_norm(generator),
    }
    config, adaptive = adversary.config, adversary.config.adaptive
    factor = adversary.schedule.ramp(step) * float(adversary.remedies.adversary_weight_factor)
    weight = sides.new_tensor(config.weight * factor)
    if config.weighing == "adaptive":
        ratio = adaptive_weight(reconstruction, generator, adaptive.delta, adaptive.max_weight)
        scalars["adaptive_weight"] = adaptive.factor * ratio
        weight = weight * scalars["adaptive_weight"]
    return scalars | {"adversary_weight": weight}


def _game(config: AdversaryConfig) -> AdversarialLoss:
    assert config.kind != "none", "an adversary that is not played has no state"
    return ADVERSARIAL_LOSSES["hinge" if config.kind == "auto" else config.kind]
