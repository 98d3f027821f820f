"""Stage 2, from a config to a finished run."""

from collections.abc import Sequence
from pathlib import Path

from smalti.data.dataset import Split
from smalti.distributed import from_first, rank, together, wrap
from smalti.prior.gpt import GPT, GPTConfig
from smalti.runs import PriorRunConfig, check_run_folder, open_run
from smalti.sampling.pipeline import TOKENIZER_FOLDER, Pipeline
from smalti.sampling.prior_model import PriorModelConfig
from smalti.sequence.conditioners import (
    CONDITIONERS,
    ClassLabelConfig,
    ConditionerConfig,
    UnconditionalConfig,
)
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
from smalti.tokenizer import load_tokenizer
from smalti.tokenizer.base import TokenizerModel
from smalti.training.code_cache import CodeBatch, load_or_encode, read_manifest
from smalti.training.ema import EMA
from smalti.training.log import say
from smalti.training.loop import Trainer
from smalti.training.optim import build_optimizer
from smalti.training.precision import Compute, choose_compute
from smalti.training.prior_stage import PriorStage
from smalti.training.prior_step import PriorState, PriorStepConfig
from smalti.training.processes import processes
from smalti.types import InputError

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
        split = open_data(config, config.condition == "class", tokenizer.content)
        loader = training_loader(config, split, compute)
        model_config = prior_model_config(config, tokenizer, split.train.class_names)
        codes_folder = Path(config.codes.folder or folder / CODES_FOLDER)
        read_manifest(codes_folder)  # refuses a folder of other files before anything is written
    state = _prior_state(config, model_config, compute)
    announce(config, compute, split)
    say(
        f"prior: {millions(state.prior)} M parameters, sequences of "
        f"{model_config.layout.input_length} tokens from {model_config.layout.vocab_size}"
    )
    with open_run(folder, config):
        from_first(lambda: _keep(tokenizer, own_tokenizer))
        cache = load_or_encode(codes_folder, loader, tokenizer, config.codes.views, compute.device)
        pipeline = Pipeline(tokenizer, state.average.model, model_config)
        step_config = PriorStepConfig(
            layout=model_config.layout,
            ordering=pipeline.ordering,
            conditioner=pipeline.conditioner,
            condition_drop=config.condition_drop if config.condition != "none" else 0.0,
            optimizer=config.optimizer,
            total_steps=config.training.total_steps,
            accumulation_steps=config.training.accumulation_steps,
        )
        with together():
            evaluation = _held_out_codes(config, split, tokenizer, compute) if rank() == 0 else []
        stage = PriorStage(state, step_config, pipeline, evaluation, config.seed)
        Trainer(stage, cache.batches, config.training, folder, config.seed).run()
        finish(folder)
    return folder


def _keep(tokenizer: TokenizerModel, folder: Path) -> None:
    if not folder.is_dir():
        tokenizer.save_pretrained(folder)


def prior_model_config(
    config: PriorRunConfig, tokenizer: TokenizerModel, class_names: Sequence[str] | None
) -> PriorModelConfig:
    """What the prior of a run must know of itself.

    Raises:
        InputError: the image size does not divide by the tokenizer's factor, the data has no
            classes and they are wanted, or the ordering is unknown or not defined on the grid.
    """
    conditioner: ConditionerConfig = UnconditionalConfig()
    if config.condition == "class":
        if not class_names:
            raise InputError("condition is class, but the data has no classes")
        conditioner = ClassLabelConfig(class_names=tuple(class_names))
    check_divides(config, tokenizer.downsampling_factor)
    height = config.image.height_px // tokenizer.downsampling_factor
    width = config.image.width_px // tokenizer.downsampling_factor
    build_ordering(config.ordering, height, width, config.ordering_seed)
    before_image = CONDITIONERS[conditioner.kind](conditioner)
    shape = config.prior
    if shape.width % shape.heads:
        raise InputError(
            f"prior.width {shape.width} is not a multiple of prior.heads {shape.heads}"
        )
    return PriorModelConfig(
        gpt=GPTConfig(
            vocab_size=tokenizer.codebook_size + before_image.vocab_size,
            max_length=before_image.length + height * width - 1,  # the last token is not read
            layers=shape.layers,
            heads=shape.heads,
            width=shape.width,
            dropout=shape.dropout,
        ),
        conditioner=conditioner,
        ordering=config.ordering,
        ordering_seed=config.ordering_seed,
        grid_height=height,
        grid_width=width,
    )


def _prior_state(
    config: PriorRunConfig, model_config: PriorModelConfig, compute: Compute
) -> PriorState:
    with weights_from(config.seed):
        prior = GPT(model_config.gpt).to(compute.device)
    return PriorState(
        prior=prior,
        forward=wrap(prior),
        average=EMA(prior, config.training.ema_decay),
        optimizer=build_optimizer(prior, config.optimizer),
        compute=compute,
    )


def _held_out_codes(
    config: PriorRunConfig, split: Split, tokenizer: TokenizerModel, compute: Compute
) -> list[CodeBatch]:
    """Codes of the held-out images, `eval_images` together at most."""
    batches: list[CodeBatch] = []
    left = config.training.eval_images
    for batch in evaluation_loader(config, split).evaluation_batches():
        codes = tokenizer.encode(batch.images[:left].to(compute.device)).cpu()
        labels = None if batch.labels is None else batch.labels[:left]
        batches.append(CodeBatch(batch.keys[:left], codes, labels))
        left -= len(codes)
        if left <= 0:
            break
    return batches
