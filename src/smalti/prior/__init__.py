"""Priors: tokens -> logits of the tokens that follow.

Importing this package registers them all.
"""

from smalti.prior.gpt import GPT, GPTConfig
from smalti.prior.registry import PRIORS

__all__ = ["GPT", "PRIORS", "GPTConfig"]
