"""Prepares a run of stage 2 from its config, before anything is written.

A run may begin with another prior: an imported one, or one of another run (`init`).
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from smalti.compute import Compute, choose_compute
from smalti.conditions import ConditionConfig, Setup
from smalti.conditions.conditioning import conditioning_of
from smalti.conditions.opening import (
    RunConditions,
    condition_folder,
    open_conditions,
    open_tokenizer,
)
from smalti.config import InputError, describe
from smalti.data.loader import BatchLoader
from smalti.data.split import Split
from smalti.model_download import TOKENIZER_FOLDER
from smalti.prior.config import PriorConfig
from smalti.prior.gpt.config import GPTConfig
from smalti.runs.config import PriorRunConfig
from smalti.runs.data import check_divides, open_data, training_loader
from smalti.runs.folder import begun_config, check_run_folder
from smalti.runs.origin import check_same_init, check_same_model, has_begun
from smalti.runs.prior_data import CodeData, ImageData, PriorData
from smalti.runs.prior_shards import (
    adopt_shards,
    check_shards,
    conditions_of_shards,
    open_shards,
)
from smalti.runs.settle import settle_prior
from smalti.runs.stored import read_run_config
from smalti.runs.training_images import tokenizer_images
from smalti.sampling.pipeline import Pipeline
from smalti.sampling.prior_model import PriorModelConfig
from smalti.sequence.ordering import build_ordering
from smalti.tokenizer.base import Tokenizer, encoded_together
from smalti.tokenizer.load import load_tokenizer
from smalti.training.boards import check_track
from smalti.training.compilation import check_compiler

CONDITION_DROP = 0.1
"""Default share of examples with dropped conditions."""


@dataclass(frozen=True)
class PriorPlan:
    """Everything that a run of stage 2 needs to begin."""

    config: PriorRunConfig
    """Settled config of the run."""
    compute: Compute
    tokenizer: Tokenizer
    conditions: RunConditions
    data: PriorData
    model_config: PriorModelConfig
    initial: Pipeline | None
    """The prior whose weights the run begins with; None for new weights."""


def plan_prior(user_config: PriorRunConfig) -> PriorPlan:
    """Open everything that a run needs.

    Raises:
        InputError: the config, the data, the tokenizers or the folder do not allow it, or the run
            has copies of other tokenizers.
    """
    folder = Path(user_config.out)
    shards = None if user_config.codes.data is None else open_shards(user_config.codes.data)
    if shards is not None:
        user_config = adopt_shards(user_config, shards)
    initial = open_initial(user_config)
    user_config = adopt_options(user_config, initial)
    check_run_folder(folder, user_config)
    compute = choose_compute(user_config.training.device, user_config.training.precision)
    check_compiler(user_config.training, compute.device)
    check_track(user_config.training.track)
    tokenizer = _open_tokenizer(user_config, folder / TOKENIZER_FOLDER, initial)
    tokenizer.to(compute.device)
    conditions = _open_conditions(user_config, tokenizer, initial)
    seen = tokenizer_images(user_config, conditions.tokenizers)
    data: PriorData
    if shards is None:
        split, loader, setup = _open_images(user_config, compute, tokenizer, conditions)
        data = ImageData(split, loader, seen)
        conditioners = conditions.configs(setup, split.train)
    else:
        check_shards(user_config, shards, tokenizer)
        data = CodeData(shards, user_config.held_out, seen)
        conditioners = conditions_of_shards(user_config, shards, conditions)
    config = settle_prior(user_config, data.images)
    check_orders(config)
    model_config = (
        prior_model_config(config, tokenizer, conditioners)
        if initial is None
        else continued_model_config(config, initial, conditioners)
    )
    return PriorPlan(config, compute, tokenizer, conditions, data, model_config, initial)


def _open_images(
    config: PriorRunConfig, compute: Compute, tokenizer: Tokenizer, conditions: RunConditions
) -> tuple[Split, BatchLoader, Setup]:
    """Open the images of a run as its conditions need them."""
    setup = Setup(
        height_px=config.image.height_px,
        width_px=config.image.width_px,
        cell_px=tokenizer.downsampling_factor,
        low_resolution_factor=config.low_resolution_factor,
    )
    pairs = conditions.pairs(setup)
    split = open_data(config, conditions.need_classes, tokenizer.content, pairs)
    loader = training_loader(config, split, compute)
    loader.check_workers(encoded_together(setup.height_px, setup.width_px))
    return split, loader, setup


def check_orders(config: PriorRunConfig) -> None:
    """Refuse random orders of a prior that cannot tell which code it predicts.

    Raises:
        InputError: it is of another kind, or without the places of the targets.
    """
    prior = config.prior
    knows_targets = isinstance(prior, GPTConfig) and prior.target_positions
    if config.random_orders.none_from > 0 and not knows_targets:
        raise InputError(
            f"random-orders.none-from is {config.random_orders.none_from}, but the prior is "
            f"{prior.kind}; random orders need prior.kind gpt with prior.target-positions true"
        )


def _open_tokenizer(config: PriorRunConfig, copy: Path, initial: Pipeline | None) -> Tokenizer:
    """Load the tokenizer of the run: its copy, even if the original was trained further."""
    if copy.is_dir():
        own = load_tokenizer(copy)
        begun = begun_config(config)
        was = None if begun is None else begun.vqgan
        if config.vqgan is not None and was != config.vqgan:
            other = load_tokenizer(config.vqgan)
            check_same_model(config, "vqgan", was, config.vqgan, own, other)
        return own
    if initial is not None:
        return initial.tokenizer
    assert config.vqgan is not None
    return load_tokenizer(config.vqgan)


def _open_conditions(
    config: PriorRunConfig, of_images: Tokenizer, initial: Pipeline | None
) -> RunConditions:
    """The conditions of the prior that the run begins with, or those that `condition` names."""
    if initial is not None:
        kinds = [conditioner.kind for conditioner in initial.config.conditioners]
        return RunConditions(kinds, initial.condition_tokenizers, initial.config.conditioners)
    folder = Path(config.out)
    conditions = open_conditions(config.condition, folder, of_images)
    begun = begun_config(config)
    was = () if begun is None else begun.condition
    for spec in config.condition:
        kind = spec.partition("=")[0]
        if spec not in was and condition_folder(folder, kind).is_dir():
            copy, named = conditions.tokenizers[kind], open_tokenizer(spec, of_images)
            check_same_model(config, "condition", was, config.condition, copy, named)
    return conditions


def prior_model_config(
    config: PriorRunConfig, tokenizer: Tokenizer, conditioners: tuple[ConditionConfig, ...]
) -> PriorModelConfig:
    """Make the config of the prior of a run from its settled config.

    Raises:
        InputError: the image size does not divide by the tokenizer's factor, the ordering is
            unknown or not defined on the grid, or the prior does not fit conditions or grid.
    """
    check_divides(config, tokenizer.downsampling_factor)
    height = config.image.height_px // tokenizer.downsampling_factor
    width = config.image.width_px // tokenizer.downsampling_factor
    build_ordering(config.ordering, height, width, config.ordering_seed)
    assert config.condition_drop is not None
    conditioning = conditioning_of(conditioners)
    try:
        return PriorModelConfig(
            prior=config.prior,
            vocab_size=tokenizer.codebook_size + conditioning.vocab_size,
            max_length=conditioning.length + height * width - 1,  # the last token is not read
            codebook_size=tokenizer.codebook_size,
            conditioners=conditioners,
            condition_drop=config.condition_drop if config.condition else 0.0,
            ordering=config.ordering,
            ordering_seed=config.ordering_seed,
            grid_height=height,
            grid_width=width,
        )
    except ValidationError as error:
        raise InputError(describe(error)) from error


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
    config: PriorRunConfig, initial: Pipeline, conditioners: tuple[ConditionConfig, ...]
) -> PriorModelConfig:
    """Make the config of the prior in a run that begins with another prior.

    Its conditions may have other names of classes than those of that prior.

    Raises:
        InputError: conditions are to be dropped, and the vocabulary has no token for that.
    """
    changed = {
        "prior": config.prior,
        "conditioners": conditioners,
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
    default = PriorRunConfig.model_fields["prior"].default.kind
    _check_same(config, "prior.kind", shape.kind, default, of_model.kind)
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
