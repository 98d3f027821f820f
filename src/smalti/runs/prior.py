"""Runs stage 2, from a config to a trained prior."""

from collections.abc import Callable
from pathlib import Path

import torch

from smalti.compute import Compute
from smalti.conditions.conditioning import Conditioning
from smalti.distributed import from_first, is_distributed, together, world_size, wrap
from smalti.model_download import TOKENIZER_FOLDER
from smalti.prior.build import build_prior
from smalti.prior.gpt.model import GPT
from smalti.runs.config import PriorRunConfig
from smalti.runs.data import millions, weights_from
from smalti.runs.folder import open_run
from smalti.runs.origin import has_begun
from smalti.runs.prior_data import cache_folder
from smalti.runs.prior_plan import PriorPlan, plan_prior
from smalti.runs.settle import regularisation_in_words, settled
from smalti.sampling.pipeline import Pipeline
from smalti.sampling.prior_model import PriorModelConfig
from smalti.sharding import is_sharded, shard
from smalti.training.activation_checkpointing import checkpoint_activations
from smalti.training.compilation import compile_blocks
from smalti.training.ema import EMA
from smalti.training.log import say
from smalti.training.loop import Trainer
from smalti.training.optim import ScheduledAdamW
from smalti.training.prior.aligned_positions import align_positions
from smalti.training.prior.code_batch import BatchEncoder
from smalti.training.prior.code_cache import check_cache_folder
from smalti.training.prior.learner import PriorLearner
from smalti.training.prior.step import PriorState, PriorStepConfig, RandomOrders
from smalti.training.processes import processes


@processes()
def train_prior(config: PriorRunConfig, after_save: Callable[[], object] | None = None) -> Path:
    """Run stage 2 to its end, from where its folder stands; returns the folder.

    `after_save` is called after each checkpoint but the last, see `Trainer`.

    Raises:
        InputError: the config, the data, the tokenizer or the folder do not allow it; nothing was
            written.
    """
    with together():
        plan = plan_prior(config)
        config, folder = plan.config, Path(plan.config.out)
        if config.codes.data is None:  # a folder of other files is refused before all is written
            check_cache_folder(cache_folder(config))
    state = prior_state(config, plan.model_config, plan.compute, plan.initial)
    pipeline = Pipeline(
        plan.tokenizer, state.average.model, plan.model_config, plan.conditions.tokenizers
    )
    images = plan.data.images
    _announce(plan, state)
    with open_run(folder, config):
        pipeline.to(plan.compute.device)
        from_first(lambda: _keep_beginning(plan, pipeline))
        encoder = BatchEncoder(plan.tokenizer, pipeline.conditioning, plan.compute.device)
        batches, evaluation = plan.data.open_codes(config, encoder)
        step_config = prior_step_config(config, plan.model_config, pipeline.conditioning)
        Trainer(
            PriorLearner(state, step_config, pipeline, evaluation, config.seed),
            batches,
            config.training,
            folder,
            config.seed,
            images,
            settled(config.training.early_stop),
            after_save,
        ).run()
        plan.data.finish(folder)
    return folder


def _announce(plan: PriorPlan, state: PriorState) -> None:
    """Print what is trained, on what, and how."""
    layout = plan.model_config.layout
    plan.data.announce(plan.config, plan.compute)
    say(regularisation_in_words(plan.config, plan.data.images))
    say(
        f"prior: {millions(state.prior)} M parameters, sequences of {layout.input_length} tokens "
        f"from {layout.vocab_size}"
    )
    if is_sharded(state.prior):
        say(f"sharded: each of the {world_size()} processes holds a part of the prior")
    elif plan.config.training.parallel == "sharded":
        say("sharded: with one process nothing is divided")


def _keep_beginning(plan: PriorPlan, pipeline: Pipeline) -> None:
    """Write what the run begins with into its folder, unless it is there already."""
    folder = Path(plan.config.out)
    begins_with = None if plan.initial is None or has_begun(plan.config) else plan.initial.prior
    if not (folder / TOKENIZER_FOLDER).is_dir():
        plan.tokenizer.save_pretrained(folder / TOKENIZER_FOLDER)
    pipeline.save_condition_tokenizers(folder)
    plan.data.keep(folder, begins_with)


def prior_step_config(
    config: PriorRunConfig, model_config: PriorModelConfig, conditioning: Conditioning
) -> PriorStepConfig:
    """Make the config of a step from the settled config of a run."""
    orders = config.random_orders
    has_orders = orders.none_from > 0
    return PriorStepConfig(
        layout=model_config.layout,
        ordering=model_config.build_ordering(),
        conditioning=conditioning,
        condition_drop=model_config.condition_drop,
        accumulation_steps=config.training.accumulation_steps,
        token_keep=settled(config.token_keep),
        random_orders=RandomOrders(orders.all_until, orders.none_from) if has_orders else None,
    )


def prior_state(
    config: PriorRunConfig,
    model_config: PriorModelConfig,
    compute: Compute,
    initial: Pipeline | None = None,
) -> PriorState:
    """Make network and optimizer of a run as it begins."""
    with weights_from(config.seed):
        prior = build_prior(model_config.prior, model_config.sizes)
        if isinstance(prior, GPT):
            align_positions(prior, model_config, torch.default_generator)
    if initial is not None:
        prior.load_state_dict(initial.prior.state_dict())
    average = EMA(prior, config.training.ema_decay)
    if config.training.parallel == "sharded" and is_distributed():
        # From the processor's memory, so that no card ever holds the whole.
        shard(prior, compute.device)
        shard(average.model, compute.device)
    else:
        prior.to(compute.device)
        average.model.to(compute.device)
    if config.training.compile:
        compile_blocks(prior.blocks)
    if config.training.activation_checkpointing:
        checkpoint_activations(prior.blocks)
    return PriorState(
        prior=prior,
        forward=prior if is_sharded(prior) else wrap(prior),
        average=average,
        optimizer=ScheduledAdamW(prior, config.optimizer, config.training.total_steps),
        compute=compute,
    )
