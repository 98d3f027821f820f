"""Reads the condition stage of a released transformer.

Reference: arXiv:2012.09841, Sec. 4.2 and App. B.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from smalti.conditions import ConditionConfig
from smalti.conditions.class_label import ClassLabelConfig
from smalti.conditions.coordinate_map import CoordinateMapConfig
from smalti.conditions.grid import spatial_sizes
from smalti.conditions.low_resolution import LowResolutionConfig
from smalti.conditions.maps import DepthConfig, EdgesConfig, SegmentationConfig
from smalti.conditions.none import UnconditionalConfig
from smalti.config import InputError
from smalti.interop.net2net_config import (
    CLASS_LABEL,
    COORDINATES,
    IS_FIRST_STAGE,
    IS_UNCONDITIONAL,
    START_TOKEN,
    Net2NetConfig,
)
from smalti.interop.taming_config import ToldVQGAN
from smalti.interop.taming_vqgan import import_vqgan
from smalti.tokenizer.vqgan import VQGAN

SPATIAL: Mapping[str, Any] = {
    "labels": SegmentationConfig,
    "depth": DepthConfig,
    "edges": EdgesConfig,
    "rgb": LowResolutionConfig,
}
"""Config class of the released models' condition, by the content of its pictures."""
WITHOUT_TENSORS = (IS_UNCONDITIONAL, START_TOKEN, CLASS_LABEL, COORDINATES)
DRAWN = ("segmentation", "depth", "edges", "coord")
"""Names of conditions that are no photographs."""
LOW_RESOLUTION_FACTOR = 8  # of the released code


@dataclass(frozen=True, slots=True)
class CondStage:
    """The condition of a released transformer."""

    description: str
    config: Callable[[int, int], ConditionConfig]
    """Makes the config of the condition for images of a height and width in pixels."""
    cell_px: int | None = None
    """Side in pixels of the cells of a condition with a token for each; None if it is one token."""
    tokenizers: Mapping[str, VQGAN] = field(default_factory=dict)
    """Tokenizer of the condition by its kind, if it is a picture."""
    passed_over: Mapping[str, int] = field(default_factory=dict)
    """Number of tensors that are not weights, by part."""
    assumed: Sequence[str] = ()
    """A line for each assumption about what neither tensors nor config tell."""

    def length(self, height_px: int, width_px: int) -> int:
        """Number of conditioning tokens of images of a size in pixels."""
        if self.cell_px is None:
            return 1
        return (height_px // self.cell_px) * (width_px // self.cell_px)


def read_condition(
    tensors: Mapping[str, Tensor], told: Net2NetConfig, first_stage: VQGAN
) -> CondStage:
    """Find the condition from the tensors of the condition stage, if it has any, and the config.

    Raises:
        InputError: it is of a kind that is not imported, damaged, or differs from the config.
    """
    if told.condition in WITHOUT_TENSORS or (told.condition is None and not tensors):
        if tensors:
            raise InputError(f"the config says {told.condition}, but there are tensors")
        if told.condition == COORDINATES:
            return _coordinates(told)
        return _class_label(told) if told.condition == CLASS_LABEL else _start_token(told)
    if told.downsample_cond_size > -1:
        raise InputError(
            f"its condition is shrunk to {told.downsample_cond_size} pixels before it is encoded "
            "(downsample_cond_size), which is not imported"
        )
    if told.condition == IS_FIRST_STAGE and not tensors:
        return _picture(first_stage, told, {})
    if not tensors and str(told.condition).startswith("VQ"):
        raise InputError(f"the config says {told.condition}, but there are no tensors of it")
    if not any(name.startswith("encoder.") for name in tensors):
        raise InputError(
            f"its condition stage is {told.condition or 'unknown'}, which is not imported; known "
            f"are VQGANs, {CLASS_LABEL}, {COORDINATES} and {START_TOKEN}"
        )
    same = told.condition == IS_FIRST_STAGE
    stage = told.first_stage_config if same else told.cond_stage_config
    kind = None if stage is None else stage.quantizer
    imported = import_vqgan(tensors, ToldVQGAN(told.cond_stage_key, kind))
    return _picture(imported.vqgan, told, imported.passed_over)


def _start_token(told: Net2NetConfig) -> CondStage:
    assumed = []
    if told.condition is None:
        assumed.append(f"no condition, start token {told.start_token}: it has no condition stage")
    token = UnconditionalConfig(token=told.start_token)
    return CondStage("a start token", lambda *_: token, assumed=assumed)


def _class_label(told: Net2NetConfig) -> CondStage:
    assert told.cond_stage_config is not None
    classes = told.cond_stage_config.params.get("n_classes")
    if not isinstance(classes, int) or classes < 1:
        raise InputError("the config has no n_classes, the number of classes")
    label = ClassLabelConfig(class_names=tuple(map(str, range(classes))))
    return CondStage(f"one of {classes} classes", lambda *_: label)


def _coordinates(told: Net2NetConfig) -> CondStage:
    assert told.cond_stage_config is not None
    params = told.cond_stage_config.params
    for name, what in (("n_embed", "numbers"), ("down_factor", "pixels of a cell")):
        value = params.get(name)
        if not isinstance(value, int) or value < 1:
            raise InputError(f"cond_stage_config: {name}, the {what}, is {value}")
    cell_px = params["down_factor"]

    def config(height_px: int, width_px: int) -> CoordinateMapConfig:
        return CoordinateMapConfig(
            levels=params["n_embed"],
            cell_px=cell_px,
            grid_height=height_px // cell_px,
            grid_width=width_px // cell_px,
        )

    return CondStage(f"coordinates of cells of {cell_px} pixels", config, cell_px)


def _picture(vqgan: VQGAN, told: Net2NetConfig, passed_over: Mapping[str, int]) -> CondStage:
    content, key = vqgan.content.kind, told.cond_stage_key
    if content == "rgb" and key in DRAWN:
        raise InputError(f"its condition is {key} as pictures of three channels; not imported")
    config_class = SPATIAL[content]
    kind = config_class.model_fields["kind"].default
    assumed = []
    if content == "rgb":
        factor = f"images made {LOW_RESOLUTION_FACTOR} times smaller as the condition"
        assumed.append(f"{factor}, as the released code has them")
    if content == "depth" and key is None:
        assumed.append("depth maps as the condition: edges would have one channel too")
    return CondStage(
        f"a condition {kind} with codes of {vqgan.downsampling_factor} pixels",
        lambda height_px, width_px: config_class(**spatial_sizes(vqgan, height_px, width_px)),
        vqgan.downsampling_factor,
        {kind: vqgan},
        passed_over,
        assumed,
    )
