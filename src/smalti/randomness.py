"""Random generators that do not depend on what ran before."""

import hashlib

import torch


def generator_for(*numbers: int) -> torch.Generator:
    """Make a CPU generator that is a function of `numbers` only.

    Unlike with `seed + epoch`, neighbouring numbers give unrelated streams.
    """
    text = ",".join(map(str, numbers))
    digest = hashlib.blake2b(text.encode(), digest_size=8).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest) >> 1)
