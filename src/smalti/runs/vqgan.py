"""Runs stage 1, from a config to a trained tokenizer."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from smalti.compute import Compute, choose_compute
from smalti.config import InputError
from smalti.distributed import from_first, together, wrap
from smalti.health.run_images import RunImages
from smalti.losses.build import choose_perceptual
from smalti.losses.discriminator import PatchDiscriminator
from smalti.losses.perceptual import PERCEPTUAL_LOSSES
from smalti.metrics.reconstruction import SMALLEST_SSIM_PX
from smalti.runs.config import RunConfig, VQGANRunConfig
from smalti.runs.data import (
    announce,
    check_divides,
    evaluated_batches,
    finish,
    millions,
    open_data,
    training_loader,
    weights_from,
)
from smalti.runs.folder import check_run_folder, open_run
from smalti.runs.origin import has_begun, keep_origin
from smalti.runs.settle import settle_vqgan, settled
from smalti.runs.training_images import write_training_images
from smalti.tokenizer.vqgan import VQGAN
from smalti.training.activation_checkpointing import checkpoint_activations
from smalti.training.boards import check_track
from smalti.training.compilation import check_compiler, compile_blocks
from smalti.training.ema import EMA
from smalti.training.log import say
from smalti.training.loop import Trainer
from smalti.training.optim import ScheduledAdamW
from smalti.training.processes import processes
from smalti.training.vqgan.adversary import Adversary
from smalti.training.vqgan.learner import VQGANLearner
from smalti.training.vqgan.step import VQGANState, VQGANStepConfig


@processes()
def train_vqgan(config: VQGANRunConfig, after_save: Callable[[], object] | None = None) -> Path:
    """Run stage 1 to its end, from where its folder stands; returns the folder.

    `after_save` is called after each checkpoint but the last, see `Trainer`.

    Raises:
        InputError: the config, the data or the folder do not allow it; nothing was written.
    """
    with together():
        config = settle_vqgan(config)
        folder = Path(config.out)
        check_run_folder(folder, config)
        compute = choose_compute(config.training.device, config.training.precision)
        check_compiler(config.training, compute.device)
        check_track(config.training.track)
        split = open_data(config, classes=False, content=config.vqgan.content)
        loader = training_loader(config, split, compute)
        check_size(config)
        state = vqgan_state(config, compute)
    _wrap_networks(state)
    announce(config, compute, split)
    say(
        f"tokenizer: {millions(state.vqgan)} M parameters, f = {state.vqgan.downsampling_factor}, "
        f"K = {state.vqgan.codebook_size}; {_describe_adversary(state)}; "
        f"perceptual loss: {state.perceptual.name}"
    )
    learner = VQGANLearner(
        state,
        VQGANStepConfig(config.loss, config.training.accumulation_steps),
        partial(evaluated_batches, config, split),
        config.training.auto_remedy,
    )
    with open_run(folder, config):
        from_first(lambda: write_training_images(folder, split, config.init))
        first = state.vqgan if config.init and not has_begun(config) else None
        from_first(lambda: keep_origin(folder, split.train.fingerprint(), first))
        images = RunImages.of(split)
        Trainer(
            learner,
            loader.batches,
            config.training,
            folder,
            config.seed,
            images,
            after_save=after_save,
        ).run()
        finish(folder, split)
    return folder


def check_size(config: VQGANRunConfig) -> None:
    """Refuse image sizes that a network of the run cannot take, before anything is written.

    Raises:
        InputError: a side does not divide by f, is too small for the discriminator, the perceptual
            loss or the evaluation, or gives too few vectors for the codebook's start.
    """
    factor = config.vqgan.downsampling_factor
    check_divides(config, factor)
    codes = (config.image.height_px // factor) * (config.image.width_px // factor)
    config.vqgan.quantizer.check_first_batch(
        config.vqgan.codebook_size, config.training.batch_size * codes
    )
    config.loss.adversary.check(config.training.total_steps)
    if config.loss.adversary.is_played:
        discriminator = f"a discriminator of {config.discriminator.layers} layers"
        needed = config.discriminator.smallest_px
        _check_smallest(config, needed, discriminator, "lower discriminator.layers")
    kind = settled(config.loss.perceptual.kind)
    needed = PERCEPTUAL_LOSSES[kind].smallest_px
    _check_smallest(config, needed, f"the perceptual loss {kind}", "see loss.perceptual.kind")
    if config.vqgan.content.kind == "rgb":
        _check_smallest(config, SMALLEST_SSIM_PX, "SSIM in evaluation", "choose a larger one")


def _check_smallest(config: RunConfig, needed_px: int, what: str, advice: str) -> None:
    smallest_px = min(config.image.height_px, config.image.width_px)
    if smallest_px < needed_px:
        raise InputError(
            f"image.size {smallest_px} is too small for {what}, which needs {needed_px} pixels; "
            f"{advice}"
        )


def vqgan_state(config: VQGANRunConfig, compute: Compute) -> VQGANState:
    """Make networks and optimizers of a run as it begins, by its settled config."""
    with weights_from(config.seed):
        vqgan = VQGAN(config.vqgan)
        if config.init is not None and not has_begun(config):
            vqgan.load_state_dict(VQGAN.from_pretrained(config.init).state_dict())
        vqgan.to(compute.device)
        adversary = None
        if config.loss.adversary.is_played:
            discriminator = PatchDiscriminator(config.discriminator, config.vqgan.content.channels)
            adversary = Adversary(
                config.loss.adversary,
                discriminator.to(compute.device),
                config.discriminator_optimizer,
                config.training.total_steps,
            )
    state = VQGANState(
        vqgan=vqgan,
        forward=vqgan,
        perceptual=choose_perceptual(config.loss.perceptual).to(compute.device),
        average=EMA(vqgan, config.training.ema_decay),
        optimizer=ScheduledAdamW(vqgan, config.optimizer, config.training.total_steps),
        adversary=adversary,
        compute=compute,
    )
    if config.training.compile:
        compile_blocks(vqgan.blocks)
    if config.training.activation_checkpointing:
        checkpoint_activations(vqgan.blocks)
    return state


def _wrap_networks(state: VQGANState) -> None:
    state.forward = wrap(state.vqgan)
    if state.adversary is not None:
        state.adversary.judge = wrap(state.adversary.judge)


def _describe_adversary(state: VQGANState) -> str:
    if state.adversary is None:
        return "no adversary"
    return f"discriminator: {millions(state.adversary.discriminator)} M"
