"""A toy study, in the form in which every study is added."""

import json

import pytest

from smalti import __version__
from smalti.config import InputError
from smalti.files import write_json
from smalti.plain_data import read_json
from smalti.reproduce import training
from smalti.reproduce.conduct import conduct
from smalti.reproduce.experiment import PriorSetup
from smalti.reproduce.folder import SAME_NUMBERS, check_study_folder, claim_folder
from smalti.reproduce.nll import lowest_until, nll_curve
from smalti.reproduce.recipes import TINY_PRIOR
from smalti.reproduce.study import STUDIES, Plot, Row, Study, Table
from smalti.reproduce.training import check_version, train
from smalti.reproduce.verdict import Claim
from smalti.sampling.sheet import contact_sheet

SETUP = PriorSetup("cifar10", "cifar10-f1", f"{TINY_PRIOR} --image.size 8", 2)
DROPOUTS = {"none": "0", "much": "0.5"}


class Toy(Study):
    title = "Dropout"
    paper = "The paper does not compare it."
    remarks = "Two steps say nothing."

    def runs(self, experiment, seed):
        return list(self.by_dropout(experiment, seed).values())

    def by_dropout(self, experiment, seed):
        return {
            name: experiment.prior(f"toy-{name}", seed, SETUP, ["--prior.dropout", dropout])
            for name, dropout in DROPOUTS.items()
        }

    def measure(self, experiment, seed, results):
        for name, run in self.by_dropout(experiment, seed).items():
            curve = nll_curve(experiment.path(run))
            results.add_curve(name, curve)
            results.measure(name, lambda curve=curve: {"nll": lowest_until(curve, 2)})

    def tables(self, scale):
        rows = [Row(name, [f"{name}/nll"], ["4.7"]) for name in DROPOUTS]
        return [Table("NLL", ["nats a token"], rows)]

    def claims(self, scale):
        return [Claim("none is better", "none/nll", "much/nll", 0.1)]

    def plots(self, scale):
        points = {name: (f"{name}/nll", f"{name}/nll") for name in DROPOUTS}
        return [
            Plot("nll", "steps", "NLL", {name: name for name in DROPOUTS}),
            Plot("points", "NLL", "NLL", points=points, is_log=True),
        ]

    def draw(self, experiment, seed, folder):
        from PIL import Image

        folder.mkdir(parents=True, exist_ok=True)
        contact_sheet([Image.new("RGB", (4, 4))]).save(folder / "sheet.png")


@pytest.fixture(autouse=True)
def _toy(monkeypatch):
    monkeypatch.setitem(STUDIES._classes, "toy", Toy)


def test_a_study_trains_measures_and_judges(make_experiment, monkeypatch, tmp_path):
    experiment = make_experiment()
    page = conduct("toy", experiment, [0])
    first = page.read_text(encoding="utf-8")
    assert str(tmp_path) not in first
    assert "| none | 4.7 | 2." in first
    assert "too few seeds" in first
    assert "--data DATA/cifar10-train.parquet --out RUNS/tiny/toy-none-seed0" in first

    # More seeds grow the page; what is there is neither trained nor measured again.
    monkeypatch.setattr(Toy, "remarks", "")
    (experiment.folder / "notes.md").write_text("Our words.\n", encoding="utf-8")
    trained = []
    for stage, call in dict(training.TRAIN).items():
        monkeypatch.setitem(
            training.TRAIN,
            stage,
            lambda config, call=call: (trained.append(config.out), call(config)),
        )
    conduct("toy", experiment, [0, 1])
    assert [path.rpartition("/")[2] for path in trained] == ["toy-none-seed1", "toy-much-seed1"]
    grown = page.read_text(encoding="utf-8")
    assert "± " in grown
    assert "Our words." in grown
    assert "pictures/seed-0/sheet.png" in grown
    assert "smalti train prior --preset prior-unconditional-tiny" in grown
    assert (experiment.folder / "nll.png").is_file()
    figures = json.loads((experiment.folder / "figures.json").read_text(encoding="utf-8"))
    assert figures["seeds"].keys() == {"0", "1"}
    assert figures["verdicts"][0]["margins"].keys() == {"0", "1"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"study": "orderings"}, "belongs to the study orderings, not toy"),
        ({"scale": "small"}, "belongs to the scale small, not tiny"),
        ({"budget": 3.0}, r"belongs to the budget 3\.0, not 1\.0"),
        ({"version": "0.0"}, r"belongs to the version 0\.0, not"),
    ],
)
def test_a_folder_of_something_else_is_refused(make_experiment, change, message):
    experiment = make_experiment()
    experiment.folder.mkdir()
    own = {"study": "toy", "scale": "tiny", "budget": 1.0, "version": __version__}
    write_json(experiment.folder / "study.json", own | change)
    with pytest.raises(InputError, match=message):
        conduct("toy", experiment, [0])
    assert not experiment.runs_folder.exists()


def test_a_folder_of_a_version_with_the_same_numbers_is_gone_on_with(make_experiment):
    experiment = make_experiment()
    experiment.folder.mkdir()
    own = {"study": "toy", "scale": "tiny", "budget": 1.0, "version": "0.1.0"}
    write_json(experiment.folder / "study.json", own)
    check_study_folder("toy", experiment)
    claim_folder("toy", experiment)
    assert read_json((experiment.folder / "study.json").read_bytes(), "") == own
    assert __version__ in SAME_NUMBERS


def test_a_folder_with_other_files_is_refused(make_experiment):
    experiment = make_experiment()
    experiment.folder.mkdir()
    (experiment.folder / "photo.png").touch()
    with pytest.raises(InputError, match="is not empty and of no study"):
        conduct("toy", experiment, [0])


def test_an_unfinished_run_of_another_version_is_refused(make_experiment):
    experiment = make_experiment()
    run = Toy().runs(experiment, 0)[0].needs[0]
    train(experiment, run)
    environment = experiment.path(run) / "env.json"
    write_json(environment, [{"smalti": "0.0.1"}])
    train(experiment, run)  # a finished one serves
    with pytest.raises(InputError, match=r"was begun by smalti 0\.0\.1 and is not finished"):
        check_version(experiment.path(run))


def test_a_budget_counts_for_the_compared_runs_only(make_experiment):
    experiment = make_experiment(budget=3)
    prior = Toy().runs(experiment, 0)[0]
    assert prior.name == "toy-none-budget3-seed0"
    assert prior.words[prior.words.index("--training.total-steps") + 1] == "6"
    assert prior.needs == (make_experiment().tokenizer("cifar10-f1"),)
