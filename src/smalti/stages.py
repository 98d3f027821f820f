"""From a config to a finished run: what `smalti train`, the demo and scripts call."""

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from pydantic import ValidationError

from smalti.content import ContentConfig
from smalti.data.dataset import ImageDataset, Split, split_held_out
from smalti.data.loader import BatchLoader
from smalti.data.maps import check_maps, check_sizes_beside
from smalti.data.sources import open_source
from smalti.data.sources.parts import IMAGES
from smalti.data.summary import check_sizes
from smalti.distributed import from_first, rank, together, world_size, wrap
from smalti.loss_choice import fit_loss
from smalti.losses.discriminator import PatchDiscriminator
from smalti.losses.perceptual import PERCEPTUAL_LOSSES, choose_perceptual
from smalti.metrics.reconstruction import SMALLEST_SSIM_PX
from smalti.model_folder import step_folders
from smalti.prior.gpt import GPT, GPTConfig
from smalti.runs import (
    BaseRunConfig,
    PriorRunConfig,
    RunConfig,
    VQGANRunConfig,
    check_run_folder,
    open_run,
    read_run_config,
)
from smalti.sampling.pipeline import TOKENIZER_FOLDER, Pipeline
from smalti.sampling.prior_model import PriorModelConfig
from smalti.sequence.conditioners import (
    CONDITIONERS,
    ClassLabelConfig,
    ConditionerConfig,
    UnconditionalConfig,
)
from smalti.tokenizer import load_tokenizer
from smalti.tokenizer.base import TokenizerModel
from smalti.tokenizer.vqgan import VQGAN, VQGANConfig
from smalti.training.adversary import Adversary
from smalti.training.code_cache import CodeBatch, load_or_encode, read_manifest
from smalti.training.curves import draw_curves
from smalti.training.ema import EMA
from smalti.training.log import say
from smalti.training.loop import Trainer
from smalti.training.optim import build_optimizer
from smalti.training.precision import Compute, choose_compute
from smalti.training.prior_stage import PriorStage
from smalti.training.prior_step import PriorState, PriorStepConfig
from smalti.training.processes import processes
from smalti.training.vqgan_stage import VQGANStage
from smalti.training.vqgan_step import VQGANState, VQGANStepConfig
from smalti.types import InputError

CODES_FOLDER = "codes"


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
        loader = _training_loader(config, split, compute)
        check_size(config)
        state = _vqgan_state(config, compute)
    _wrap_networks(state)
    _announce(config, compute, split)
    say(
        f"tokenizer: {_millions(state.vqgan)} M parameters, f = {state.vqgan.downsampling_factor}, "
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
    stage = VQGANStage(
        state,
        step_config,
        _evaluation_loader(config, split).evaluation_batches,
        config.training.eval_images,
        config.training.auto_remedy,
    )
    with open_run(folder, config):
        Trainer(stage, loader.batches, config.training, folder, config.seed).run()
        from_first(lambda: draw_curves(folder))
    return folder


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
        loader = _training_loader(config, split, compute)
        model_config = prior_model_config(config, tokenizer, split.train.class_names)
        codes_folder = Path(config.codes.folder or folder / CODES_FOLDER)
        read_manifest(codes_folder)  # refuses a folder of other files before anything is written
    state = _prior_state(config, model_config, compute)
    _announce(config, compute, split)
    say(
        f"prior: {_millions(state.prior)} M parameters, sequences of "
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
        from_first(lambda: draw_curves(folder))
    return folder


def _keep(tokenizer: TokenizerModel, folder: Path) -> None:
    if not folder.is_dir():
        tokenizer.save_pretrained(folder)


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
        perceptual = perceptual.resolve()
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
        shape = VQGAN.from_pretrained(init).config
    for name, default in VQGANConfig():
        asked, given = getattr(config.vqgan, name), getattr(shape, name)
        if asked not in (default, given):
            raise InputError(
                f"vqgan.{name} is {asked}, but the model of --init {init} has {given}; leave "
                "vqgan's options out, they come from the model"
            )
    return shape


def open_data(config: BaseRunConfig, classes: bool, content: ContentConfig) -> Split:
    """The images of a run, divided into training and held-out.

    Raises:
        InputError: a source does not exist or is empty, or has not what is wanted: classes, or
            maps; or a map has another size than the image beside it.
    """
    sources = [open_source(spec, classes, content.part) for spec in config.data]
    for spec, source in zip(config.data, sources, strict=True):
        if content.part != IMAGES and IMAGES in source.parts:
            check_sizes_beside(source, open_source(spec, classes=False))
    dataset = ImageDataset(sources, config.image, config.seed, config.data_weights, content)
    return split_held_out(dataset, config.held_out)


def prior_model_config(
    config: PriorRunConfig, tokenizer: TokenizerModel, class_names: Sequence[str] | None
) -> PriorModelConfig:
    """What the prior of a run must know of itself.

    Raises:
        InputError: the image size does not divide by the tokenizer's factor, or the data has no
            classes and they are wanted.
    """
    conditioner: ConditionerConfig = UnconditionalConfig()
    if config.condition == "class":
        if not class_names:
            raise InputError("condition is class, but the data has no classes")
        conditioner = ClassLabelConfig(class_names=tuple(class_names))
    _check_divides(config, tokenizer.downsampling_factor)
    height = config.image.height_px // tokenizer.downsampling_factor
    width = config.image.width_px // tokenizer.downsampling_factor
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
        grid_height=height,
        grid_width=width,
    )


@contextlib.contextmanager
def _weights_from(seed: int) -> Iterator[None]:
    """New weights follow from the seed; other randomness goes on as if none had been drawn."""
    # They are drawn on the CPU: no graphics card is touched, and all devices start alike.
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        yield


def _vqgan_state(config: VQGANRunConfig, compute: Compute) -> VQGANState:
    with _weights_from(config.seed):
        vqgan = VQGAN(config.vqgan)
        if config.init is not None and not step_folders(Path(config.out) / "checkpoints"):
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


def _prior_state(
    config: PriorRunConfig, model_config: PriorModelConfig, compute: Compute
) -> PriorState:
    with _weights_from(config.seed):
        prior = GPT(model_config.gpt).to(compute.device)
    return PriorState(
        prior=prior,
        forward=wrap(prior),
        average=EMA(prior, config.training.ema_decay),
        optimizer=build_optimizer(prior, config.optimizer),
        compute=compute,
    )


def _training_loader(config: RunConfig, split: Split, compute: Compute) -> BatchLoader:
    """The loader, after looking for bad images: they must show before anything is written."""
    training = config.training
    loader = BatchLoader(
        split.train,
        training.batch_size,
        config.seed,
        training.workers,
        training.accumulation_steps,
        pin_memory=compute.device.type == "cuda",
    )
    if rank() == 0:
        _look_for_bad_images(config, split)
    return loader


def _look_for_bad_images(config: RunConfig, split: Split) -> None:
    for part in (split.train, split.held_out):
        if part is not None:
            check_sizes(part)
            check_maps(part)
    trial = BatchLoader(split.train, config.training.batch_size, config.seed, workers=0)
    next(trial.batches(0))
    if next(_evaluation_loader(config, split).evaluation_batches(), None) is None:
        raise InputError("all held-out images are broken; change --held_out")


def _evaluation_loader(config: RunConfig, split: Split) -> BatchLoader:
    dataset = split.held_out if split.held_out is not None else split.train
    # As large as what a process trains on at a time, so that it fits.
    return BatchLoader(dataset, config.training.batch_size // world_size(), config.seed, workers=0)


def _held_out_codes(
    config: PriorRunConfig, split: Split, tokenizer: TokenizerModel, compute: Compute
) -> list[CodeBatch]:
    """Codes of the held-out images, `eval_images` together at most."""
    batches: list[CodeBatch] = []
    left = config.training.eval_images
    for batch in _evaluation_loader(config, split).evaluation_batches():
        codes = tokenizer.encode(batch.images[:left].to(compute.device)).cpu()
        labels = None if batch.labels is None else batch.labels[:left]
        batches.append(CodeBatch(batch.keys[:left], codes, labels))
        left -= len(codes)
        if left <= 0:
            break
    return batches


def check_size(config: VQGANRunConfig) -> None:
    """Refuse image sizes that a network of the run cannot take, before anything is written.

    Raises:
        InputError: a side does not divide by f, is too small for the discriminator, the perceptual
            loss or the evaluation, or gives too few vectors for the codebook's start.
    """
    factor = config.vqgan.downsampling_factor
    _check_divides(config, factor)
    codes = (config.image.height_px // factor) * (config.image.width_px // factor)
    config.vqgan.quantizer.check_first_batch(
        config.vqgan.codebook_size, config.training.batch_size * codes
    )
    config.loss.adversary.check(config.training.total_steps)
    if config.loss.adversary.is_played:
        discriminator = f"a discriminator of {config.discriminator.layers} layers"
        needed = config.discriminator.smallest_px
        _check_smallest(config, needed, discriminator, "lower discriminator.layers")
    kind = config.loss.perceptual.resolve().kind
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


def _check_divides(config: RunConfig, factor: int) -> None:
    height, width = config.image.height_px, config.image.width_px
    if height % factor or width % factor:
        raise InputError(
            f"image.size {height}x{width} does not divide into codes: both sides must be multiples "
            f"of {factor}"
        )


def _announce(config: RunConfig, compute: Compute, split: Split) -> None:
    held_out = (
        f"{len(split.held_out)} held out"
        if split.held_out is not None
        else "too few to hold any out: evaluating on the centres of the training images"
    )
    several = f"   processes: {world_size()}" if world_size() > 1 else ""
    say(f"run: {config.out}   device: {compute}{several}")
    say(
        f"data: {len(split.train)} images, {held_out}; crops of "
        f"{config.image.height_px}x{config.image.width_px}"
    )


def _describe_adversary(state: VQGANState) -> str:
    if state.adversary is None:
        return "no adversary"
    return f"discriminator: {_millions(state.adversary.discriminator)} M"


def _millions(module: torch.nn.Module) -> str:
    return f"{sum(parameter.numel() for parameter in module.parameters()) / 1e6:.2f}"
