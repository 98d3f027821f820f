"""What auto is against over-fitting, and that a run keeps and says it.

The losses and shapes of stage 1 are tried in test_content_stages.py and test_init.py.
"""

from dataclasses import astuple
from pathlib import Path

import pytest
from pydantic import ValidationError

from smalti.config import InputError
from smalti.health.run_images import RunImages
from smalti.runs.config import PriorRunConfig
from smalti.runs.folder import check_run_folder, open_run
from smalti.runs.settle import (
    Regularisation,
    regularisation_for,
    regularisation_in_words,
    settle_prior,
)
from smalti.runs.stored import read_run_config

SMALL = Regularisation(dropout=0.2, token_keep=0.9, views=32, early_stop=5)
IMAGES = RunImages(training=164, held_out=8)


def prior_config(**changes) -> PriorRunConfig:
    options = {"data": ("photos",), "vqgan": "run", "condition_drop": 0.1}
    return PriorRunConfig.model_validate(options | changes)


def given(early_stop: int | None = 3, **changes) -> PriorRunConfig:
    """A config without auto."""
    values = {
        "prior": {"dropout": 0.0},
        "codes": {"views": 3},
        "token_keep": 1,
        "training": {"early_stop": early_stop},
    }
    return prior_config(**(values | changes))


def regularisation_of(config: PriorRunConfig) -> Regularisation:
    return Regularisation(
        config.prior.dropout, config.token_keep, config.codes.views, config.training.early_stop
    )


@pytest.mark.parametrize(
    ("images", "expected"),
    [
        (1, Regularisation(0.2, 0.9, 128, 5)),
        (164, SMALL),
        (1_250, Regularisation(0.2, 0.9, 8, 5)),
        (4_999, Regularisation(0.2, 0.9, 8, 5)),
        (5_000, Regularisation(0.1, 1.0, 8, None)),
        (49_999, Regularisation(0.1, 1.0, 8, None)),
        (50_000, Regularisation(0.0, 1.0, 4, None)),
    ],
)
def test_auto_does_the_more_the_fewer_images_there_are(images, expected):
    assert regularisation_for(images) == expected


def test_every_auto_is_settled_and_the_rest_of_the_config_stays():
    config = prior_config(prior={"layers": 3}, training={"total_steps": 7})
    settled = settle_prior(config, IMAGES)
    assert regularisation_of(settled) == SMALL
    assert (settled.prior.layers, settled.training.total_steps) == (3, 7)


@pytest.mark.parametrize("early_stop", [3, None])
def test_what_was_asked_for_is_kept(early_stop):
    config = given(early_stop)
    assert settle_prior(config, IMAGES) == config


@pytest.mark.parametrize("config", [prior_config(), given(3)], ids=["auto", "asked_for"])
def test_early_stop_is_off_without_held_out_images(config):
    images = RunImages(training=12, held_out=0)
    settled = settle_prior(config, images)
    assert settled.training.early_stop is None
    assert regularisation_in_words(settled, images).endswith(
        ", no early stop, since no images are held out"
    )


@pytest.mark.parametrize(
    ("regularisation", "images", "line"),
    [
        (
            SMALL,
            164,
            "small data set (164 images): dropout 0.2, token keep 0.9, 32 views, early stop after "
            "5 evaluations without gain",
        ),
        (
            Regularisation(0.1, 1.0, 8, None),
            12_000,
            "middle-sized data set (12,000 images): dropout 0.1, token keep 1, 8 views, no early "
            "stop",
        ),
        (
            Regularisation(0.0, 1.0, 1, 1),
            50_000,
            "large data set (50,000 images): dropout 0, token keep 1, 1 view, early stop after "
            "1 evaluation without gain",
        ),
    ],
)
def test_a_line_says_size_and_regularisation(regularisation, images, line):
    dropout, token_keep, views, early_stop = astuple(regularisation)
    config = prior_config(
        prior={"dropout": dropout},
        token_keep=token_keep,
        codes={"views": views},
        training={"early_stop": early_stop},
    )
    assert regularisation_in_words(config, RunImages(images, held_out=5)) == line


@pytest.mark.parametrize(
    "wrong",
    [
        {"token_keep": 0},
        {"token_keep": 1.1},
        {"token_keep": "often"},
        {"prior": {"dropout": 1}},
        {"codes": {"views": 0}},
        {"training": {"early_stop": 0}},
    ],
)
def test_values_out_of_range_are_refused(wrong):
    with pytest.raises(ValidationError):
        prior_config(**wrong)


# Going on


@pytest.fixture
def begun(tmp_path) -> Path:
    """A run that began with 164 images."""
    config = prior_config(out=str(tmp_path / "run"))
    with open_run(tmp_path / "run", settle_prior(config, IMAGES)):
        return tmp_path / "run"


def test_values_of_auto_are_in_the_run_s_config(begun):
    stored = read_run_config(begun)
    assert stored["token_keep"] == 0.9
    assert stored["prior"]["dropout"] == 0.2
    assert stored["codes"]["views"] == 32
    assert stored["training"]["early_stop"] == 5


def test_resumed_run_keeps_what_it_began_with(begun):
    """Its data may have grown meanwhile."""
    config = prior_config(out=str(begun))
    check_run_folder(begun, config)
    assert regularisation_of(settle_prior(config, RunImages(10_000, held_out=50))) == SMALL


def test_resumed_run_may_change_its_early_stop_and_nothing_else(begun):
    config = prior_config(out=str(begun), training={"batch_size": 32, "early_stop": None})
    check_run_folder(begun, config)
    assert settle_prior(config, IMAGES).training.early_stop is None
    with pytest.raises(InputError, match=r"token-keep \(was 0.9, now 1.0\)"):
        check_run_folder(begun, prior_config(out=str(begun), token_keep=1))
