"""Seeds for parts of the data pipeline that must not depend on what ran before them."""

import hashlib

import torch


def generator_for(*numbers: int) -> torch.Generator:
    """A CPU generator that is a function of `numbers` only.

    Unlike with `seed + epoch`, neighbouring numbers give unrelated streams.
    """
    text = ",".join(map(str, numbers))
    digest = hashlib.blake2b(text.encode(), digest_size=8).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest) >> 1)
