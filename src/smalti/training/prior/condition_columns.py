"""The conditions of images as columns of shards of codes.

Axes: N images.
"""

from collections.abc import Mapping
from typing import Any, Literal

import torch
from torch import Tensor, nn

from smalti.codes.manifest import ConditionColumns, View
from smalti.conditions import Condition
from smalti.conditions.conditioning import Conditioning
from smalti.weights import weights_hash


def columns_of(conditioning: Conditioning) -> dict[str, ConditionColumns]:
    """What shards say of the columns of conditions, by kind."""
    return {one.kind: _columns(one) for one in conditioning.conditions if one.has_column}


def _columns(condition: Condition[Any]) -> ConditionColumns:
    tokenizer = condition.tokenizer
    assert tokenizer is None or isinstance(tokenizer, nn.Module)
    return ConditionColumns(
        config=condition.config.model_dump(mode="json"),
        tokenizer=None if tokenizer is None else weights_hash(tokenizer),
        dtype=_dtype(condition),
    )


def _dtype(condition: Condition[Any]) -> Literal["uint16", "int32", "float32"]:
    if condition.blank(1).is_floating_point():
        return "float32"
    return "uint16" if condition.vocab_size <= 2**16 else "int32"


def stored(
    conditions: Mapping[str, Tensor], columns: Mapping[str, ConditionColumns], view: View
) -> dict[str, Tensor]:
    """Codes (N, ...) of conditions by the names of their columns, in their number formats.

    Args:
        conditions: codes (N, ...) by kind.
        columns: the conditions that are stored.
        view: the view of the images.
    """
    return {
        view.column_of(kind): conditions[kind].to(getattr(torch, column.dtype))
        for kind, column in columns.items()
    }
