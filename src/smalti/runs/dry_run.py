"""`--dry-run`: what a run of any stage would take, without training and without writing."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from smalti.compute import Compute, choose_compute
from smalti.content import ContentConfig, LabelsContent, RGBContent
from smalti.content_images import content_images
from smalti.data.loader import stack
from smalti.health.run_images import RunImages
from smalti.losses.build import choose_perceptual
from smalti.losses.discriminator import PatchDiscriminator
from smalti.prior.build import build_prior
from smalti.runs.config import PixelsRunConfig, PriorRunConfig, RunConfig, VQGANRunConfig
from smalti.runs.cost import (
    FLOAT_BYTES,
    MEASURED_STEPS,
    StepCost,
    StepTime,
    prior_cost,
    seconds_of,
    time_of_step,
    vqgan_cost,
    weight_bytes,
)
from smalti.runs.data import open_data, training_loader
from smalti.runs.folder import check_run_folder
from smalti.runs.prior import prior_state, prior_step_config
from smalti.runs.prior_data import ImageData
from smalti.runs.prior_plan import PriorPlan, plan_prior
from smalti.runs.process_memory import ProcessMemory, memory_of_processes
from smalti.runs.settle import settle_vqgan, settled
from smalti.runs.vqgan import check_size, vqgan_state
from smalti.sequence.layout import Layout
from smalti.tokenizer.kmeans import kmeans
from smalti.tokenizer.nearest import CHUNK_ELEMENTS
from smalti.tokenizer.vqgan import VQGAN
from smalti.training.compilation import check_compiler
from smalti.training.prior.code_batch import BatchEncoder, CodeBatch
from smalti.training.prior.step import prior_step
from smalti.training.vqgan.step import VQGANStepConfig, vqgan_step
from smalti.weights import count_parameters

MEASURED_ITERATIONS = 2  # of k-means
MEASURED_IMAGES = 4


@dataclass(frozen=True, slots=True)
class DryRun:
    """Time and memory that a run of stage 1 or 2 would take."""

    compute: Compute
    parameters: Mapping[str, int]
    """Number of parameters of each network, by its name."""
    codebook_size: int
    downsampling_factor: int
    layout: Layout | None
    """Layout of the prior's sequence; None in stage 1."""
    images: RunImages
    cost: StepCost
    processes: Sequence[ProcessMemory]
    """Memory of each of several processes that train a prior; empty in stage 1."""
    time: StepTime
    encoding_seconds: float | None
    """Seconds to encode all views of the training images before the first step; None in stage 1
    and where the codes lie ready."""
    config: RunConfig


@dataclass(frozen=True, slots=True)
class PaletteDryRun:
    """Time and memory that a palette would take."""

    images: int
    memory_bytes: int
    iteration_seconds: float
    reading_seconds: float
    config: PixelsRunConfig


def dry_run_vqgan(user_config: VQGANRunConfig) -> DryRun:
    """Compute what `train_vqgan` would take; it raises the same errors."""
    config = settle_vqgan(user_config)
    check_run_folder(Path(config.out), config)
    compute = choose_compute(config.training.device, config.training.precision)
    check_compiler(config.training, compute.device)
    split = open_data(config, classes=False, content=config.vqgan.content)
    training_loader(config, split, compute)
    check_size(config)

    perceptual = choose_perceptual(config.loss.perceptual)
    discriminator = config.discriminator if config.loss.adversary.is_played else None
    size = (config.image.height_px, config.image.width_px)
    cost = vqgan_cost(config.vqgan, discriminator, perceptual, size, config.training, compute)
    parameters = _tokenizer_parameters(config)
    if discriminator is not None:
        with torch.device("meta"):
            judge = PatchDiscriminator(discriminator, config.vqgan.content.channels)
        parameters["discriminator"] = count_parameters(judge)
    if config.loss.perceptual.kind != "none":
        parameters[f"perceptual loss ({perceptual.name}), which does not learn"] = count_parameters(
            perceptual
        )
    return DryRun(
        compute=compute,
        parameters=parameters,
        codebook_size=config.vqgan.codebook_size,
        downsampling_factor=config.vqgan.downsampling_factor,
        layout=None,
        images=RunImages.of(split),
        cost=cost,
        processes=(),
        time=time_of_step(lambda: _vqgan_trial(config, compute), cost, compute),
        encoding_seconds=None,
        config=config,
    )


def dry_run_prior(user_config: PriorRunConfig) -> DryRun:
    """Compute what `train_prior` would take; it raises the same errors."""
    plan = plan_prior(user_config)
    config, compute, tokenizer = plan.config, plan.compute, plan.tokenizer
    data, model_config = plan.data, plan.model_config
    with torch.device("meta"):
        prior = build_prior(model_config.prior, model_config.sizes)
    frozen: dict[str, nn.Module] = {"tokenizer, which does not learn": tokenizer}
    for kind, network in plan.conditions.tokenizers.items():
        if network is not tokenizer:
            frozen[f"tokenizer of {kind}, which does not learn"] = network
    cost = prior_cost(
        lambda: build_prior(model_config.prior, model_config.sizes),
        model_config.layout,
        config.training,
        compute,
        sum(map(weight_bytes, frozen.values())),
    )
    return DryRun(
        compute=compute,
        parameters={
            name: count_parameters(net) for name, net in {"prior": prior, **frozen}.items()
        },
        codebook_size=tokenizer.codebook_size,
        downsampling_factor=tokenizer.downsampling_factor,
        layout=model_config.layout,
        images=data.images,
        cost=cost,
        processes=memory_of_processes(prior, cost, config.training, compute),
        time=time_of_step(lambda: prior_trial(plan), cost, compute),
        encoding_seconds=_encoding_seconds(plan, data) if isinstance(data, ImageData) else None,
        config=config,
    )


def dry_run_pixels(config: PixelsRunConfig) -> PaletteDryRun:
    """Compute what `train_pixels` would take; it raises the same errors."""
    check_run_folder(Path(config.out), config)
    split = open_data(config, classes=False, content=RGBContent())
    images = split.train
    height, width = config.image.height_px, config.image.width_px
    looked_at = min(len(images), config.pixels)
    pixels = min(config.pixels, looked_at * height * width)

    started = time.perf_counter()
    for index in range(min(MEASURED_IMAGES, len(images))):
        images.sample(index, 0)
    reading = (time.perf_counter() - started) / min(MEASURED_IMAGES, len(images))
    generator = torch.Generator().manual_seed(config.seed)
    vectors = torch.rand(pixels, 3, generator=generator)
    started = time.perf_counter()
    kmeans(vectors, min(config.codebook_size, pixels), MEASURED_ITERATIONS, generator)
    return PaletteDryRun(
        images=len(images),
        # The pixels, and distances to the colours of some at a time.
        memory_bytes=FLOAT_BYTES
        * (3 * pixels + min(CHUNK_ELEMENTS, pixels * config.codebook_size)),
        iteration_seconds=(time.perf_counter() - started) / MEASURED_ITERATIONS,
        reading_seconds=reading * looked_at,
        config=config,
    )


def _tokenizer_parameters(config: VQGANRunConfig) -> dict[str, int]:
    with torch.device("meta"):
        vqgan = VQGAN(config.vqgan)
    rest = count_parameters(vqgan) - sum(map(count_parameters, (vqgan.encoder, vqgan.decoder)))
    return {
        "encoder": count_parameters(vqgan.encoder),
        "decoder": count_parameters(vqgan.decoder),
        "codebook, and to and from it": rest,
    }


def _vqgan_trial(config: VQGANRunConfig, compute: Compute) -> Callable[[], object]:
    """Prepare a step on random images in which the generator loss has its full weight."""
    now = {"start": 0, "warmup": 0, "ramp": 0}
    adversary = config.loss.adversary.model_copy(update=now)
    loss = config.loss.model_copy(update={"adversary": adversary})
    trial = config.model_copy(update={"loss": loss, "init": None})
    state = vqgan_state(trial, compute)
    step_config = VQGANStepConfig(loss, config.training.accumulation_steps)
    size = (config.image.height_px, config.image.width_px)
    blank = content_images(config.vqgan.content).blank(config.training.batch_size, *size)
    images = _random_images(config.vqgan.content, blank, config.seed).to(compute.device)
    return lambda: vqgan_step(state, images, step_config)


def _random_images(content: ContentConfig, blank: Tensor, seed: int) -> Tensor:
    """Make random images of a content, of the shape and dtype of blank images."""
    generator = torch.Generator().manual_seed(seed)
    if isinstance(content, LabelsContent):
        return torch.randint(content.classes, blank.shape, generator=generator)
    return 2 * torch.rand(blank.shape, generator=generator) - 1


def prior_trial(plan: PriorPlan) -> Callable[[], object]:
    """Prepare a step on random codes."""
    config, model_config = plan.config, plan.model_config
    state = prior_state(config, model_config, plan.compute)
    conditioning = model_config.build_conditioning()
    step_config = prior_step_config(config, model_config, conditioning)
    generator = torch.Generator().manual_seed(config.seed)
    count = config.training.batch_size
    shape = (count, model_config.grid_height, model_config.grid_width)
    batch = CodeBatch(
        keys=[""] * count,
        codes=torch.randint(model_config.codebook_size, shape, generator=generator),
        conditions=conditioning.blank(count),
    )
    return lambda: prior_step(state, batch, step_config)


def _encoding_seconds(plan: PriorPlan, data: ImageData) -> float:
    """Estimate the time to read and encode all views from that of a few images."""
    images, compute = data.split.train, plan.compute
    for network in plan.conditions.tokenizers.values():
        network.to(compute.device)
    conditioning = plan.model_config.build_conditioning(plan.conditions.tokenizers)
    encoder = BatchEncoder(plan.tokenizer, conditioning, compute.device)
    count = min(MEASURED_IMAGES, len(images))

    def encode() -> None:
        encoder.encode(stack([images.sample(index, 0) for index in range(count)]))

    seconds = seconds_of(encode, compute.device, MEASURED_STEPS) / count
    return seconds * settled(plan.config.codes.views) * len(images)
