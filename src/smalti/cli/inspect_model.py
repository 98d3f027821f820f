"""`smalti inspect MODEL`, and the model of a run."""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from smalti.config import InputError
from smalti.losses.discriminator import PatchDiscriminator, PatchDiscriminatorConfig
from smalti.model_folder import (
    CHECKPOINTS,
    CONFIG_FILE,
    PIPELINE_FILE,
    find_model,
    read_description,
)
from smalti.prior import build_prior
from smalti.runs.config import shape_words
from smalti.runs.folder import read_run_config
from smalti.runs.memory import saved_bytes
from smalti.sampling.pipeline import Pipeline
from smalti.tokenizer.pixels import PixelTokenizer
from smalti.tokenizer.vqgan import VQGAN

MIB = 2**20


def is_model(path: Path) -> bool:
    """Whether it is a model's folder or file, of any program, or a run that has no steps yet."""
    if path.is_file():
        return path.suffix in CHECKPOINTS
    has_model = any((path / name).is_file() for name in (CONFIG_FILE, PIPELINE_FILE))
    return has_model or read_run_config(path) is not None


@dataclass(frozen=True, slots=True)
class Training:
    """What the memory that training takes depends on, beside the model."""

    batch_size: int
    height_px: int
    width_px: int
    discriminator: PatchDiscriminatorConfig | None


ONE_IMAGE = Training(batch_size=1, height_px=256, width_px=256, discriminator=None)


def describe_model(path: Path, training: Training = ONE_IMAGE) -> None:
    """Print what the model of a folder or run is.

    Raises:
        InputError: there is none, it is damaged, or of a kind that is not known.
    """
    folder = find_model(path)
    kind = read_description(folder)["kind"]
    print(f"model: {folder}")
    if kind == "vqgan":
        _describe_vqgan(VQGAN.from_pretrained(folder), training)
    elif kind == "pixels":
        tokenizer = PixelTokenizer.from_pretrained(folder)
        print(f"{'kind:':14}palette of {tokenizer.codebook_size} colours, f = 1")
    elif kind == "prior":
        _describe_prior(Pipeline.from_pretrained(path), training)
    else:
        raise InputError(f"{folder} holds a {kind!r}; known are vqgan, pixels and prior")


def _describe_vqgan(vqgan: VQGAN, training: Training) -> None:
    height, width = training.height_px, training.width_px
    f = vqgan.downsampling_factor
    print(f"{'kind:':14}VQGAN, f = {f}, K = {vqgan.codebook_size}")
    print(f"{'content:':14}{vqgan.content.kind}, {vqgan.content.channels} channels")
    for name in ("encoder", "quantizer", "decoder"):
        print(f"{name + ':':14}{_count(getattr(vqgan, name)):,} parameters")
    print(f"{'codes:':14}{height // f}x{width // f} of an image of {height}x{width} pixels")
    activations = saved_bytes(
        lambda: VQGAN(vqgan.config),
        lambda: vqgan.content.blank(training.batch_size, height, width),
    )
    discriminator = _discriminator_bytes(training, vqgan.content.channels)
    _describe_memory(vqgan, activations + discriminator, training.batch_size)


def _describe_prior(pipeline: Pipeline, training: Training) -> None:
    layout, prior = pipeline.layout, pipeline.prior
    height, width = pipeline.size
    print(f"{'kind:':14}prior ({prior.config.kind}) over {layout.codebook_size} codes")
    print(f"{'size:':14}{shape_words(prior.config)}")
    print(
        f"{'parameters:':14}{_count(prior):,}, and {_count_tokenizer(pipeline):,} of the tokenizer"
    )
    print(f"{'sequence:':14}{layout.cond_length} + {layout.image_length} tokens")
    print(f"{'images:':14}{height}x{width} pixels")
    print(f"{'conditions:':14}{', '.join(pipeline.conditioning.kinds)}")
    for conditioner in pipeline.config.conditioners:
        if conditioner.kind == "class":
            print(f"{'classes:':14}{', '.join(conditioner.class_names[:20])}")
    activations = saved_bytes(
        lambda: build_prior(prior.config),
        lambda: torch.zeros(training.batch_size, layout.input_length, dtype=torch.int64),
    )
    _describe_memory(prior, activations, training.batch_size)


def _count_tokenizer(pipeline: Pipeline) -> int:
    assert isinstance(pipeline.tokenizer, nn.Module)
    return _count(pipeline.tokenizer)


def _discriminator_bytes(training: Training, channels: int) -> int:
    """Memory of the discriminator: weights, gradients, Adam's two moments, and what it keeps."""
    config = training.discriminator
    if config is None:
        return 0
    # Real images and reconstructions.
    shape = (2 * training.batch_size, channels, training.height_px, training.width_px)
    activations = saved_bytes(
        lambda: PatchDiscriminator(config, channels), lambda: torch.zeros(shape)
    )
    return 4 * 4 * _count(PatchDiscriminator(config, channels)) + activations


def _describe_memory(module: nn.Module, other_bytes: int, batch_size: int) -> None:
    weights = 4 * _count(module)
    print(f"{'memory:':14}{weights / MIB:.0f} MiB of weights to run it")
    # Training holds weights, gradients, their average, and Adam's two moments.
    training = 5 * weights + other_bytes
    print(
        f"{'':14}about {training / MIB:.0f} MiB to train it in float32 with {batch_size} images "
        "a step; less in bfloat16, more for a perceptual network"
    )


def _count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())
