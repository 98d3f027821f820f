"""The released code's discriminator and LPIPS heads, under our names.

In a released checkpoint they lie under `loss.discriminator.` and `loss.perceptual_loss.`; these
functions take tensors without that prefix.
"""

import re
from collections.abc import Mapping

from torch import Tensor

from smalti.losses.config import PatchDiscriminatorConfig
from smalti.losses.discriminator import PatchDiscriminator
from smalti.losses.lpips import LPIPSHeads, name_heads


def import_discriminator(tensors: Mapping[str, Tensor]) -> PatchDiscriminator:
    """The discriminator of a released state dict; filters and layers follow from it."""
    layers = sum(name.endswith(".running_mean") for name in tensors)
    filters = tensors["main.0.weight"].shape[0]
    discriminator = PatchDiscriminator(PatchDiscriminatorConfig(filters=filters, layers=layers))
    discriminator.load_state_dict(name_discriminator(tensors, layers))
    return discriminator


def name_discriminator(tensors: Mapping[str, Tensor], layers: int) -> dict[str, Tensor]:
    """State dict of a `PatchDiscriminator` of `layers` layers from the released names.

    The released network is one list: the stem and its activation, then convolution, normalization
    and activation for each block, then the head.
    """
    modules = {"main.0": "stem", f"main.{2 + 3 * layers}": "head"}
    for block in range(layers):
        modules[f"main.{2 + 3 * block}"] = f"blocks.{block}.conv"
        modules[f"main.{3 + 3 * block}"] = f"blocks.{block}.norm"
    return {
        re.sub(r"^main\.\d+", lambda found: modules[found[0]], name): tensor
        for name, tensor in tensors.items()
    }


def import_lpips_heads(tensors: Mapping[str, Tensor]) -> LPIPSHeads:
    """The LPIPS heads of the released state dict, `lin0.model.1.weight` to `lin4...`."""
    heads = LPIPSHeads()
    heads.load_state_dict(name_heads(tensors))
    return heads.requires_grad_(False)
