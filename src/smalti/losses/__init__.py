"""Losses: tensors in, one number an image out."""

# Each of these registers its perceptual loss.
from smalti.losses import efficientnet_losses as efficientnet_losses
from smalti.losses import lpips as lpips
