"""Priors: models that give the logits of the next token of a sequence."""
