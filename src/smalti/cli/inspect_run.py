"""`smalti inspect RUN`: describes the state of a run, its health and model, and writes its page."""

from smalti.cli.inspect_model import Training, describe_model
from smalti.health.findings import in_words
from smalti.model_folder import step_folders
from smalti.report.page import write_report
from smalti.runs.config import VQGANRunConfig
from smalti.runs.state import RunState, in_figures
from smalti.training.checkpoint import read_counters
from smalti.words import counted


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
    """The settings on which the memory of the run's steps depends."""
    config = state.config
    discriminator = None
    if isinstance(config, VQGANRunConfig) and config.loss.adversary.is_played:
        discriminator = config.discriminator
    size_px = (config.image.height_px, config.image.width_px)
    return Training(config.training, size_px, discriminator)
