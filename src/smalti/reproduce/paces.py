"""Cost of training steps of priors that are compared: operations, and seconds in one process."""

from collections.abc import Mapping

from smalti.compute import choose_compute
from smalti.prior.base import GridSizes
from smalti.prior.build import build_prior
from smalti.reproduce.experiment import Experiment, PlannedRun
from smalti.reproduce.speed import seconds_in_turn
from smalti.runs.config import PixelsRunConfig, PriorRunConfig, VQGANRunConfig
from smalti.runs.cost import prior_cost
from smalti.runs.dry_run import prior_trial
from smalti.runs.prior_plan import plan_prior
from smalti.sequence.layout import Layout

ROUNDS = 15


def sizes_of(experiment: Experiment, run: PlannedRun) -> GridSizes:
    """Sizes of the sequences of a planned prior, before its tokenizers are trained.

    Its conditions, if it has any, must all be maps of the images' size.
    """
    image, *conditions = [experiment.config(need) for need in run.needs]
    rows, columns = _cells(experiment, run, image)
    tokens, values = 1, 1  # the start token
    if conditions:
        grids = [_cells(experiment, run, one) for one in conditions]
        tokens = sum(height * width for height, width in grids)
        values = sum(map(_codes, conditions))
    return GridSizes(
        vocab_size=_codes(image) + values,
        max_length=tokens + rows * columns - 1,
        cond_length=tokens,
        grid_height=rows,
        grid_width=columns,
    )


def _codes(tokenizer: object) -> int:
    if isinstance(tokenizer, VQGANRunConfig):
        return tokenizer.vqgan.codebook_size
    assert isinstance(tokenizer, PixelsRunConfig)
    return tokenizer.codebook_size


def _cells(experiment: Experiment, run: PlannedRun, tokenizer: object) -> tuple[int, int]:
    """Rows and columns of the codes of a tokenizer for the images of a prior."""
    image = experiment.config(run).image
    factor = tokenizer.vqgan.downsampling_factor if isinstance(tokenizer, VQGANRunConfig) else 1
    return image.height_px // factor, image.width_px // factor


def operations_of_step(experiment: Experiment, run: PlannedRun) -> int:
    """Multiplications and additions of a training step of an unconditional prior."""
    config = experiment.config(run)
    assert isinstance(config, PriorRunConfig)
    sizes = sizes_of(experiment, run)
    length = sizes.grid_height * sizes.grid_width
    layout = Layout(sizes.vocab_size - 1, 1, 1, length)
    shape = config.prior.model_copy(update={"dropout": 0.0})
    cost = prior_cost(
        lambda: build_prior(shape, sizes),
        layout,
        config.training,
        choose_compute("cpu", "float32"),
    )
    return cost.operations


def seconds_a_step(experiment: Experiment, runs: Mapping[str, PlannedRun]) -> dict[str, float]:
    """Seconds of a training step of several priors, measured in turn in one process."""
    trials = {}
    for name, run in runs.items():
        config = experiment.config(run)
        assert isinstance(config, PriorRunConfig)
        trials[name] = prior_trial(plan_prior(config))
    return seconds_in_turn(trials, ROUNDS)
