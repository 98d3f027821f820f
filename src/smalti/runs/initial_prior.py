"""Runs of stage 2 that begin with another prior: an imported one, or one of another run."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from smalti.conditions import ConditionConfig
from smalti.config import InputError, describe
from smalti.prior.config import PriorConfig
from smalti.runs.config import PriorRunConfig
from smalti.runs.folder import begun_config
from smalti.runs.origin import check_same_init, has_begun
from smalti.runs.stored import read_run_config
from smalti.sampling.pipeline import Pipeline
from smalti.sampling.prior_model import PriorModelConfig

CONDITION_DROP = 0.1
"""Default share of examples with dropped conditions."""


def open_initial(config: PriorRunConfig) -> Pipeline | None:
    """Load the prior that a run begins with, and its tokenizers; None for new weights.

    A run that has begun has copies of them, even if the model that it came from changes.

    Raises:
        InputError: the config names neither a tokenizer nor a prior to begin with, or both, or the
            prior is damaged.
    """
    if config.init is None:
        if config.vqgan is None:
            raise InputError("--vqgan RUN (the tokenizer) or --init MODEL is required")
        return None
    if config.vqgan is not None:
        raise InputError(
            f"vqgan is {config.vqgan}, but the tokenizer comes from the model of --init "
            f"{config.init}; leave one of them out"
        )
    folder = Path(config.out)
    is_prior = (read_run_config(folder) or {}).get("stage") == "prior"
    if not (is_prior and has_begun(config)):
        return Pipeline.from_pretrained(config.init)
    begun = begun_config(config)
    if begun is not None and begun.init is not None and begun.init != config.init:
        other = Pipeline.from_pretrained(config.init).prior
        check_same_init(config, begun.init, config.init, other)
    return Pipeline.from_pretrained(folder)


def adopt_options(user_config: PriorRunConfig, initial: Pipeline | None) -> PriorRunConfig:
    """Settle the options that follow from the model that a run begins with, if there is one.

    Raises:
        InputError: the model has another shape, ordering or size than the config, or other
            conditions.
    """
    drop = user_config.condition_drop
    if initial is None:
        drop = CONDITION_DROP if drop is None else drop
        return user_config.model_copy(update={"condition_drop": drop})
    if user_config.condition:
        has = ", ".join(initial.config.condition_kinds) or "none"
        raise InputError(
            f"condition is {' '.join(user_config.condition)}, but conditions come from the model "
            f"of --init {user_config.init} (it has {has}); leave condition out"
        )
    _check_size(user_config, initial)
    options: dict[str, Any] = {
        name: getattr(initial.config, name) for name in ("ordering", "ordering_seed")
    }
    for name, of_model in options.items():
        default = PriorRunConfig.model_fields[name].default
        _check_same(user_config, name, getattr(user_config, name), default, of_model)
    options |= {
        "prior": _initial_shape(user_config, initial),
        "condition_drop": initial.config.condition_drop if drop is None else drop,
    }
    for condition in initial.conditioning.conditions:
        options |= condition.run_options()
    return user_config.model_copy(update=options)


def continued_model_config(
    config: PriorRunConfig, initial: Pipeline, conditioners: Sequence[ConditionConfig]
) -> PriorModelConfig:
    """Make the config of the prior in a run that begins with another prior.

    Its conditions may have other names of classes than those of that prior.

    Raises:
        InputError: conditions are to be dropped, and the vocabulary has no token for that.
    """
    changed = {
        "prior": config.prior,
        "conditioners": tuple(conditioners),
        "condition_drop": config.condition_drop if initial.config.condition_kinds else 0.0,
    }
    try:
        return PriorModelConfig.model_validate(dict(initial.config) | changed)
    except ValidationError as error:
        raise InputError(
            f"condition-drop {config.condition_drop} does not fit the model of --init "
            f"{config.init}: {describe(error)}"
        ) from error


def _initial_shape(config: PriorRunConfig, initial: Pipeline) -> PriorConfig:
    """Shape of the prior that a run begins with; a config with another shape is refused."""
    shape, of_model = config.prior, initial.config.prior
    _check_same(config, "prior.kind", shape.kind, "gpt", of_model.kind)
    if shape.kind != of_model.kind:
        shape = type(of_model)(dropout=shape.dropout)
    for name, field in type(of_model).model_fields.items():
        if name not in ("kind", "dropout"):
            option, value = getattr(shape, name), getattr(of_model, name)
            _check_same(config, f"prior.{name}", option, field.default, value)
    return of_model.model_copy(update={"dropout": shape.dropout})


def _check_size(config: PriorRunConfig, initial: Pipeline) -> None:
    height, width = initial.size
    if (config.image.height_px, config.image.width_px) != (height, width):
        raise InputError(
            f"image.size is {config.image.height_px}x{config.image.width_px}, but the model of "
            f"--init {config.init} is one of {height}x{width} pixels; add --image.size "
            f"{height}x{width}"
        )


def _check_same(
    config: PriorRunConfig, name: str, option: object, default: object, of_model: object
) -> None:
    if option not in (default, of_model):
        raise InputError(
            f"{name} is {option}, but the model of --init {config.init} has {of_model}; leave it "
            "out, it comes from the model"
        )
