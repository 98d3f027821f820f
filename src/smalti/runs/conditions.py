"""What a prior is told of an image: from `--condition KIND=TOKENIZER` to conditioners."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from smalti.conditions import (
    CONDITIONS,
    ClassLabelConfig,
    ConditionConfig,
    CoordinateMapConfig,
    CoordinatesConfig,
    DepthConfig,
    EdgesConfig,
    KeypointsConfig,
    LowResolutionConfig,
    SegmentationConfig,
    UnconditionalConfig,
)
from smalti.conditions.asked import PAIRS
from smalti.config import InputError
from smalti.data.dataset import ImageDataset
from smalti.data.pairing import (
    CoordinateMapPair,
    CoordinatesPair,
    KeypointsPair,
    LowResolutionPair,
    Paired,
    picture_room,
)
from smalti.registry import unknown_name
from smalti.runs.config import PriorRunConfig
from smalti.runs.initial_prior import with_class_names
from smalti.runs.origin import begun_option, check_same_model
from smalti.sampling.pipeline import Pipeline, condition_folder
from smalti.tokenizer.base import TokenizerModel
from smalti.tokenizer.load import load_tokenizer

CONTENTS = {"segmentation": "labels", "depth": "depth", "edges": "edges", "low_resolution": "rgb"}
"""What the tokenizer of each condition that is a picture must be one of."""
COORDINATE_LEVELS = 1024
"""Of a coordinate map, as in the released models."""
SPATIAL: dict[str, Any] = {
    "segmentation": SegmentationConfig,
    "depth": DepthConfig,
    "edges": EdgesConfig,
}


@dataclass(frozen=True)
class Conditions:
    """Kinds of conditions of a run, in order, and the tokenizers of those that are pictures."""

    kinds: Sequence[str]
    tokenizers: Mapping[str, TokenizerModel]
    given: Sequence[ConditionConfig] | None = None
    """Conditioners of the prior that the run begins with, if it does."""

    @property
    def has_classes(self) -> bool:
        """Whether the classes of the data are wanted."""
        return "class" in self.kinds

    def paired(self, config: PriorRunConfig) -> list[Paired]:
        """What each image is read with."""
        return [self._pair(kind, config) for kind in self.kinds if kind not in ("none", "class")]

    def _pair(self, kind: str, config: PriorRunConfig) -> Paired:
        if kind == "low_resolution":
            return LowResolutionPair(config.low_resolution_factor)
        if kind == "coordinates":
            return CoordinatesPair()
        if kind == "coordinate_map":
            return CoordinateMapPair()
        if kind == "keypoints":
            return KeypointsPair(self._given_joints)
        pair: Paired = PAIRS[kind](self.tokenizers[kind].content)
        return pair

    @property
    def _given_joints(self) -> tuple[str, ...] | None:
        poses = (one for one in self.given or () if isinstance(one, KeypointsConfig))
        return next((pose.joints for pose in poses), None)

    def configs(
        self, config: PriorRunConfig, factor: int, dataset: ImageDataset
    ) -> tuple[ConditionConfig, ...]:
        """Config of each conditioner.

        Args:
            config: of the run.
            factor: f of the images' tokenizer.
            dataset: the training images.

        Raises:
            InputError: the data has no classes and they are wanted, or the images do not divide by
                the factor of a condition's tokenizer.
        """
        if self.given is not None:
            return tuple(with_class_names(one, dataset.class_names) for one in self.given)
        if not self.kinds:
            return (UnconditionalConfig(),)
        return tuple(self._config(kind, config, factor, dataset) for kind in self.kinds)

    def _config(
        self, kind: str, config: PriorRunConfig, factor: int, dataset: ImageDataset
    ) -> ConditionConfig:
        height, width = config.image.height_px, config.image.width_px
        if kind == "class":
            if not dataset.class_names:
                raise InputError("condition is class, but the data has no classes")
            return ClassLabelConfig(class_names=tuple(dataset.class_names))
        if kind == "coordinates":
            room = picture_room(dataset)
            return CoordinatesConfig(
                rows=(room.height_px - height) // factor + 1,
                columns=(room.width_px - width) // factor + 1,
            )
        if kind == "coordinate_map":
            return CoordinateMapConfig(
                levels=COORDINATE_LEVELS,
                cell_px=factor,
                grid_height=height // factor,
                grid_width=width // factor,
            )
        if kind == "keypoints":
            joints = dataset.joints
            return KeypointsConfig(joints=joints, height_px=height, width_px=width)
        return self._spatial_config(kind, config)

    def _spatial_config(self, kind: str, config: PriorRunConfig) -> ConditionConfig:
        height, width = config.image.height_px, config.image.width_px
        tokenizer = self.tokenizers[kind]
        f = tokenizer.downsampling_factor
        if height % f or width % f:
            raise InputError(
                f"image.size {height}x{width} does not divide into codes of the condition {kind}: "
                f"both sides must be multiples of {f}"
            )
        sizes = {
            "content": tokenizer.content,
            "codebook_size": tokenizer.codebook_size,
            "grid_height": height // f,
            "grid_width": width // f,
        }
        if kind == "low_resolution":
            return LowResolutionConfig(factor=config.low_resolution_factor, **sizes)
        spatial: ConditionConfig = SPATIAL[kind](**sizes)
        return spatial


def conditions_of(initial: Pipeline | None) -> Conditions | None:
    """Conditions of the prior that a run begins with; None where there is none."""
    if initial is None:
        return None
    tokenizers = {}
    for kind, tokenizer in initial.condition_tokenizers.items():
        assert isinstance(tokenizer, TokenizerModel)
        tokenizers[kind] = tokenizer
    return Conditions(initial.config.told_kinds, tokenizers, initial.config.conditioners)


def open_conditions(config: PriorRunConfig, folder: Path, tokenizer: TokenizerModel) -> Conditions:
    """Read what `condition` names.

    Args:
        config: of the run.
        folder: of the run, which keeps the tokenizers that it began with.
        tokenizer: of the images.

    Raises:
        InputError: a kind is unknown or named twice, needs a tokenizer, cannot have one, or the
            tokenizer is of other content.
    """
    tokenizers: dict[str, TokenizerModel] = {}
    kinds: list[str] = []
    for spec in config.condition:
        kind, _, path = spec.partition("=")
        if "," in kind:
            raise InputError(f"condition {spec!r}: give --condition once for each, not with commas")
        if kind not in CONDITIONS or kind == "none":
            raise unknown_name("condition", kind, set(CONDITIONS) - {"none"})
        if kind in kinds:
            raise InputError(f"the condition {kind} is given twice")
        kinds.append(kind)
        if kind in CONTENTS:
            kept = condition_folder(folder, kind)
            tokenizers[kind] = (
                _kept_tokenizer(config, spec, kept, tokenizer)
                if kept.is_dir()
                else _tokenizer(kind, path, tokenizer)
            )
        elif path:
            raise InputError(f"the condition {kind} has no tokenizer; write {kind} alone")
    return Conditions(kinds, tokenizers)


def _kept_tokenizer(
    config: PriorRunConfig, spec: str, folder: Path, of_images: TokenizerModel
) -> TokenizerModel:
    """The tokenizer of a condition that the run keeps, though its condition may name another place.

    Raises:
        InputError: another tokenizer lies there.
    """
    kept = load_tokenizer(folder)
    was = begun_option(config, "condition") or ()
    if spec not in was:
        kind, _, path = spec.partition("=")
        found = _tokenizer(kind, path, of_images)
        check_same_model(config, "condition", was, config.condition, kept, found)
    return kept


def _tokenizer(kind: str, path: str, of_images: TokenizerModel) -> TokenizerModel:
    if not path and kind == "low_resolution":
        return of_images
    if not path:
        raise InputError(
            f"the condition {kind} needs a tokenizer: {kind}=RUN, where RUN comes from `smalti "
            f"train vqgan --vqgan.content.kind {CONTENTS[kind]} --vqgan.quantizer.kind fsq`"
        )
    found = load_tokenizer(path)
    if found.content.kind != CONTENTS[kind]:
        raise InputError(
            f"the condition {kind} needs a tokenizer of {CONTENTS[kind]}, but {path} is one of "
            f"{found.content.kind}"
        )
    return found
