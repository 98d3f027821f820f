"""What holds for every study, at every scale."""

import re
from dataclasses import replace

import pytest

from smalti.cli.reproduce import names
from smalti.cli.train_config import read_config
from smalti.config import InputError
from smalti.reproduce.conduct import conduct
from smalti.reproduce.data_sets import DATA_SETS, find_data
from smalti.reproduce.experiment import in_order
from smalti.reproduce.factors import FACTORS
from smalti.reproduce.recipes import TOKENIZERS, tokenizer_recipe
from smalti.reproduce.samples import Sampling
from smalti.reproduce.studies import STUDIES, cifar10, context
from smalti.reproduce.studies.windows import PICTURES
from smalti.reproduce.training import train
from smalti.runs.config import ROOTS

EVERY = [(study, scale) for study in STUDIES for scale in DATA_SETS]


@pytest.mark.parametrize(("study", "scale"), EVERY)
def test_the_commands_of_all_runs_are_valid(study, scale, make_experiment):
    runs = in_order(STUDIES[study]().runs(make_experiment(scale), 0))
    assert len({run.name for run in runs}) == len(runs) > 1
    for run in runs:
        config = read_config(ROOTS[run.stage], run.words)
        assert config.out.endswith(f"{scale}/{run.name}")
        if run.stage == "prior":  # the same budget for all, and one learning rate
            assert config.training.early_stop is None
            assert config.optimizer.final_factor == 1


@pytest.mark.parametrize(("study", "scale"), EVERY)
def test_seeds_share_the_tokenizers_only(study, scale, make_experiment):
    experiment = make_experiment(scale)
    first, second = (
        {run.name for run in in_order(STUDIES[study]().runs(experiment, seed))} for seed in (0, 1)
    )
    assert first & second <= TOKENIZERS[scale].keys()
    assert len(first) == len(second)


@pytest.mark.slow
@pytest.mark.parametrize(("study", "scale"), [pair for pair in EVERY if pair[1] != "tiny"])
def test_two_steps_of_all_runs(study, scale, make_experiment):
    experiment = make_experiment(scale)
    for run in in_order(STUDIES[study]().runs(experiment, 0)):
        train(experiment, run)
        assert (experiment.path(run) / "checkpoints" / "best" / "config.json").is_file()


@pytest.fixture
def _small_measurements(monkeypatch):
    """Few and small samples of few codes, and one round of timing."""
    windows = PICTURES["tiny"]
    measured = Sampling(12, (16, 32), batch_size=12)
    shown = ((16, 32),)
    pictures = replace(windows, window_px=16, measured=measured, shown=shown)
    words = {kind: f"{prior.words} --image.size 16" for kind, prior in windows.priors.items()}
    priors = {k: replace(prior, words=words[k]) for k, prior in windows.priors.items()}
    monkeypatch.setitem(PICTURES, "tiny", replace(pictures, priors=priors, shown_stride=1))
    monkeypatch.setitem(FACTORS, "tiny", replace(FACTORS["tiny"], side_px=32, window=4))
    monkeypatch.setitem(context.COMPARED, "tiny", (12, 1, 12))
    setup, _ = cifar10.SETUPS["tiny"]
    small = replace(setup, words=f"{setup.words} --image.size 8")
    monkeypatch.setitem(cifar10.SETUPS, "tiny", (small, Sampling(12)))
    monkeypatch.setattr(cifar10, "SIDE_PX", 8)


@pytest.mark.slow
@pytest.mark.usefixtures("_small_measurements")
@pytest.mark.parametrize("name", list(STUDIES))
def test_a_study_measures_all_that_its_page_shows(name, make_experiment):
    experiment = make_experiment("tiny")
    page = conduct(name, experiment, [0]).read_text(encoding="utf-8")
    assert page.count("too few seeds") == len(STUDIES[name]().claims("tiny")) > 0
    assert "nan" not in page
    for picture in re.findall(r"!\[.*\]\((.*)\)", page):
        assert (experiment.folder / picture).is_file()
    assert not (experiment.folder / "unfinished").exists()


def test_a_study_is_named_as_its_file():
    assert names() == sorted(STUDIES)


def test_missing_data_are_named_with_their_source(tmp_path):
    with pytest.raises(InputError, match=r"imagenet500\.tar is not in .*; it is some hundred"):
        find_data("tiny", "photos", [str(tmp_path)])
    (tmp_path / "imagenet500.tar").touch()
    assert find_data("tiny", "photos", ["nowhere", str(tmp_path)]).endswith("imagenet500.tar")


def test_an_unknown_tokenizer_is_named():
    with pytest.raises(InputError, match="did you mean 'cifar10-f4'"):
        tokenizer_recipe("tiny", "cifar10-f3")


def test_every_recipe_has_data():
    for scale, recipes in TOKENIZERS.items():
        assert {recipe.data for recipe in recipes.values()} <= DATA_SETS[scale].keys()
