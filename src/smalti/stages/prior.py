"""Stage 2, from a config to a finished run."""

from pathlib import Path

from smalti.data.dataset import Split
from smalti.distributed import from_first, rank, together, wrap
from smalti.prior.gpt import GPT, GPTConfig
from smalti.runs import PriorRunConfig, check_run_folder, open_run
from smalti.sampling.pipeline import TOKENIZER_FOLDER, Pipeline
from smalti.sampling.prior_model import PriorModelConfig, conditioning_of
from smalti.sequence.conditioners import ConditionerConfig
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
from smalti.stages.conditions import open_conditions
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
from smalti.types import Batch, InputError, Tokenizer

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
        check_run_folder(folder, config)
        compute = choose_compute(config.training.device, config.training.precision)
        own_tokenizer = folder / TOKENIZER_FOLDER
        # A run keeps its tokenizer, even if the one that it came from was trained further.
        tokenizer = load_tokenizer(own_tokenizer if own_tokenizer.is_dir() else config.vqgan)
        tokenizer.to(compute.device)
        told = open_conditions(config, folder, tokenizer)
        split = open_data(config, told.has_classes, tokenizer.content, told.paired(config))
        loader = training_loader(config, split, compute)
        conditioners = told.configs(config, tokenizer.downsampling_factor, split.train)
        model_config = prior_model_config(config, tokenizer, conditioners)
        codes_folder = Path(config.codes.folder or folder / CODES_FOLDER)
        read_manifest(codes_folder)  # refuses a folder of other files before anything is written
    state = prior_state(config, model_config, compute)
    announce(config, compute, split)
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
            config.codes.views,
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
        )
        with together():
            evaluation = _held_out_codes(config, split, pipeline, compute) if rank() == 0 else []
        stage = PriorStage(state, step_config, pipeline, evaluation, config.seed)
        Trainer(stage, cache.batches, config.training, folder, config.seed).run()
        finish(folder)
    return folder


def _keep(tokenizer: TokenizerModel, folder: Path) -> None:
    if not folder.is_dir():
        tokenizer.save_pretrained(folder)


def prior_model_config(
    config: PriorRunConfig, tokenizer: Tokenizer, conditioners: tuple[ConditionerConfig, ...]
) -> PriorModelConfig:
    """What the prior of a run must know of itself.

    Raises:
        InputError: the image size does not divide by the tokenizer's factor.
    """
    check_divides(config, tokenizer.downsampling_factor)
    height = config.image.height_px // tokenizer.downsampling_factor
    width = config.image.width_px // tokenizer.downsampling_factor
    conditioning = conditioning_of(conditioners)
    shape = config.prior
    if shape.width % shape.heads:
        raise InputError(
            f"prior.width {shape.width} is not a multiple of prior.heads {shape.heads}"
        )
    return PriorModelConfig(
        prior=GPTConfig(
            vocab_size=tokenizer.codebook_size + conditioning.vocab_size,
            max_length=conditioning.length + height * width - 1,  # the last token is not read
            layers=shape.layers,
            heads=shape.heads,
            width=shape.width,
            dropout=shape.dropout,
        ),
        codebook_size=tokenizer.codebook_size,
        conditioners=conditioners,
        condition_drop=config.condition_drop if config.condition else 0.0,
        grid_height=height,
        grid_width=width,
    )


def prior_state(
    config: PriorRunConfig, model_config: PriorModelConfig, compute: Compute
) -> PriorState:
    """Network and optimizer of a run as it begins."""
    with weights_from(config.seed):
        prior = GPT(model_config.prior).to(compute.device)
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
