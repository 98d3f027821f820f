"""From a config to a finished run: what `smalti train`, the demo and scripts call."""

from smalti.stages.pixels import train_pixels
from smalti.stages.prior import train_prior
from smalti.stages.vqgan import train_vqgan

__all__ = ["train_pixels", "train_prior", "train_vqgan"]
