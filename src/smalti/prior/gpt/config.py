"""Configs of the transformer: that of the paper, and one with choices of its blocks. No torch."""

from typing import Any, Literal, Self

from pydantic import model_validator

from smalti.prior.transformer_config import BlockChoices, TransformerConfig


class GPT2Config(TransformerConfig):
    """Shape of the paper's transformer, which has the blocks of GPT-2."""

    kind: Literal["gpt2"] = "gpt2"


class GPTConfig(BlockChoices):
    """Shape of a transformer whose blocks can be chosen."""

    kind: Literal["gpt"] = "gpt"
    positions: Literal["learned", "rotary"] = "rotary"
    """learned adds a learned vector to each token; rotary also turns queries and keys by row and
    column, so that attention knows how far two cells are from each other."""
    class_by: Literal["token", "norm"] = "token"
    """How the class of an image is told: by its token alone, or also by the normalisations, which
    it scales and shifts. norm needs the condition `class`."""

    target_positions: bool = False
    """Whether each token also tells the place of the token that follows it, with a learned vector;
    random orders in training (`random-orders`) need that."""

    @model_validator(mode="after")
    def _channels_turn(self) -> Self:
        if self.positions == "rotary":
            self.check_rotary()
        return self


def of_former_file(shape: dict[str, Any]) -> dict[str, Any]:
    """The section `prior` of a file; in files of before there were choices `gpt` is the paper's.

    Those name the whole shape and no choice.
    """
    papers = GPT2Config.model_fields.keys()
    has_choices = bool((GPTConfig.model_fields.keys() - papers) & shape.keys())
    is_former = shape.get("kind") == "gpt" and papers <= shape.keys() and not has_choices
    return {**shape, "kind": "gpt2"} if is_former else shape


def as_former_file(shape: dict[str, Any]) -> dict[str, Any]:
    """The section `prior` of a file as it was before there were choices, for comparing with one."""
    return {**shape, "kind": "gpt"} if shape["kind"] == "gpt2" else shape
