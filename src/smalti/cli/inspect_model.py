"""`smalti inspect MODEL`: describes a model, also that of a run."""

from dataclasses import dataclass
from pathlib import Path

from torch import nn

from smalti.compute import choose_compute
from smalti.config import InputError
from smalti.losses.build import choose_perceptual
from smalti.losses.config import PatchDiscriminatorConfig, PerceptualConfig
from smalti.model_folder import (
    CHECKPOINTS,
    CONFIG_FILE,
    PIPELINE_FILE,
    find_model,
    read_description,
)
from smalti.prior.build import build_prior
from smalti.runs.cost import StepCost, prior_cost, vqgan_cost, weight_bytes
from smalti.runs.stored import read_run_config
from smalti.sampling.pipeline import Pipeline
from smalti.tokenizer.pixels import PixelTokenizer
from smalti.tokenizer.vqgan import VQGAN
from smalti.training.config import TrainingConfig
from smalti.weights import count_parameters

MIB = 2**20


def is_model(path: Path) -> bool:
    """Whether `path` is a model's folder or file, of any program, or a run without steps yet."""
    if path.is_file():
        return path.suffix in CHECKPOINTS
    has_model = any((path / name).is_file() for name in (CONFIG_FILE, PIPELINE_FILE))
    return has_model or read_run_config(path) is not None


@dataclass(frozen=True, slots=True)
class Training:
    """The settings of training on which its memory depends."""

    config: TrainingConfig
    size_px: tuple[int, int]
    """Height and width of the images."""
    discriminator: PatchDiscriminatorConfig | None


ONE_IMAGE = Training(TrainingConfig(batch_size=1), size_px=(256, 256), discriminator=None)


def describe_model(path: Path, training: Training = ONE_IMAGE) -> None:
    """Print what the model of a folder or run is.

    Raises:
        InputError: there is no model, it is damaged, or of an unknown kind.
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
    height, width = training.size_px
    f = vqgan.downsampling_factor
    print(f"{'kind:':14}VQGAN, f = {f}, K = {vqgan.codebook_size}")
    print(f"{'content:':14}{vqgan.content.kind}, {vqgan.content.channels} channels")
    for name in ("encoder", "quantizer", "decoder"):
        print(f"{name + ':':14}{count_parameters(getattr(vqgan, name)):,} parameters")
    print(f"{'codes:':14}{height // f}x{width // f} of an image of {height}x{width} pixels")
    cost = vqgan_cost(
        vqgan.config,
        training.discriminator,
        choose_perceptual(PerceptualConfig(kind="none")),
        training.size_px,
        training.config,
        choose_compute("cpu", "float32"),
    )
    _describe_memory(vqgan, cost, training.config.batch_size)


def _describe_prior(pipeline: Pipeline, training: Training) -> None:
    layout, prior = pipeline.layout, pipeline.prior
    height, width = pipeline.size
    print(f"{'kind:':14}prior ({prior.config.kind}) over {layout.codebook_size} codes")
    print(f"{'size:':14}{prior.config.in_words}")
    print(
        f"{'parameters:':14}{count_parameters(prior):,}, "
        f"and {_count_tokenizer(pipeline):,} of the tokenizer"
    )
    print(f"{'sequence:':14}{layout.cond_length} + {layout.image_length} tokens")
    print(f"{'images:':14}{height}x{width} pixels")
    print(f"{'conditions:':14}{', '.join(pipeline.conditioning.kinds)}")
    for condition in pipeline.conditioning.conditions:
        for name, text in condition.details().items():
            print(f"{name + ':':14}{text}")
    compute = choose_compute("cpu", "float32")
    config = pipeline.config
    cost = prior_cost(
        lambda: build_prior(config.prior, config.sizes), layout, training.config, compute
    )
    _describe_memory(prior, cost, training.config.batch_size)


def _count_tokenizer(pipeline: Pipeline) -> int:
    assert isinstance(pipeline.tokenizer, nn.Module)
    return count_parameters(pipeline.tokenizer)


def _describe_memory(module: nn.Module, cost: StepCost, batch_size: int) -> None:
    print(f"{'memory:':14}{weight_bytes(module) / MIB:.0f} MiB of weights to run it")
    print(
        f"{'':14}about {cost.memory_bytes / MIB:.0f} MiB to train it in float32 with {batch_size} "
        "images a step; less in bfloat16, more for a perceptual network"
    )
