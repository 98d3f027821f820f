"""`smalti inspect RUN` and `smalti inspect MODEL`."""

from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError
from torch import nn

from smalti.model_folder import CONFIG_FILE, find_model, read_description, step_folders
from smalti.prior.gpt import GPT
from smalti.runs import CONFIG_FILE as RUN_CONFIG_FILE
from smalti.runs import PriorRunConfig, VQGANRunConfig, read_run_config
from smalti.sampling.pipeline import Pipeline
from smalti.tokenizer.pixels import PixelTokenizer
from smalti.tokenizer.vqgan import VQGAN
from smalti.training.checkpoint import read_counters
from smalti.training.log import read_metrics
from smalti.training.memory import saved_bytes
from smalti.types import InputError, describe

MIB = 2**20


def is_model(path: Path) -> bool:
    """Whether a folder is a run or a model (and not a data set)."""
    return (path / CONFIG_FILE).is_file() or read_run_config(path) is not None


def describe_model(path: Path) -> None:
    """Print what a model is, and of a run also how far it is."""
    stored = read_run_config(path)
    if stored is not None and stored.get("stage") != "pixels":  # that has no steps
        _describe_run(path)
    folder = find_model(path)
    print(f"model: {folder}")
    kind = read_description(folder)["kind"]
    batch_size, size = _training_shape(path, stored)
    if kind == "vqgan":
        _describe_vqgan(VQGAN.from_pretrained(folder), batch_size, size)
    elif kind == "pixels":
        tokenizer = PixelTokenizer.from_pretrained(folder)
        print(f"{'kind:':14}palette of {tokenizer.codebook_size} colours, f = 1")
    elif kind == "prior":
        _describe_prior(Pipeline.from_pretrained(path), batch_size)
    else:
        raise InputError(f"{folder} holds a {kind!r}; known are vqgan, pixels and prior")


def _describe_run(path: Path) -> None:
    checkpoints = path / "checkpoints"
    folders = step_folders(checkpoints)
    if not folders:
        raise InputError(f"{path} has no checkpoint yet")
    counters = read_counters(folders[-1])
    stored = read_run_config(path) or {}
    total = stored.get("training", {}).get("total_steps", "?")
    print(f"run of stage {stored.get('stage')}: step {counters.step} of {total}")
    print(f"{'time:':14}{counters.seconds / 60:.1f} minutes of training")
    if counters.best_step >= 0:
        print(f"{'best:':14}step {counters.best_step}, score {counters.best_score:.4g}")
    evaluations = [line for line in read_metrics(path) if line["group"] == "eval"]
    if evaluations:
        last = {k: v for k, v in evaluations[-1].items() if k not in ("step", "group")}
        shown = "  ".join(f"{name} {value:.4g}" for name, value in last.items())
        print(f"{'held-out:':14}{shown}")


def _training_shape(path: Path, stored: dict[str, Any] | None) -> tuple[int, tuple[int, int]]:
    """Batch size and image size (height, width) of a run, or one image of 256x256."""
    if stored is None:
        return 1, (256, 256)
    if stored.get("stage") == "pixels":
        return 1, (256, 256)
    root = VQGANRunConfig if stored.get("stage") == "vqgan" else PriorRunConfig
    try:
        config = root.model_validate(stored)
    except ValidationError as error:
        raise InputError(f"{path / RUN_CONFIG_FILE}: {describe(error)}") from error
    return config.training.batch_size, (config.image.height_px, config.image.width_px)


def _describe_vqgan(vqgan: VQGAN, batch_size: int, size: tuple[int, int]) -> None:
    height, width = size
    f = vqgan.downsampling_factor
    print(f"{'kind:':14}VQGAN, f = {f}, K = {vqgan.codebook_size}")
    print(f"{'content:':14}{vqgan.content.kind}, {vqgan.content.channels} channels")
    for name in ("encoder", "quantizer", "decoder"):
        print(f"{name + ':':14}{_count(getattr(vqgan, name)):,} parameters")
    print(f"{'codes:':14}{height // f}x{width // f} of an image of {height}x{width} pixels")
    activations = saved_bytes(
        lambda: VQGAN(vqgan.config), lambda: vqgan.content.blank(batch_size, height, width)
    )
    _describe_memory(vqgan, activations, batch_size)


def _describe_prior(pipeline: Pipeline, batch_size: int) -> None:
    layout, gpt = pipeline.layout, pipeline.prior
    height, width = pipeline.size
    print(f"{'kind:':14}prior (GPT) over {layout.codebook_size} codes")
    print(
        f"{'size:':14}{gpt.config.layers} layers, {gpt.config.heads} heads, {gpt.config.width} wide"
    )
    print(f"{'parameters:':14}{_count(gpt):,}, and {_count_tokenizer(pipeline):,} of the tokenizer")
    print(f"{'sequence:':14}{layout.cond_length} + {layout.image_length} tokens")
    print(f"{'images:':14}{height}x{width} pixels")
    conditioner = pipeline.config.conditioner
    if conditioner.kind == "class":
        print(f"{'classes:':14}{', '.join(conditioner.class_names[:20])}")
    activations = saved_bytes(
        lambda: GPT(gpt.config),
        lambda: torch.zeros(batch_size, layout.input_length, dtype=torch.int64),
    )
    _describe_memory(gpt, activations, batch_size)


def _count_tokenizer(pipeline: Pipeline) -> int:
    assert isinstance(pipeline.tokenizer, nn.Module)
    return _count(pipeline.tokenizer)


def _describe_memory(module: nn.Module, activations: int, batch_size: int) -> None:
    weights = 4 * _count(module)
    print(f"{'memory:':14}{weights / MIB:.0f} MiB of weights to run it")
    # Training holds weights, gradients, their average, and Adam's two moments.
    training = 5 * weights + activations
    print(
        f"{'':14}about {training / MIB:.0f} MiB to train it in float32 with {batch_size} images "
        "a step; less in bfloat16, more for a discriminator and a perceptual network"
    )


def _count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())
