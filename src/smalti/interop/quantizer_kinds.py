"""Finds the quantizer that other programs' tensors belong to.

The released code and its descendants store an encoder, a decoder and `quantize.*`. The names tell
most quantizers apart. The nearest entry (taming-transformers, latent-diffusion) and the largest
inner product (IBQ) have the same names and shapes, but choose other codes; a config tells them
apart, and often the entries do.

Axes: D code dimension, K codebook size.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from smalti.config import InputError
from smalti.tokenizer.quantizers.config import (
    EMAQuantizerConfig,
    GumbelQuantizerConfig,
    IBQConfig,
    QuantizerConfig,
    VectorQuantizerConfig,
)

KINDS = {
    "VQModel": "vector",
    "VQModelInterface": "vector",
    "VQSegmentationModel": "vector",
    "VQNoDiscModel": "vector",
    "EMAVQ": "ema",
    "GumbelVQ": "gumbel",
    "IBQ": "ibq",
}
"""Our name of the quantizer of each class that a released config may name."""
EMBEDDING = "quantize.embedding.weight"
AVERAGES = ("quantize.embedding.cluster_size", "quantize.embedding.embed_avg")
GUMBEL_SCORES = "quantize.proj.weight"

TESTED_ENTRIES = 128  # of a large codebook; each is compared with all entries
# Entries as IBQ starts them have 0.35 and more in the shapes that people use; in the 3 or 4
# dimensions of latent-diffusion, a few in a hundred win against the longest.
CHOOSABLE_SHARE = 0.25


@dataclass(frozen=True, slots=True)
class FoundQuantizer:
    """The quantizer of a state dict."""

    config: QuantizerConfig
    codebook: str
    """Name of the tensor with the entries (K, D)."""
    names: Mapping[str, str | None]
    """Foreign beginning of a weight's name by ours; None for weights that others do not store."""


PLAIN_NAMES = {"quantizer.codebook.": "quantize.embedding."}
QUANTIZERS = {
    "vector": FoundQuantizer(VectorQuantizerConfig(), EMBEDDING, PLAIN_NAMES),
    "llamagen": FoundQuantizer(VectorQuantizerConfig(l2_normalised=True), EMBEDDING, PLAIN_NAMES),
    "ibq": FoundQuantizer(IBQConfig(lookup_dim=None), EMBEDDING, PLAIN_NAMES),
    "ema": FoundQuantizer(
        EMAQuantizerConfig(lookup_dim=None, l2_normalised=False, kmeans_start=False),
        EMBEDDING,
        {"quantizer.codebook": EMBEDDING}
        | dict.fromkeys(f"quantizer.{name}" for name in ("counts", "sums", "steps", "started")),
    ),
    "gumbel": FoundQuantizer(
        GumbelQuantizerConfig(),
        "quantize.embed.weight",
        {
            "quantizer.codebook.": "quantize.embed.",
            "quantizer.scores.": "quantize.proj.",
            "quantizer.steps": None,
        },
    ),
}


def told_kind(target: str, params: Mapping[str, Any]) -> str | None:
    """Our kind of the quantizer that a released config names, or None if it names no class.

    The target is the class with its module, such as `taming.models.vqgan.VQModel`.

    Raises:
        InputError: the quantizer is not one that is imported.
    """
    if not target:
        return None
    name = target.rpartition(".")[2]
    part = params.get("quantconfig")
    if isinstance(part, dict):
        raise InputError(f"its quantizer is {part.get('target', 'unknown')}, which is not imported")
    if "lfq" in target.lower():
        raise InputError(f"its quantizer is LFQ ({target}), which is not imported")
    if name not in KINDS:
        raise InputError(
            f"its class {target} is not known, nor how it chooses codes; known are "
            f"{', '.join(KINDS)}"
        )
    for option in ("l2_normalize", "cosine_similarity", "remap"):
        if params.get(option):
            raise InputError(f"{option} is {params[option]} in its config, which is not imported")
    return KINDS[name]


def find_quantizer(tensors: Mapping[str, Tensor], told: str | None) -> FoundQuantizer:
    """Find the quantizer of a released state dict; `told` is its kind by a config, or None.

    Raises:
        InputError: config and tensors differ, or nothing tells which of two quantizers it is.
        KeyError: the entries of the codebook are missing.
    """
    if GUMBEL_SCORES in tensors:
        shown = "gumbel"
    elif AVERAGES[0] in tensors:
        shown = "ema"
    elif told == "ibq":
        shown = "ibq"  # its tensors are named as those of the nearest entry are
    else:
        shown = "vector" if told else _kind_by_entries(tensors[EMBEDDING])
    if told not in (None, shown):
        raise InputError(f"the config says quantizer {told}, but the tensors have {shown}")
    return QUANTIZERS[shown]


def _kind_by_entries(codebook: Tensor) -> str:
    """Recognise the quantizer of the nearest entry by its entries (K, D), or refuse them."""
    is_whole = codebook.ndim == 2 and codebook.numel() > 0 and bool(codebook.isfinite().all())
    # One that is not is refused with the other weights, whatever the quantizer.
    if not is_whole or _has_untouched(codebook) or not _is_choosable(codebook):
        return "vector"
    raise InputError(
        "its tensors fit two quantizers, which choose other codes: the nearest entry (VQModel of "
        "taming-transformers and latent-diffusion) and the largest inner product (IBQ of "
        "SEED-Voken); give --config with the YAML that came with it, whose target or class_path "
        "tells which"
    )


def _has_untouched(codebook: Tensor) -> bool:
    """Whether an entry lies where the released code starts it, in a cube of side 2 / K.

    Entries that no vector is near stay there, but those of IBQ start far outside.
    """
    return bool((codebook.abs().amax(1) <= 1.001 / len(codebook)).any())


def _is_choosable(codebook: Tensor) -> bool:
    """Whether for many entries the inner product with the entry itself is the largest.

    Vectors lie near their entries, so a codebook that was learned with inner products has this.
    """
    entries = codebook.float()
    step = max(1, len(entries) // TESTED_ENTRIES)
    tested = torch.arange(0, len(entries), step)
    best = (entries[tested] @ entries.T).argmax(1)
    return float((best == tested).float().mean()) >= CHOOSABLE_SHARE
