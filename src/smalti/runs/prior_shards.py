"""Fits a run of stage 2 to codes that lie in shards (`codes.data`): size, views, conditions."""

from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from smalti.codes.read import CodeShards
from smalti.conditions import ConditionConfig
from smalti.conditions.class_label import ClassLabelConfig
from smalti.conditions.conditioning import conditioning_of
from smalti.conditions.none import UnconditionalConfig
from smalti.conditions.opening import RunConditions
from smalti.config import InputError, describe
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
    config: PriorRunConfig, shards: CodeShards, conditions: RunConditions
) -> tuple[ConditionConfig, ...]:
    """Make the configs of the conditions of a run on codes: those with which they were encoded.

    Raises:
        InputError: the codes lack a condition, or have it by another tokenizer or otherwise than
            the run asks for or the prior that it begins with knows it.
    """
    tokenizers = conditions.tokenizers
    found = tuple(_condition(shards, kind, tokenizers.get(kind)) for kind in conditions.kinds)
    for former, of_codes in zip(conditions.former, found, strict=False):
        if not isinstance(former, UnconditionalConfig) and former != of_codes:
            raise InputError(
                f"the condition {former.kind} of {shards.folder} differs from that of the prior to "
                "begin with; they must be the same"
            )
    for condition in conditioning_of(found).conditions:
        for name, value in condition.run_options().items():
            _check_option(config, shards, name, value)
    return tuple(conditions.former) or found


def _condition(shards: CodeShards, kind: str, tokenizer: Tokenizer | None) -> ConditionConfig:
    """The config of a condition with which a folder was encoded."""
    encoding = shards.manifest.encoding
    if kind == "none":
        return UnconditionalConfig()
    if kind == "class":
        if encoding.classes is None:
            raise InputError(
                f"condition is class, but {shards.folder} has no classes; encode with --classes"
            )
        return ClassLabelConfig(class_names=encoding.classes)
    column = encoding.conditions.get(kind)
    if column is None:
        has = ", ".join([*(["class"] if encoding.classes else []), *encoding.conditions])
        raise InputError(
            f"{shards.folder} has no column of the condition {kind} (it has {has or 'none'}); "
            f"encode with --condition {kind}"
        )
    if column.tokenizer != (None if tokenizer is None else weights_hash(tokenizer)):
        raise InputError(
            f"{shards.folder} has the condition {kind} by another tokenizer than the one named"
        )
    try:
        return TypeAdapter[ConditionConfig](ConditionConfig).validate_python(column.config)
    except ValidationError as error:
        raise InputError(f"{shards.folder}: {kind} of the manifest: {describe(error)}") from error


def _check_option(config: PriorRunConfig, shards: CodeShards, name: str, value: object) -> None:
    """Refuse an option that the codes were made with another value of."""
    if getattr(config, name) != value:
        option = name.replace("_", "-")
        raise InputError(
            f"{option} is {getattr(config, name)}, but {shards.folder} was encoded with {value}; "
            f"add --{option} {value}"
        )
