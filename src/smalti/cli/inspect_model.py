"""`smalti inspect MODEL` and `smalti inspect RUN`: describe a model, and the state of a run."""

from dataclasses import dataclass
from pathlib import Path

from torch import nn

from smalti.compute import choose_compute
from smalti.config import InputError
from smalti.content import LabelsContent
from smalti.health.findings import in_words
from smalti.losses.build import choose_perceptual
from smalti.losses.config import PatchDiscriminatorConfig, PerceptualConfig
from smalti.model_folder import (
    CHECKPOINTS,
    CONFIG_FILE,
    PIPELINE_FILE,
    find_model,
    read_description,
    step_folders,
)
from smalti.prior.build import build_prior
from smalti.report.page import write_report
from smalti.runs.config import VQGANRunConfig
from smalti.runs.cost import StepCost, prior_cost, vqgan_cost, weight_bytes
from smalti.runs.state import RunState, in_figures
from smalti.runs.stored import read_run_config
from smalti.sampling.pipeline import Pipeline
from smalti.tokenizer.convolutional import ConvolutionalTokenizer
from smalti.tokenizer.maskgit import MaskGITVQGAN
from smalti.tokenizer.pixels import PixelTokenizer
from smalti.tokenizer.vqgan import VQGAN
from smalti.training.checkpoint import read_counters
from smalti.training.config import TrainingConfig
from smalti.weights import count_parameters
from smalti.words import counted, first_names

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


def describe_model(name: str | Path, training: Training = ONE_IMAGE) -> None:
    """Print what the model of a folder, of a run or of the hub is.

    Raises:
        InputError: there is no model, it is damaged, or of an unknown kind.
    """
    folder = find_model(name)
    kind = read_description(folder)["kind"]
    print(f"model: {folder}")
    if kind == "vqgan":
        _describe_vqgan(VQGAN.from_pretrained(folder), training)
    elif kind == "maskgit":
        _describe_maskgit(MaskGITVQGAN.from_pretrained(folder))
    elif kind == "pixels":
        tokenizer = PixelTokenizer.from_pretrained(folder)
        print(f"{'kind:':14}palette of {tokenizer.codebook_size} colours, f = 1")
    elif kind == "prior":
        _describe_prior(Pipeline.from_pretrained(name), training)
    else:
        raise InputError(f"{folder} holds a {kind!r}; known are vqgan, maskgit, pixels and prior")


def _describe_vqgan(vqgan: VQGAN, training: Training) -> None:
    print(f"{'kind:':14}VQGAN, f = {vqgan.downsampling_factor}, K = {vqgan.codebook_size}")
    print(f"{'content:':14}{vqgan.content.kind}, {counted(vqgan.content.channels, 'channel')}")
    if isinstance(vqgan.content, LabelsContent) and vqgan.content.class_names:
        print(f"{'classes:':14}{first_names(vqgan.content.class_names)}")
    _describe_networks(vqgan, training.size_px)
    cost = vqgan_cost(
        vqgan.config,
        training.discriminator,
        choose_perceptual(PerceptualConfig(kind="none")),
        training.size_px,
        training.config,
        choose_compute("cpu", "float32"),
    )
    _describe_memory(vqgan, cost, training.config.batch_size)


def _describe_maskgit(vqgan: MaskGITVQGAN) -> None:
    f = vqgan.downsampling_factor
    print(f"{'kind:':14}VQGAN of MaskGIT, f = {f}, K = {vqgan.codebook_size}; it is not trained")
    _describe_networks(vqgan, ONE_IMAGE.size_px)
    _describe_weights(vqgan)


def _describe_networks(tokenizer: ConvolutionalTokenizer, size_px: tuple[int, int]) -> None:
    (height, width), f = size_px, tokenizer.downsampling_factor
    for name in ("encoder", "quantizer", "decoder"):
        print(f"{name + ':':14}{count_parameters(getattr(tokenizer, name)):,} parameters")
    total = count_parameters(tokenizer)
    print(f"{'in all:':14}{total:,} parameters, with the layers to and from the quantizer")
    print(f"{'codes:':14}{height // f}x{width // f} of an image of {height}x{width} pixels")


def _describe_prior(pipeline: Pipeline, training: Training) -> None:
    layout, prior = pipeline.layout, pipeline.prior
    height, width = pipeline.size
    assert isinstance(pipeline.tokenizer, nn.Module)
    print(f"{'kind:':14}prior ({prior.config.kind}) over {layout.codebook_size} codes")
    print(f"{'size:':14}{prior.config.in_words}")
    print(
        f"{'parameters:':14}{count_parameters(prior):,}, "
        f"and {count_parameters(pipeline.tokenizer):,} of the tokenizer"
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


def _describe_memory(module: nn.Module, cost: StepCost, batch_size: int) -> None:
    _describe_weights(module)
    print(
        f"{'':14}about {cost.memory_bytes / MIB:.0f} MiB to train it in float32 with "
        f"{counted(batch_size, 'image')} a step; less in bfloat16, more for a perceptual network"
    )


def _describe_weights(module: nn.Module) -> None:
    print(f"{'memory:':14}{weight_bytes(module) / MIB:.0f} MiB of weights to run it")


def describe_run(state: RunState) -> None:
    """Print the state of a run, and write its page.

    Raises:
        InputError: its newest checkpoint or its model is damaged, or the page cannot be written.
    """
    config = state.config
    print(f"run of stage {config.stage}: step {state.step} of {config.training.total_steps}")
    print(f"{'time:':14}{state.seconds / 60:.1f} minutes of training")
    if state.images is not None:
        for line in (str(state.images), *state.images.overlap_in_words):
            print(f"{'images:':14}{line}")
    folders = step_folders(state.folder / "checkpoints")
    if folders:
        counters = read_counters(folders[-1])
        print(f"{'checkpoint:':14}step {counters.step}")
        if counters.best_step >= 0:
            score = f"{counters.best_score:.4g} of {state.scored}"
            print(f"{'best:':14}step {counters.best_step}, score {score}")
        elif state.last_evaluation():
            print(f"{'best:':14}none: no score so far is a number")
        if state.has_stopped_early(counters.without_gain):
            print(f"{'early stop:':14}{counted(counters.without_gain, 'evaluation')} without gain")
    else:
        print(f"{'checkpoint:':14}none yet")
    numbers = state.last_evaluation().items()
    if numbers:
        shown = "  ".join(f"{name} {in_figures(value)}" for name, value in numbers)
        print(f"{'scores:':14}of {state.scored}: {shown}")
    for change in state.changes:
        print(f"{'changed:':14}{change}")
    for line in in_words(state.findings):
        print(f"{'health:':14}{line}")
    if folders:
        describe_model(state.folder, _training(state))
    print(f"{'page:':14}{write_report(state)}")


def _training(state: RunState) -> Training:
    """The settings on which the memory of a run's steps depends."""
    config = state.config
    discriminator = None
    if isinstance(config, VQGANRunConfig) and config.loss.adversary.is_played:
        discriminator = config.discriminator
    size_px = (config.image.height_px, config.image.width_px)
    return Training(config.training, size_px, discriminator)
