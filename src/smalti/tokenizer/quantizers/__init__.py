"""Quantizers: encoder output -> codes -> quantized latent. One file each."""
