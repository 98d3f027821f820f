"""Metrics of tokenizers, priors and generated images."""
