"""Stage 1, from a config to a finished run."""

from pathlib import Path

from pydantic import ValidationError

from smalti.compute import Compute, choose_compute
from smalti.config import InputError
from smalti.distributed import from_first, together, wrap
from smalti.health.run_images import RunImages
from smalti.losses.build import choose_perceptual, resolve_perceptual
from smalti.losses.discriminator import PatchDiscriminator
from smalti.losses.perceptual import PERCEPTUAL_LOSSES
from smalti.metrics.reconstruction import SMALLEST_SSIM_PX
from smalti.runs.config import RunConfig, VQGANRunConfig
from smalti.runs.data import (
    announce,
    check_divides,
    evaluation_loader,
    finish,
    millions,
    open_data,
    training_loader,
    weights_from,
)
from smalti.runs.folder import check_run_folder, open_run, read_run_config
from smalti.runs.loss_choice import fit_loss
from smalti.runs.origin import check_same_init, has_begun, keep_origin
from smalti.runs.training_images import write_training_images
from smalti.tokenizer.config import VQGANConfig
from smalti.tokenizer.vqgan import VQGAN
from smalti.training.ema import EMA
from smalti.training.log import say
from smalti.training.loop import Trainer
from smalti.training.optim import build_optimizer
from smalti.training.processes import processes
from smalti.training.vqgan.adversary import Adversary
from smalti.training.vqgan.learner import VQGANLearner
from smalti.training.vqgan.step import VQGANState, VQGANStepConfig


def train_vqgan(config: VQGANRunConfig) -> Path:
    """Run stage 1 to its end, from where its folder stands.

    Returns:
        The run folder.

    Raises:
        InputError: the config, the data or the folder do not allow it; nothing was written.
    """
    with processes():
        return _train_vqgan(config)


def _train_vqgan(config: VQGANRunConfig) -> Path:
    with together():
        config = resolve_vqgan(config)
        folder = Path(config.out)
        check_run_folder(folder, config)
        compute = choose_compute(config.training.device, config.training.precision)
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
    step_config = VQGANStepConfig(
        loss=config.loss,
        optimizer=config.optimizer,
        discriminator_optimizer=config.discriminator_optimizer,
        total_steps=config.training.total_steps,
        accumulation_steps=config.training.accumulation_steps,
    )
    stage = VQGANLearner(
        state,
        step_config,
        evaluation_loader(config, split).evaluation_batches,
        config.training.eval_images,
        config.training.auto_remedy,
    )
    with open_run(folder, config):
        from_first(lambda: write_training_images(folder, split, config.init))
        first = state.vqgan if config.init and not has_begun(config) else None
        from_first(lambda: keep_origin(folder, split, first))
        images = RunImages.of(split)
        Trainer(stage, loader.batches, config.training, folder, config.seed, images).run()
        finish(folder, split)
    return folder


def resolve_vqgan(config: VQGANRunConfig) -> VQGANRunConfig:
    """The same with the shape of the model to begin with, and losses that fit its content.

    A run keeps those that it began with, however that model or the weights at hand may change.

    Raises:
        InputError: there is no model to begin with, it is of another shape than asked for, or a
            loss does not fit what the images are.
    """
    begun = _begun_config(Path(config.out))
    vqgan = config.vqgan if config.init is None else _initial_shape(config, config.init, begun)
    chosen = fit_loss(config.loss, vqgan.content)
    perceptual = chosen.perceptual
    if begun is None:
        perceptual = resolve_perceptual(perceptual)
    elif perceptual.kind == "auto":
        perceptual = perceptual.model_copy(update={"kind": begun.loss.perceptual.kind})
    loss = chosen.model_copy(update={"perceptual": perceptual})
    return config.model_copy(update={"loss": loss, "vqgan": vqgan})


def _begun_config(folder: Path) -> VQGANRunConfig | None:
    try:
        return VQGANRunConfig.model_validate(read_run_config(folder))
    except ValidationError:  # no run of this stage: `check_run_folder` says what is there
        return None


def _initial_shape(config: VQGANRunConfig, init: str, begun: VQGANRunConfig | None) -> VQGANConfig:
    """Shape of the model that a run begins with, unless the config asks for another one."""
    if begun is not None and begun.init == init:
        shape = begun.vqgan
    else:
        model = VQGAN.from_pretrained(init)
        shape = model.config
        if begun is not None and begun.init is not None and has_begun(config):
            check_same_init(config, begun.init, init, model)
    for name, default in VQGANConfig():
        asked, given = getattr(config.vqgan, name), getattr(shape, name)
        if asked not in (default, given):
            raise InputError(
                f"vqgan.{name} is {asked}, but the model of --init {init} has {given}; leave "
                "vqgan's options out, they come from the model"
            )
    return shape


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
    kind = resolve_perceptual(config.loss.perceptual).kind
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
    """Networks and optimizers of a resolved run as it begins."""
    with weights_from(config.seed):
        vqgan = VQGAN(config.vqgan)
        if config.init is not None and not has_begun(config):
            vqgan.load_state_dict(VQGAN.from_pretrained(config.init).state_dict())
        vqgan.to(compute.device)
        adversary = _adversary(config, compute) if config.loss.adversary.is_played else None
    return VQGANState(
        vqgan=vqgan,
        forward=vqgan,
        perceptual=choose_perceptual(config.loss.perceptual).to(compute.device),
        average=EMA(vqgan, config.training.ema_decay),
        optimizer=build_optimizer(vqgan, config.optimizer),
        adversary=adversary,
        compute=compute,
    )


def _wrap_networks(state: VQGANState) -> None:
    state.forward = wrap(state.vqgan)
    if state.adversary is not None:
        state.adversary.judge = wrap(state.adversary.judge)


def _adversary(config: VQGANRunConfig, compute: Compute) -> Adversary:
    return Adversary.build(
        config.loss.adversary,
        PatchDiscriminator(config.discriminator, config.vqgan.content.channels).to(compute.device),
        config.discriminator_optimizer,
        config.training.total_steps,
    )


def _describe_adversary(state: VQGANState) -> str:
    if state.adversary is None:
        return "no adversary"
    return f"discriminator: {millions(state.adversary.discriminator)} M"
