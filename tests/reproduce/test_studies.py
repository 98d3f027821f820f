"""What holds for every study, at every scale."""

import pytest

from smalti.cli.reproduce import names
from smalti.cli.train_config import read_config
from smalti.config import InputError
from smalti.reproduce.data_sets import DATA_SETS, find_data
from smalti.reproduce.experiment import in_order
from smalti.reproduce.recipes import TOKENIZERS, tokenizer_recipe
from smalti.reproduce.studies import STUDIES
from smalti.reproduce.study import SCALES
from smalti.reproduce.training import train
from smalti.runs.config import ROOTS

EVERY = [(study, scale) for study in STUDIES for scale in SCALES]


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
@pytest.mark.parametrize(("study", "scale"), EVERY)
def test_two_steps_of_all_runs(study, scale, make_experiment):
    experiment = make_experiment(scale)
    for run in in_order(STUDIES[study]().runs(experiment, 0)):
        train(experiment, run)
        assert (experiment.path(run) / "checkpoints" / "best" / "config.json").is_file()


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
