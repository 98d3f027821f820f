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
from smalti.interop.containers import AVERAGED

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


def without_prefix(tensors: Mapping[str, Tensor]) -> Rooted:
    """Find the model among the tensors of a checkpoint and give its tensors their bare names.

    Raises:
        InputError: two tensors have the same name without their wrappers, or there are several
            models and nothing tells which one is meant.
    """
    unwrapped = {re.sub(WRAPPERS, "", name): tensor for name, tensor in tensors.items()}
    if len(unwrapped) < len(tensors):
        raise InputError("some of its tensors are there twice, with and without a wrapper's name")
    prefix = _prefix(unwrapped)
    model = {
        name.removeprefix(prefix): tensor
        for name, tensor in unwrapped.items()
        if name.startswith(prefix)
    }
    others = (name for name in unwrapped if not name.startswith(prefix))
    return Rooted(model, prefix, Counter(name.partition(".")[0] for name in others))


def _prefix(tensors: Mapping[str, Tensor]) -> str:
    for root in ROOTS:
        found = [
            name.removesuffix(root) for name in tensors if name == root or name.endswith(f".{root}")
        ]
        if found:
            return _choose(found)
    return ""


def _choose(prefixes: list[str]) -> str:
    """Choose averaged weights, else those without a prefix, else the only ones."""
    averaged = [prefix for prefix in prefixes if set(prefix.split(".")) & set(AVERAGED)]
    if averaged:
        return averaged[0]
    if "" in prefixes or len(prefixes) == 1:
        return min(prefixes)
    raise InputError(
        f"it holds several models, under {' and '.join(sorted(prefixes))}; save the tensors of one "
        "alone"
    )
