"""What a prior's run does against over-fitting: the more, the fewer images it learns from.

An option that is auto gets its value from the number of training images, once: the run's config
holds the values, and a resumed run keeps them.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar

from pydantic import ValidationError

from smalti.runs.config import PriorRunConfig
from smalti.runs.folder import read_run_config

T = TypeVar("T")

SMALL = 5_000  # training images below which a data set is small
LARGE = 50_000
# Crops and flips of all images together: a prior of default size learns fewer by heart.
ENOUGH_VIEWS = 5_000
FEWEST_VIEWS, MOST_VIEWS = 8, 128  # of each image; each is a file, and must be encoded


@dataclass(frozen=True, slots=True)
class Measures:
    """Against over-fitting."""

    dropout: float
    """Share of activations dropped."""
    token_keep: float
    """Chance of an image token to be read as it is."""
    views: int
    """Crops and flips of each image."""
    early_stop: int | None
    """Evaluations without gain that end the run; None is no such end."""


def measures_for(images: int) -> Measures:
    """What auto is.

    Args:
        images: training images, held-out ones not counted.
    """
    if images < SMALL:
        return Measures(dropout=0.2, token_keep=0.9, views=_views_for(images), early_stop=5)
    if images < LARGE:
        return Measures(dropout=0.1, token_keep=1.0, views=8, early_stop=None)
    # Short runs see each of them a few times only.
    return Measures(dropout=0.0, token_keep=1.0, views=4, early_stop=None)


def _views_for(images: int) -> int:
    """The lowest power of two that gives enough views, within bounds."""
    views = FEWEST_VIEWS
    while views < MOST_VIEWS and views * images < ENOUGH_VIEWS:
        views *= 2
    return views


def measures_of(config: PriorRunConfig) -> Measures | None:
    """What a config says, or None while any of it is auto."""
    dropout, views = config.prior.dropout, config.codes.views
    token_keep, early_stop = config.token_keep, config.training.early_stop
    if dropout == "auto" or views == "auto" or token_keep == "auto" or early_stop == "auto":
        return None
    return Measures(dropout, token_keep, views, early_stop)


def keep_begun_measures(config: PriorRunConfig) -> PriorRunConfig:
    """The same, where auto is what the run in its folder began with, if there is one."""
    try:
        begun = measures_of(PriorRunConfig.model_validate(read_run_config(Path(config.out))))
    except ValidationError:  # no run of this stage: `check_run_folder` says what is there
        begun = None
    return config if begun is None else _instead_of_auto(config, begun)


def settle_measures(config: PriorRunConfig, images: int, has_held_out: bool) -> PriorRunConfig:
    """The same with a value for each auto.

    Args:
        config: of the run.
        images: training images.
        has_held_out: whether there are others: without them, a gain says nothing.
    """
    settled = _instead_of_auto(config, measures_for(images))
    if has_held_out:
        return settled
    training = settled.training.model_copy(update={"early_stop": None})
    return settled.model_copy(update={"training": training})


def _instead_of_auto(config: PriorRunConfig, measures: Measures) -> PriorRunConfig:
    dropout = _unless_auto(config.prior.dropout, measures.dropout)
    views = _unless_auto(config.codes.views, measures.views)
    early_stop = _unless_auto(config.training.early_stop, measures.early_stop)
    return config.model_copy(
        update={
            "token_keep": _unless_auto(config.token_keep, measures.token_keep),
            "prior": config.prior.model_copy(update={"dropout": dropout}),
            "codes": config.codes.model_copy(update={"views": views}),
            "training": config.training.model_copy(update={"early_stop": early_stop}),
        }
    )


def _unless_auto(given: T | Literal["auto"], instead: T) -> T:
    return instead if given == "auto" else given


def in_words(measures: Measures, images: int, has_held_out: bool) -> str:
    """A line for people.

    Args:
        measures: of the run.
        images: training images.
        has_held_out: whether there are others.
    """
    size = "small" if images < SMALL else "middle-sized" if images < LARGE else "large"
    parts = [
        f"dropout {measures.dropout:g}",
        f"token keep {measures.token_keep:g}",
        _counted(measures.views, "view"),
    ]
    if measures.early_stop is not None:
        parts.append(f"early stop after {_counted(measures.early_stop, 'evaluation')} without gain")
    elif has_held_out:
        parts.append("no early stop")
    else:
        parts.append("no early stop, since no images are held out")
    return f"{size} data set ({_counted(images, 'image')}): {', '.join(parts)}"


def _counted(number: int, what: str) -> str:
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"
