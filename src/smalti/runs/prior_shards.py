"""Fits a run of stage 2 to codes that lie in shards (`codes.data`): size, views, conditions."""

from pathlib import Path

from smalti.codes.read import CodeShards
from smalti.conditions import ConditionConfig
from smalti.conditions.class_label import ClassLabelConfig
from smalti.conditions.none import UnconditionalConfig
from smalti.conditions.opening import RunConditions
from smalti.config import InputError
from smalti.data.config import TransformConfig
from smalti.data.loader import check_shares
from smalti.runs.config import DEFAULT_TRANSFORM, PriorRunConfig
from smalti.runs.origin import check_same_codes
from smalti.runs.stored import read_run_config
from smalti.tokenizer.base import Tokenizer
from smalti.weights import weights_hash
from smalti.words import counted


def open_shards(folder: str) -> CodeShards:
    """Open the codes of a folder.

    Raises:
        InputError: it holds none, is not finished, or has another format.
    """
    return CodeShards(Path(folder))


def adopt_shards(config: PriorRunConfig, shards: CodeShards) -> PriorRunConfig:
    """Settle the options that follow from the codes: how large the images are, and their views.

    Raises:
        InputError: the config asks for another size or number of views.
    """
    encoding = shards.manifest.encoding
    if config.codes.views not in ("auto", len(encoding.views)):
        raise InputError(
            f"codes.views is {config.codes.views}, but {shards.folder} has "
            f"{counted(len(encoding.views), 'view')}; leave it out"
        )
    height, width = encoding.size
    of_config = _size_of(config.image)
    if of_config not in (encoding.size, *_sizes_by_default(config)):
        raise InputError(
            f"image.size is {of_config[0]}x{of_config[1]}, but {shards.folder} has codes of "
            f"{height}x{width}; leave it out"
        )
    size = height if height == width else encoding.size
    return config.model_copy(
        update={
            "image": config.image.model_copy(update={"size": size}),
            "codes": config.codes.model_copy(update={"views": len(encoding.views)}),
        }
    )


def _sizes_by_default(config: PriorRunConfig) -> list[tuple[int, int]]:
    """Sizes that a config has without being asked: the default, and that of the tokenizer's run."""
    image = (read_run_config(Path(config.vqgan)) or {}).get("image") if config.vqgan else None
    of_tokenizer = [] if image is None else [_size_of(TransformConfig.model_validate(image))]
    return [_size_of(DEFAULT_TRANSFORM), *of_tokenizer]


def _size_of(image: TransformConfig) -> tuple[int, int]:
    return image.height_px, image.width_px


def check_shards(config: PriorRunConfig, shards: CodeShards, tokenizer: Tokenizer) -> None:
    """Refuse codes that the tokenizer did not make, or that are not those of the begun run.

    Raises:
        InputError: with the reason; or the batch does not divide among the processes.
    """
    if shards.manifest.encoding.tokenizer != weights_hash(tokenizer):
        place = config.vqgan or config.init
        raise InputError(f"{shards.folder} holds codes of another tokenizer than {place}")
    check_same_codes(config, shards.fingerprint)
    check_shares(config.training.batch_size, config.training.accumulation_steps)


def conditions_of_shards(
    shards: CodeShards, conditions: RunConditions
) -> tuple[ConditionConfig, ...]:
    """Make the configs of the conditions of a run on codes, which know classes alone.

    Raises:
        InputError: a condition needs more than the codes have, or the prior that the run begins
            with has other classes.
    """
    for kind in conditions.kinds:
        if kind not in ("none", "class"):
            raise InputError(
                f"the condition {kind} does not come with {shards.folder}, whose only condition is "
                "class; --data with the images has all others"
            )
    classes = shards.manifest.encoding.classes
    if conditions.need_classes and classes is None:
        raise InputError(
            f"condition is class, but {shards.folder} has no classes; encode with --classes"
        )
    for former in conditions.former:
        if isinstance(former, ClassLabelConfig) and former.class_names != classes:
            raise InputError(
                f"the prior to begin with has other classes than {shards.folder}; they must be the "
                "same"
            )
    if conditions.former:
        return tuple(conditions.former)
    return tuple(
        UnconditionalConfig() if kind == "none" else ClassLabelConfig(class_names=classes or ())
        for kind in conditions.kinds
    )
