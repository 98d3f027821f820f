"""Layout: where the conditioning and the image stand in the sequence and in the vocabulary.

The sequence is `[conditioning | image]`. Image tokens keep their numbers in [0, K), conditioning
tokens follow in [K, K + conditioning vocabulary), or have the same numbers in imported priors. The
prior reads all but the last image token, and its last `image_length` positions predict the image,
each from the tokens before it.

Axes: B batch, K codebook size, V vocabulary size.
Reference: arXiv:2012.09841, Sec. 3.2, "Conditioned Synthesis", Eq. 10.
"""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class TrainingSequence:
    """The tokens that a prior reads in training, and those that it must predict."""

    tokens: Tensor
    """Input (B, input_length) int64 in [0, V): the conditioning, then all but the last image
    token."""
    targets: Tensor
    """The image tokens (B, image_length) int64 in [0, K)."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Sizes of the two parts of the sequence and of their vocabularies."""

    codebook_size: int
    """K, number of values of an image token."""
    cond_length: int
    """Number of conditioning tokens, at least 1: something must precede the first image token."""
    cond_vocab_size: int
    """Number of values of a conditioning token."""
    image_length: int
    """Number of image tokens."""
    shared: bool = False
    """Whether conditioning and image have one vocabulary, as in the released code."""

    @property
    def vocab_size(self) -> int:
        """V, number of values of a token in the joint sequence."""
        if self.shared:
            return max(self.codebook_size, self.cond_vocab_size)
        return self.codebook_size + self.cond_vocab_size

    @property
    def input_length(self) -> int:
        """Number of tokens that the prior reads; the last image token is only predicted."""
        return self.cond_length + self.image_length - 1

    def shift(self, cond_tokens: Tensor) -> Tensor:
        """Move conditioning tokens (B, cond_length) to their segment [K, V) of the vocabulary."""
        return cond_tokens if self.shared else cond_tokens + self.codebook_size

    def join(self, cond_tokens: Tensor, image_tokens: Tensor) -> TrainingSequence:
        """Join conditioning and image into the sequence to learn from.

        Args:
            cond_tokens: (B, cond_length) int64 in [0, cond_vocab_size).
            image_tokens: (B, image_length) int64 in [0, K).

        Raises:
            ValueError: the conditioning or the image has another length.
        """
        lengths = (cond_tokens.shape[1], image_tokens.shape[1])
        if lengths != (self.cond_length, self.image_length):
            raise ValueError(
                f"the sequence has {self.cond_length} conditioning and {self.image_length} image "
                f"tokens, got {lengths[0]} and {lengths[1]}"
            )
        tokens = torch.cat([self.shift(cond_tokens), image_tokens[:, :-1]], dim=1)
        return TrainingSequence(tokens, image_tokens)

    def image_logits(self, logits: Tensor) -> Tensor:
        """Select the logits (B, image_length, V) that predict image tokens.

        Args:
            logits: (B, input_length, V), the prior's output for the tokens of `join`.
        """
        return logits[:, self.cond_length - 1 :]
