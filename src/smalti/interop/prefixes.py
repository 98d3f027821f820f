"""Strips names of tensors of the prefixes that wrappers and larger models put before them.

`torch.compile`, data-parallel training and training frameworks wrap a model in further modules;
larger models contain the tokenizer.
"""

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from smalti.config import InputError
from smalti.interop.containers import is_averaged

WRAPPERS = r"(?:^|(?<=\.))(?:module|_orig_mod|_forward_module|_fsdp_wrapped_module)\."
# What a tokenizer, or a larger model that we know, has below its prefix; the largest first.
ROOTS = (
    "transformer.tok_emb.weight",
    "first_stage_model.encoder.conv_in.weight",
    "encoder.conv_in.weight",
)


@dataclass(frozen=True, slots=True)
class Rooted:
    """The tensors of one model, under their bare names."""

    tensors: dict[str, Tensor]
    prefix: str
    """Prefix that the names had, without wrappers."""
    passed_over: Counter[str]
    """Number of tensors without the prefix, by the first component of their names."""


def without_prefix(tensors: Mapping[str, Tensor], averaged: bool = True) -> Rooted:
    """Find the model among the tensors of a checkpoint and give its tensors their bare names.

    Args:
        tensors: all tensors by name.
        averaged: whether an averaged model is preferred to a raw one beside it.

    Raises:
        InputError: two tensors have the same name without their wrappers, or there are several
            models and nothing tells which one is meant.
    """
    unwrapped = {re.sub(WRAPPERS, "", name): tensor for name, tensor in tensors.items()}
    if len(unwrapped) < len(tensors):
        raise InputError("some of its tensors are there twice, with and without a wrapper's name")
    prefix = _prefix(unwrapped, averaged)
    model = {
        name.removeprefix(prefix): tensor
        for name, tensor in unwrapped.items()
        if name.startswith(prefix)
    }
    others = (name for name in unwrapped if not name.startswith(prefix))
    return Rooted(model, prefix, Counter(name.partition(".")[0] for name in others))


def _prefix(tensors: Mapping[str, Tensor], averaged: bool) -> str:
    for root in ROOTS:
        found = [
            name.removesuffix(root) for name in tensors if name == root or name.endswith(f".{root}")
        ]
        if found:
            return _choose(found, averaged)
    return ""


def _choose(prefixes: list[str], averaged: bool) -> str:
    """Choose the averaged or the raw model; of several raw ones that without a prefix."""
    preferred = [prefix for prefix in prefixes if is_averaged(prefix) == averaged]
    if averaged and preferred:
        return preferred[0]
    models = preferred or prefixes
    if "" in models or len(models) == 1:
        return min(models)
    raise InputError(
        f"it holds several models, under {' and '.join(sorted(models))}; save the tensors of one "
        "alone"
    )
