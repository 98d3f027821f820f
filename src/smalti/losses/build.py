"""Builds the perceptual loss of a config. Importing this module registers all kinds."""

from smalti.losses import efficientnet_losses as efficientnet_losses
from smalti.losses import lpips as lpips
from smalti.losses.config import PerceptualConfig
from smalti.losses.perceptual import PERCEPTUAL_LOSSES, PerceptualLoss
from smalti.losses.vgg import find_vgg_weights


def resolve_perceptual(config: PerceptualConfig) -> PerceptualConfig:
    """Replace the kind `auto` of a config by the kind that it means on this machine.

    Raises:
        InputError: the weights' file is named and does not exist.
    """
    if config.kind != "auto":
        return config
    kind = "lpips" if find_vgg_weights(config.vgg_weights) else "efficientnet"
    return config.model_copy(update={"kind": kind})


def choose_perceptual(config: PerceptualConfig) -> PerceptualLoss:
    """Build the perceptual loss of a config, with trained weights; its `name` says which it is.

    Raises:
        InputError: the kind is lpips and VGG16's weights are missing, or a file is damaged.
    """
    return PERCEPTUAL_LOSSES.build(resolve_perceptual(config))
