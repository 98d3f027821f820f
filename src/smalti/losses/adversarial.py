"""The adversarial losses and the adaptive weight that balances them with the reconstruction.

Axes: B batch, C channels of an image, H/W image size in pixels, h/w grid of patches.
Reference: Esser et al. 2021, arXiv:2012.09841, Sec. 3.1, Eqs. 5 to 7.
"""

from collections.abc import Callable, Mapping
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.grad import conv2d_weight

AdversarialKind = Literal["hinge", "log"]


def hinge_discriminator_loss(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """Push real logits (B, 1, h, w) above 1 and fake ones below -1, and no further.

    The loss is a scalar >= 0, the mean of that of images and that of reconstructions.

    Reference: Lim and Ye 2017, arXiv:1705.02894.
    Deviation: the paper prints the log form; its released code trains with this one.
    """
    return 0.5 * (F.relu(1.0 - real_logits).mean() + F.relu(1.0 + fake_logits).mean())


def hinge_generator_loss(fake_logits: Tensor) -> Tensor:
    """Raise the logits (B, 1, h, w) of reconstructions without limit; a scalar, unbounded."""
    return -fake_logits.mean()


def log_discriminator_loss(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """Tell real from fake by cross-entropy: -[log D(x) + log(1 - D(x_hat))] / 2, D the sigmoid.

    Logits are (B, 1, h, w). The loss is a scalar >= 0, log 2 if the discriminator knows nothing.

    Reference: Eq. 5, whose maximum over D is this loss's minimum.
    Deviation: half of Eq. 5, as in the released code, so that both forms have one scale.
    """
    # softplus(-t) = -log sigmoid(t): the logarithm never meets a probability rounded to 0.
    return 0.5 * (F.softplus(-real_logits).mean() + F.softplus(fake_logits).mean())


def log_generator_loss(fake_logits: Tensor) -> Tensor:
    """Make reconstructions pass for real: -log D(x_hat), from logits (B, 1, h, w); a scalar >= 0.

    Reference: Goodfellow et al. 2014, arXiv:1406.2661, Sec. 3.
    Deviation: Eq. 5 has the generator minimize log(1 - D(x_hat)). Its gradient vanishes when the
        discriminator wins, and the adaptive weight would divide by it; this form has the same
        fixed point and the largest gradient there. The released code uses the hinge form's
        generator loss with both.
    """
    return F.softplus(-fake_logits).mean()


def lecam_penalty(
    real_logits: Tensor, fake_logits: Tensor, real_average: Tensor, fake_average: Tensor
) -> Tensor:
    """Penalty on a discriminator that separates real from fake too far, as with few images it does.

    Args:
        real_logits: (B, 1, h, w) of images.
        fake_logits: (B, 1, h, w) of reconstructions.
        real_average: scalar, running mean of the real logits.
        fake_average: scalar, running mean of the fake logits.

    Returns:
        Scalar >= 0: squared distance of real logits above the fake average, and of fake logits
        below the real one.

    Reference: Tseng et al. 2021, arXiv:2104.03310, Eq. 3.
    Deviation: one-sided, as in the authors' code; the equation has both sides.
    """
    above = F.relu(real_logits - fake_average).square().mean()
    below = F.relu(real_average - fake_logits).square().mean()
    return above + below


class LogitAverages(nn.Module):
    """Running means of the discriminator's logits, which `lecam_penalty` refers to."""

    DECAY = 0.99
    real: Tensor
    fake: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("real", torch.zeros(()))
        self.register_buffer("fake", torch.zeros(()))

    @torch.no_grad()
    def update(self, real: Tensor, fake: Tensor) -> None:
        """Update the averages with the mean logits (scalars) of one step."""
        self.real.lerp_(real.float(), 1 - self.DECAY)
        self.fake.lerp_(fake.float(), 1 - self.DECAY)


class AdversarialLoss(NamedTuple):
    """Loss of the discriminator and loss of the generator, of one kind."""

    discriminator_loss: Callable[[Tensor, Tensor], Tensor]
    """Takes (real_logits, fake_logits) and returns a scalar."""
    generator_loss: Callable[[Tensor], Tensor]
    """Takes fake_logits and returns a scalar."""


ADVERSARIAL_LOSSES: Mapping[AdversarialKind, AdversarialLoss] = {
    "hinge": AdversarialLoss(hinge_discriminator_loss, hinge_generator_loss),
    "log": AdversarialLoss(log_discriminator_loss, log_generator_loss),
}


def adaptive_weight(
    reconstruction_gradient: Tensor, generator_gradient: Tensor, delta: float, max_weight: float
) -> Tensor:
    """Weight of the generator loss by Eq. 7 (lambda): ratio of the gradients at the last layer.

    Args:
        reconstruction_gradient: gradient of the reconstruction loss (pixels and perceptual) with
            respect to the weight of the decoder's last convolution, any shape.
        generator_gradient: gradient of the generator loss, the same shape.
        delta: added to the denominator.
        max_weight: upper limit of the ratio.

    Returns:
        Scalar float32 in [0, max_weight], without a graph.

    Reference: Eq. 7.
    Deviation: the cut-off is the released code's.
    """
    # In half precision a small gradient's norm is 0 and delta itself is lost.
    reconstruction_norm = torch.linalg.vector_norm(reconstruction_gradient.detach().float())
    generator_norm = torch.linalg.vector_norm(generator_gradient.detach().float())
    ratio: Tensor = reconstruction_norm / (generator_norm + delta)
    return ratio.clamp(0.0, max_weight)


def last_layer_gradient(features: Tensor, output_gradient: Tensor, weight: Tensor) -> Tensor:
    """Gradient with respect to the weight of the decoder's last convolution.

    The step differentiates each loss as far as the reconstruction, once, and needs that gradient
    anyway. Carried to the weight by hand it costs one small product a loss, and it does not ask the
    engine for a parameter's own gradient, which sharded training cannot give.

    Args:
        features: (B, channels, H, W), input of the convolution.
        output_gradient: (B, C, H, W), gradient of a loss at its output.
        weight: (C, channels, 3, 3); only its shape matters. Stride 1, padding 1.

    Returns:
        (C, channels, 3, 3) float32.
    """
    assert weight.shape[-2:] == (3, 3), f"the last convolution must be 3x3, got {weight.shape}"
    with torch.autocast(features.device.type, enabled=False):
        gradient: Tensor = conv2d_weight(  # type: ignore[no-untyped-call]
            features.detach().float(), weight.shape, output_gradient.detach().float(), padding=1
        )
    return gradient
