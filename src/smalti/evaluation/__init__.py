"""Evaluation of tokenizers, priors and sets of images."""
