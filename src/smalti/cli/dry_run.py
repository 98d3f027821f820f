"""`smalti train STAGE ... --dry-run`: prints what the run would take."""

from collections.abc import Sequence

from smalti.compute import choose_compute
from smalti.runs.config import BaseRunConfig, PixelsRunConfig, PriorRunConfig, VQGANRunConfig
from smalti.runs.cost import StepTime
from smalti.runs.dry_run import (
    DryRun,
    PaletteDryRun,
    dry_run_pixels,
    dry_run_prior,
    dry_run_vqgan,
)
from smalti.runs.process_memory import PROCESSES, ProcessMemory, fewest, fits
from smalti.words import counted

GIB = 2**30
CARDS_GIB = (24, 80)
"""Memory of the cards for which the fewest processes are told, smallest first."""


def describe_dry_run(config: BaseRunConfig) -> None:
    """Print what a run of a config would take; writes nothing.

    Raises:
        InputError: training would refuse the config, the data or the folder.
    """
    if isinstance(config, PixelsRunConfig):
        _describe_palette(dry_run_pixels(config))
    elif isinstance(config, VQGANRunConfig):
        _describe(dry_run_vqgan(config))
    else:
        assert isinstance(config, PriorRunConfig)
        _describe(dry_run_prior(config))


def _describe(found: DryRun) -> None:
    training = found.config.training
    _line("dry run", f"{found.config.out}: nothing is trained or written")
    _line("device", str(found.compute))
    for number, (name, count) in enumerate(found.parameters.items()):
        _line("" if number else "parameters", f"{name}: {count:,}")
    layout = found.layout
    _line("codes", _codes(found.config, found.codebook_size, found.downsampling_factor))
    if layout is not None:
        _line(
            "sequence",
            f"{layout.cond_length} conditioning + {layout.image_length} image tokens; the prior "
            f"reads {layout.input_length}",
        )
        _line(
            "vocabulary",
            f"{layout.vocab_size}: {found.codebook_size} codes and {layout.cond_vocab_size} values "
            "of conditioning tokens",
        )
    image = found.config.image
    _line("images", f"{found.images}; crops of {image.height_px}x{image.width_px}")
    epoch = found.images.training / training.batch_size
    chunks = f" in {training.accumulation_steps} chunks" if training.accumulation_steps > 1 else ""
    _line(
        "steps",
        f"{training.total_steps:,} of {counted(training.batch_size, 'image')}{chunks}; an epoch is "
        f"{epoch:,.1f} steps",
    )
    _describe_memory(found)
    _line("time", _time(found.time, found.cost.operations))
    _line("", f"{_duration(found.time.seconds * training.total_steps)} for all steps")
    if found.encoding_seconds is None:
        _line("", "not counted: evaluation, pictures, checkpoints, reading images")
        return
    assert isinstance(found.config, PriorRunConfig)
    views = f"codes.views {found.config.codes.views}"
    _line("", f"{_duration(found.encoding_seconds)} before, once, to encode the images ({views})")
    _line("", "not counted: evaluation, pictures, checkpoints")


def _describe_memory(found: DryRun) -> None:
    cost, free = found.cost, found.time.free_bytes
    here = "" if free is None else f" ({free / GIB:.1f} GiB are free)"
    _line("memory", f"about {cost.memory_bytes / GIB:.2f} GiB{here}")
    _line(
        "",
        f"{cost.state_bytes / GIB:.2f} GiB of weights, gradients, Adam's averages and the averaged "
        "weights",
    )
    _line("", f"{cost.activation_bytes / GIB:.2f} GiB of activations")
    _line("", "not counted: PyTorch itself, work space of kernels, images that wait")
    if found.processes and not fits(cost.memory_bytes, CARDS_GIB[0] * GIB):
        _describe_processes(found.processes)


def _describe_processes(found: Sequence[ProcessMemory]) -> None:
    """Print what each process holds, and how many cards a prior needs that is large for one."""
    _line("processes", "GiB of each with --training.parallel replicated, and sharded")
    for one in found:
        replicated, sharded = one.replicated_bytes / GIB, one.sharded_bytes / GIB
        _line("", f"{one.processes:>3}{replicated:>10.2f}{sharded:>10.2f}")
    for size in CARDS_GIB:
        _line("", f"cards of {size} GiB: {_cards(found, size * GIB)}")
    if found[-1].processes < PROCESSES[-1]:
        _line("", "more processes need another training.batch-size or training.accumulation-steps")


def _cards(found: Sequence[ProcessMemory], card_bytes: int) -> str:
    """How many cards of a size a prior needs, in words."""
    needed = fewest(found, card_bytes)
    if needed is None:
        return f"{counted(found[-1].processes, 'process')} are too few"
    if needed.processes == 1:
        return "one is enough"
    return f"{needed.processes} with --training.parallel sharded"


def _describe_palette(found: PaletteDryRun) -> None:
    config = found.config
    _line("dry run", f"{config.out}: nothing is trained or written")
    _line("device", str(choose_compute("cpu", "float32")))
    _line("parameters", f"palette: {3 * config.codebook_size:,}")
    _line("codes", _codes(config, config.codebook_size, 1))
    _line("images", f"{found.images:,}; crops of {config.image.height_px}x{config.image.width_px}")
    _line("steps", f"{config.iterations} iterations over {config.pixels:,} pixels at most")
    _line("memory", f"about {found.memory_bytes / GIB:.2f} GiB of pixels and distances")
    _line("time", f"{found.iteration_seconds:.3g} s an iteration, measured on random pixels")
    total = found.iteration_seconds * config.iterations + found.reading_seconds
    reading = _duration(found.reading_seconds)
    _line("", f"{_duration(total)} for all, {reading} of it to read images")


def _codes(config: BaseRunConfig, codebook_size: int, factor: int) -> str:
    height, width = config.image.height_px // factor, config.image.width_px // factor
    return f"{height}x{width} of {codebook_size} an image, f = {factor}"


def _time(time: StepTime, operations: int) -> str:
    if time.speed is None:
        return f"{time.seconds:.3g} s a step, measured on random data"
    return (
        f"at least {time.seconds:.3g} s a step, estimated: {operations:.3g} operations at the "
        f"{time.speed:.3g} a second of a matrix product here"
    )


def _duration(seconds: float) -> str:
    for unit, length in (("days", 86_400.0), ("hours", 3_600.0), ("minutes", 60.0)):
        if seconds >= 2 * length:
            return f"{seconds / length:.1f} {unit}"
    return f"{seconds:.1f} seconds"


def _line(name: str, text: str) -> None:
    print(f"{f'{name}:' if name else '':14}{text}")
