"""Losses: tensors in, one number an image out."""

from smalti.losses import efficientnet as efficientnet  # registers itself
