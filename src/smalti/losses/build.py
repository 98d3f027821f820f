"""The perceptual loss of a config. Importing this module registers all kinds."""

from smalti.losses import efficientnet_losses as efficientnet_losses
from smalti.losses import lpips as lpips
from smalti.losses.config import PerceptualConfig
from smalti.losses.perceptual import PERCEPTUAL_LOSSES, PerceptualLoss
from smalti.losses.vgg import find_vgg_weights


def resolve_perceptual(config: PerceptualConfig) -> PerceptualConfig:
    """The same config with `auto` replaced by what it is on this machine.

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
        InputError: lpips is asked for and VGG16's weights are not at hand, or a file is damaged.
    """
    return PERCEPTUAL_LOSSES[resolve_perceptual(config).kind](config)
