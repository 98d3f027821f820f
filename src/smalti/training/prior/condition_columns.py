"""The conditions of images as columns of shards of codes."""

from typing import Any, Literal

from torch import nn

from smalti.codes.manifest import ConditionColumns
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
