"""Quantizers turn an encoder output into codes and a quantized latent; each kind has its file."""
