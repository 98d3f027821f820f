"""Stage 2, from a config to a finished run."""

from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from smalti.data.dataset import Split
from smalti.distributed import from_first, rank, together, wrap
from smalti.prior import PriorConfig, build_prior
from smalti.runs import PriorRunConfig, check_run_folder, open_run
from smalti.sampling.pipeline import TOKENIZER_FOLDER, Pipeline
from smalti.sampling.prior_model import PriorModelConfig, conditioning_of
from smalti.sequence.conditioners import ConditionerConfig
from smalti.sequence.conditioning import Conditioning
from smalti.sequence.ordering import build_ordering
from smalti.stages.common import (
    announce,
    check_divides,
    evaluation_loader,
    finish,
    millions,
    open_data,
    training_loader,
    weights_from,
)
from smalti.stages.conditions import conditions_of, open_conditions
from smalti.stages.initial_prior import (
    CONDITION_DROP,
    continued_model_config,
    open_initial,
    resolve_prior,
)
from smalti.stages.over_fitting import (
    in_words,
    keep_begun_measures,
    measures_of,
    settle_measures,
)
from smalti.tokenizer import load_tokenizer
from smalti.tokenizer.base import TokenizerModel
from smalti.training.code_cache import (
    CodeBatch,
    encode_batch,
    load_or_encode,
    read_manifest,
)
from smalti.training.ema import EMA
from smalti.training.log import say
from smalti.training.loop import Trainer
from smalti.training.optim import build_optimizer
from smalti.training.precision import Compute, choose_compute
from smalti.training.prior_stage import PriorStage
from smalti.training.prior_step import PriorState, PriorStepConfig
from smalti.training.processes import processes
from smalti.types import Batch, InputError, Tokenizer, describe

CODES_FOLDER = "codes"


def train_prior(config: PriorRunConfig) -> Path:
    """Run stage 2 to its end, from where its folder stands.

    Returns:
        The run folder.

    Raises:
        InputError: the config, the data, the tokenizer or the folder do not allow it; nothing was
            written.
    """
    with processes():
        return _train_prior(config)


def _train_prior(config: PriorRunConfig) -> Path:
    with together():
        folder = Path(config.out)
        config = keep_begun_measures(config)
        initial = open_initial(config)
        config = resolve_prior(config, initial)
        check_run_folder(folder, config)
        compute = choose_compute(config.training.device, config.training.precision)
        own_tokenizer = folder / TOKENIZER_FOLDER
        tokenizer = _open_tokenizer(config, own_tokenizer, initial)
        tokenizer.to(compute.device)
        told = conditions_of(initial) or open_conditions(config, folder, tokenizer)
        split = open_data(config, told.has_classes, tokenizer.content, told.paired(config))
        loader = training_loader(config, split, compute)
        images, has_held_out = len(split.train), split.held_out is not None
        config = settle_measures(config, images, has_held_out)
        measures = measures_of(config)
        assert measures is not None
        conditioners = told.configs(config, tokenizer.downsampling_factor, split.train)
        model_config = (
            prior_model_config(config, tokenizer, conditioners)
            if initial is None
            else continued_model_config(config, initial, conditioners)
        )
        codes_folder = Path(config.codes.folder or folder / CODES_FOLDER)
        read_manifest(codes_folder)  # refuses a folder of other files before anything is written
    state = _prior_state(config, model_config, compute, initial)
    announce(config, compute, split)
    say(in_words(measures, images, has_held_out))
    say(
        f"prior: {millions(state.prior)} M parameters, sequences of "
        f"{model_config.layout.input_length} tokens from {model_config.layout.vocab_size}"
    )
    with open_run(folder, config):
        from_first(lambda: _keep(tokenizer, own_tokenizer))
        pipeline = Pipeline(tokenizer, state.average.model, model_config, told.tokenizers)
        pipeline.to(compute.device)
        from_first(lambda: pipeline.save_condition_tokenizers(folder))
        cache = load_or_encode(
            codes_folder,
            loader,
            tokenizer,
            pipeline.conditioning,
            measures.views,
            compute.device,
        )
        step_config = PriorStepConfig(
            layout=model_config.layout,
            ordering=pipeline.ordering,
            conditioning=pipeline.conditioning,
            condition_drop=model_config.condition_drop,
            optimizer=config.optimizer,
            total_steps=config.training.total_steps,
            accumulation_steps=config.training.accumulation_steps,
            token_keep=measures.token_keep,
        )
        with together():
            evaluation = _held_out_codes(config, split, pipeline, compute) if rank() == 0 else []
        stage = PriorStage(state, step_config, pipeline, evaluation, config.seed)
        Trainer(
            stage, cache.batches, config.training, folder, config.seed, measures.early_stop
        ).run()
        finish(folder)
    return folder


def _open_tokenizer(config: PriorRunConfig, own: Path, initial: Pipeline | None) -> TokenizerModel:
    """The tokenizer of the run, which keeps it, even if the one it came from was trained further.

    Raises:
        InputError: there is none, or it is damaged.
    """
    if own.is_dir():
        return load_tokenizer(own)
    if initial is not None:
        assert isinstance(initial.tokenizer, TokenizerModel)
        return initial.tokenizer
    assert config.vqgan is not None
    return load_tokenizer(config.vqgan)


def _keep(tokenizer: TokenizerModel, folder: Path) -> None:
    if not folder.is_dir():
        tokenizer.save_pretrained(folder)


def prior_model_config(
    config: PriorRunConfig, tokenizer: Tokenizer, conditioners: tuple[ConditionerConfig, ...]
) -> PriorModelConfig:
    """What the prior of a run must know of itself.

    Args:
        config: of the run, whose measures against over-fitting are settled.
        tokenizer: of the images.
        conditioners: what stands before the image.

    Raises:
        InputError: the image size does not divide by the tokenizer's factor, or the ordering is
            unknown or not defined on the grid.
    """
    check_divides(config, tokenizer.downsampling_factor)
    height = config.image.height_px // tokenizer.downsampling_factor
    width = config.image.width_px // tokenizer.downsampling_factor
    build_ordering(config.ordering, height, width, config.ordering_seed)
    assert config.prior.dropout != "auto"
    return PriorModelConfig(
        prior=_shape(config, tokenizer.codebook_size, conditioning_of(conditioners), height, width),
        codebook_size=tokenizer.codebook_size,
        conditioners=conditioners,
        condition_drop=_drop(config) if config.condition else 0.0,
        ordering=config.ordering,
        ordering_seed=config.ordering_seed,
        grid_height=height,
        grid_width=width,
    )


def _drop(config: PriorRunConfig) -> float:
    return CONDITION_DROP if config.condition_drop is None else config.condition_drop


def _shape(
    config: PriorRunConfig,
    codebook_size: int,
    conditioning: Conditioning,
    height: int,
    width: int,
) -> PriorConfig:
    """Shape of a prior over grids of `height` x `width` codes."""
    sizes = {
        **config.prior.model_dump(),
        "vocab_size": codebook_size + conditioning.vocab_size,
        "max_length": conditioning.length + height * width - 1,  # the last token is not read
    }
    if config.prior.kind == "pixelsnail":
        grid = {"cond_length": conditioning.length, "grid_height": height, "grid_width": width}
        sizes |= grid
    try:
        shape: PriorConfig = TypeAdapter(PriorConfig).validate_python(sizes)
    except ValidationError as error:
        raise InputError(f"prior: {describe(error)}") from error
    return shape


def _prior_state(
    config: PriorRunConfig,
    model_config: PriorModelConfig,
    compute: Compute,
    initial: Pipeline | None = None,
) -> PriorState:
    with weights_from(config.seed):
        prior = build_prior(model_config.prior)
    if initial is not None:
        prior.load_state_dict(initial.prior.state_dict())
    prior.to(compute.device)
    return PriorState(
        prior=prior,
        forward=wrap(prior),
        average=EMA(prior, config.training.ema_decay),
        optimizer=build_optimizer(prior, config.optimizer),
        compute=compute,
    )


def _held_out_codes(
    config: PriorRunConfig, split: Split, pipeline: Pipeline, compute: Compute
) -> list[CodeBatch]:
    """Codes of the held-out images, `eval_images` together at most."""
    batches: list[CodeBatch] = []
    left = config.training.eval_images
    for batch in evaluation_loader(config, split).evaluation_batches():
        batches.append(
            encode_batch(
                _first(batch, left), pipeline.tokenizer, pipeline.conditioning, compute.device
            )
        )
        left -= len(batch.keys)
        if left <= 0:
            break
    return batches


def _first(batch: Batch, count: int) -> Batch:
    return Batch(
        batch.keys[:count],
        batch.images[:count],
        None if batch.labels is None else batch.labels[:count],
        {kind: values[:count] for kind, values in batch.conditions.items()},
    )
