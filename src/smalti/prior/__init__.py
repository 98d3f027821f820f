"""Priors: tokens -> logits of the tokens that follow."""
