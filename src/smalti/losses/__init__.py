"""Losses: tensors in, one number an image out."""
