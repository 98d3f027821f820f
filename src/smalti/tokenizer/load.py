"""Tokenizers of any kind from disk. Importing this module registers all kinds."""

from pathlib import Path
from typing import Unpack

import torch

from smalti.compute import NumberFormat
from smalti.config import InputError
from smalti.model_download import HubOptions
from smalti.model_folder import find_model, read_description
from smalti.tokenizer import maskgit as maskgit
from smalti.tokenizer import pixels as pixels
from smalti.tokenizer import vqgan as vqgan
from smalti.tokenizer.base import TOKENIZERS, Tokenizer


def load_tokenizer(
    name: str | Path,
    *,
    device: str | torch.device = "cpu",
    dtype: NumberFormat = "float32",
    **options: Unpack[HubOptions],
) -> Tokenizer:
    """Load a tokenizer of any kind from a folder, a training run or a hub id, in eval mode.

    Arguments are those of `Tokenizer.from_pretrained`.

    Raises:
        InputError: nothing is there, it is no tokenizer, a file is damaged, or the number format
            is not known.
    """
    folder = find_model(name, **options)
    kind = read_description(folder)["kind"]
    if kind not in TOKENIZERS:
        raise InputError(
            f"{name} holds a {kind}, but a tokenizer is needed here: {' or '.join(TOKENIZERS)}"
        )
    return TOKENIZERS[kind].from_pretrained(folder, device=device, dtype=dtype)
