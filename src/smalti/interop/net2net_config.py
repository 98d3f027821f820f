"""Reads the released code's config of a transformer over the codes of a VQGAN.

It has what the tensors do not tell: the heads, the condition's kind and the start token.
"""

from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from smalti.config import InputError, describe
from smalti.interop.quantizer_kinds import told_kind
from smalti.interop.taming_config import read_params

ORDERINGS = {
    "Identity": "row_major",
    "SpiralOut": "spiral_out",
    "SpiralIn": "spiral_in",
    "ZCurve": "z_curve",
    "Subsample": "subsample",
    "AlternateParsing": "alternate",
    "Random": "random",
}
"""Our names of the released orderings ("permuters")."""
IS_FIRST_STAGE = "__is_first_stage__"
IS_UNCONDITIONAL = "__is_unconditional__"
START_TOKEN = "SOSProvider"
CLASS_LABEL = "Labelator"
COORDINATES = "CoordStage"


class _Part(BaseModel):
    """Base class for the values that we need of a released config; others are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Part(_Part):
    """A part of the model: a class of the released code, and its arguments."""

    target: str = ""
    params: dict[str, Any] = {}

    @property
    def name(self) -> str:
        """Name of the class, without its module."""
        return self.target.rpartition(".")[2]

    @property
    def quantizer(self) -> str | None:
        """Our kind of the quantizer, if the class is a VQGAN.

        Raises:
            InputError: the quantizer is not one that is imported.
        """
        return told_kind(self.target, self.params)


class Transformer(_Part):
    """Arguments of the released GPT; the tensors tell its other sizes."""

    vocab_size: int | None = None
    block_size: int | None = None
    n_layer: int | None = None
    n_head: int | None = Field(default=None, ge=1)
    n_embd: int | None = None
    n_unmasked: int = 0


class Net2NetConfig(_Part):
    """Arguments of the released two-stage model, with its defaults."""

    transformer_config: Part = Part()
    first_stage_config: Part = Part()
    cond_stage_config: Part | None = None
    """Config of the condition stage, or None if the file has none."""
    permuter_config: Part | None = None
    cond_stage_key: str | None = None
    """Name of the condition in the data."""
    downsample_cond_size: int = -1
    """Side in pixels to which the condition is shrunk before it is encoded; -1 leaves it."""
    pkeep: float = Field(default=1.0, ge=0, le=1)
    """Share of the image tokens that training left as they were; others became random tokens."""
    sos_token: int = Field(default=0, ge=0)
    unconditional: bool = False

    @field_validator("cond_stage_config", mode="before")
    @classmethod
    def _word_or_part(cls, value: object) -> object:
        return {"target": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _ordering_is_known(self) -> Self:
        if self.permuter_config is not None and self.permuter_config.name not in ORDERINGS:
            raise ValueError(
                f"permuter_config is {self.permuter_config.target}, which is not imported; known "
                f"are {', '.join(ORDERINGS)}"
            )
        return self

    @property
    def transformer(self) -> Transformer:
        """Arguments of the transformer."""
        return Transformer.model_validate(self.transformer_config.params)

    @property
    def condition(self) -> str | None:
        """Class or word that stands for the condition stage, or None if the config has none."""
        if self.unconditional:
            return IS_UNCONDITIONAL
        return None if self.cond_stage_config is None else self.cond_stage_config.name

    @property
    def start_token(self) -> int:
        """The start token of a model without a condition."""
        stage = self.cond_stage_config
        if stage is not None and stage.name == START_TOKEN:
            token = stage.params.get("sos_token")
            return token if isinstance(token, int) else self.sos_token
        return self.sos_token

    @property
    def resolution_px(self) -> int | None:
        """Side in pixels of the first stage's training images, or None if the config has none."""
        network = self.first_stage_config.params.get("ddconfig")
        side = network.get("resolution") if isinstance(network, dict) else None
        return side if isinstance(side, int) and side > 0 else None


def read_net2net_config(path: Path) -> Net2NetConfig:
    """Read the YAML that came with a checkpoint.

    Raises:
        InputError: it is no released config of such a model, or names something that is not
            imported.
    """
    params = read_params(path)
    try:
        config = Net2NetConfig.model_validate(params)
        transformer = config.transformer
    except ValidationError as error:
        raise InputError(f"{path}: {describe(error)}") from error
    if not config.transformer_config.params:
        raise InputError(f"{path} is no config of a transformer: it has no transformer_config")
    if transformer.n_unmasked > 0:
        raise InputError(f"{path}: {unmasked(transformer.n_unmasked)}")
    return config


def unmasked(positions: int) -> str:
    """Message on why a transformer that reads its condition in both directions is refused."""
    return (
        f"its first {positions} positions attend to each other in both directions (n_unmasked); "
        "our GPT attends to earlier positions only"
    )
