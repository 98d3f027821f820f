"""Stage 2, from a config to a finished run."""

from pathlib import Path

import torch

from smalti.compute import Compute
from smalti.data.pairing import describe
from smalti.data.split import Split
from smalti.distributed import from_first, rank, together, wrap
from smalti.health.run_images import RunImages
from smalti.prior import GPT, build_prior
from smalti.runs.config import PriorRunConfig
from smalti.runs.data import (
    announce,
    evaluation_loader,
    finish,
    millions,
    weights_from,
)
from smalti.runs.folder import open_run
from smalti.runs.origin import has_begun, keep_origin
from smalti.runs.prior_plan import plan_prior
from smalti.runs.settle import regularisation_in_words, settled
from smalti.runs.tokenizer_images import count_overlap, keep_tokenizer_images
from smalti.runs.training_images import write_training_images
from smalti.sampling.pipeline import TOKENIZER_FOLDER, Pipeline
from smalti.sampling.prior_model import PriorModelConfig
from smalti.tokenizer.base import TokenizerModel
from smalti.training.ema import EMA
from smalti.training.log import say
from smalti.training.loop import Trainer
from smalti.training.optim import build_optimizer
from smalti.training.prior.aligned_positions import align_positions
from smalti.training.prior.code_cache import (
    CodeBatch,
    encode_batch,
    load_or_encode,
    read_manifest,
)
from smalti.training.prior.learner import PriorLearner
from smalti.training.prior.step import PriorState, PriorStepConfig
from smalti.training.processes import processes
from smalti.types import Batch

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
        plan = plan_prior(config)
        folder = Path(plan.config.out)
        codes_folder = Path(plan.config.codes.folder or folder / CODES_FOLDER)
        read_manifest(codes_folder)  # refuses a folder of other files before anything is written
    config, compute, split = plan.config, plan.compute, plan.split
    tokenizer, model_config = plan.tokenizer, plan.model_config
    state = prior_state(config, model_config, compute, plan.initial)
    announce(config, compute, split)
    images = RunImages.of(split, count_overlap(split, plan.tokenizer_images))
    for line in images.overlap_in_words:
        say(f"data: {line}")
    say(regularisation_in_words(config, images))
    if split.train.pairing:
        say(f"pairs: {describe(split.train.pairing)}")
    for pair in split.train.pairs.values():
        for line in pair.remarks(split.train.transform):
            say(line)
    say(
        f"prior: {millions(state.prior)} M parameters, sequences of "
        f"{model_config.layout.input_length} tokens from {model_config.layout.vocab_size}"
    )
    with open_run(folder, config):
        first = state.prior if plan.initial is not None and not has_begun(config) else None
        from_first(lambda: keep_origin(folder, split, first))
        from_first(lambda: _keep(tokenizer, folder / TOKENIZER_FOLDER))
        pipeline = Pipeline(
            tokenizer, state.average.model, model_config, plan.conditions.tokenizers
        )
        pipeline.to(compute.device)
        from_first(lambda: pipeline.save_condition_tokenizers(folder))
        from_first(lambda: keep_tokenizer_images(folder, plan.tokenizer_images))
        from_first(lambda: write_training_images(folder, split))
        cache = load_or_encode(
            codes_folder,
            plan.loader,
            tokenizer,
            pipeline.conditioning,
            settled(config.codes.views),
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
            token_keep=settled(config.token_keep),
        )
        with together():
            evaluation = _evaluation_codes(config, split, pipeline, compute) if rank() == 0 else []
        stage = PriorLearner(state, step_config, pipeline, evaluation, config.seed)
        Trainer(
            stage,
            cache.batches,
            config.training,
            folder,
            config.seed,
            images,
            settled(config.training.early_stop),
        ).run()
        finish(folder, split)
    return folder


def _keep(tokenizer: TokenizerModel, folder: Path) -> None:
    if not folder.is_dir():
        tokenizer.save_pretrained(folder)


def prior_state(
    config: PriorRunConfig,
    model_config: PriorModelConfig,
    compute: Compute,
    initial: Pipeline | None = None,
) -> PriorState:
    """Network and optimizer of a run as it begins."""
    with weights_from(config.seed):
        prior = build_prior(model_config.prior)
        if isinstance(prior, GPT):
            align_positions(prior, model_config, torch.default_generator)
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


def _evaluation_codes(
    config: PriorRunConfig, split: Split, pipeline: Pipeline, compute: Compute
) -> list[CodeBatch]:
    """Codes of the images that scores are of, `eval_images` together at most."""
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
