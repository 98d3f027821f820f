"""`smalti resume`, and runs whose tokenizer, first weights or data lie elsewhere by then."""

import shutil

import pytest
import yaml
from PIL import Image

from smalti.model_folder import step_folders
from smalti.runs.stored import read_run_config


def steps(run) -> int:
    return int(step_folders(run / "checkpoints")[-1].name.removeprefix("step_"))


@pytest.fixture
def copied(world, here):
    """The tiny runs under a new path, as if they had been moved there."""
    shutil.copytree(world.root / "runs", here / "moved")
    return here / "moved"


def rewrite(run, **changes) -> None:
    """Make a run's config say that something lay where nothing is now."""
    stored = read_run_config(run)
    (run / "config.yaml").write_text(yaml.safe_dump(stored | changes), encoding="utf-8")


def test_moved_run_goes_on_by_its_own_config(succeed, copied):
    rewrite(copied / "classes", vqgan="runs/gone")
    before = read_run_config(copied / "classes")
    out = succeed("resume", copied / "classes", "--training.total-steps", 4).out
    after = read_run_config(copied / "classes")
    assert steps(copied / "classes") == 4
    assert after["training"].pop("total_steps") == 4
    assert before["training"].pop("total_steps") == 3
    assert after == before | {"out": str(copied / "classes")}
    assert f"longer: smalti resume {copied / 'classes'} --training.total-steps 8" in out


@pytest.mark.parametrize("stage", ["vqgan", "pixels"])
def test_every_stage_is_resumed(succeed, world, copied, here, stage):
    if stage == "pixels":
        line = ["--data", world.photos, "--image.size=8", "--codebook-size=2"]
        succeed("train", "pixels", *line, "--out", copied / "pixels")
    longer = ["--training.total-steps", 4] if stage == "vqgan" else []
    out = succeed("resume", copied / stage, *longer).out
    assert f"done: {copied / stage}" in out


@pytest.mark.parametrize(
    "kind",
    [
        "gpt2 --prior.layers 1 --prior.heads 1 --prior.width 16",
        "pixelsnail --prior.blocks 1 --prior.residual-blocks 1 --prior.heads 1 --prior.width 8",
    ],
)
def test_the_command_of_a_kind_that_its_preset_does_not_have_goes_on(succeed, world, here, kind):
    tiny = [option for option in world.tiny_prior if not option.startswith("--prior")]
    command = ["train", "prior", "--preset", "prior-unconditional-tiny", "--data", world.photos]
    command += ["--vqgan", world.vqgan, *tiny, "--out", "run", "--prior.kind", *kind.split()]
    succeed(*command, "--training.total-steps", 1)
    succeed(*command, "--training.total-steps", 2)
    assert steps(here / "run") == 2


def test_a_finished_run_has_nothing_to_do_and_says_how_to_train_longer(
    succeed, copied, contents, monkeypatch
):
    run = copied / "prior"
    before = contents(run)
    monkeypatch.setattr("smalti.runs.prior.train_prior", None)  # would take seconds
    out = succeed("resume", run).out.splitlines()
    assert out == [
        f"nothing to do: {run} has done all its steps",
        f"longer: smalti resume {run} --training.total-steps 6",
    ]
    assert contents(run) == before


def test_a_run_whose_last_checkpoint_is_damaged_is_not_finished(refused, copied):
    last = step_folders(copied / "vqgan" / "checkpoints")[-1] / "model.safetensors"
    last.write_bytes(last.read_bytes()[:-1])
    refused(["resume", copied / "vqgan"], "no checkpoint in", "is whole")


def test_a_run_whose_checkpoints_were_deleted_does_not_lose_its_best_model(
    succeed, refused, copied
):
    """Before its first checkpoint a run has none to lose, and begins anew."""
    run = copied / "vqgan"
    for folder in step_folders(run / "checkpoints"):
        shutil.rmtree(folder)
    training = read_run_config(run)["training"]
    rewrite(run, training=training | {"save_steps": 1})
    refused(["resume", run], f"{run}/checkpoints has no checkpoint left", f"--init {run} --out NEW")
    rewrite(run, training=training | {"save_steps": 100})
    succeed("resume", run)


def test_fewer_steps_than_are_done_are_refused_and_change_nothing(refused, copied):
    run = copied / "vqgan"
    before = (run / "config.yaml").read_bytes()
    refused(["resume", run, "--training.total-steps", "1"], f"must be at least {steps(run)}, got 1")
    assert (run / "config.yaml").read_bytes() == before


def test_option_that_may_not_change_is_refused_with_those_that_may(refused, world):
    words = ["--prior.width cannot change", "--training.total-steps", "--optimizer.learning-rate"]
    refused(["resume", world.prior, "--prior.width", "8"], *words)
    refused(["resume", world.prior, "--config", "x.yaml"], "--config cannot change")
    refused(["resume", world.vqgan, "--vqgan.codebook_size", "8"], "--training.auto-remedy")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nowhere"], "nowhere is no run; give the folder of one"),
        (["--training.total-steps", "4"], "the run comes first: smalti resume RUN"),
        ([""], "'' is no path"),
    ],
)
def test_nothing_to_resume(refused, arguments, words):
    refused(["resume", *arguments], words)


def test_help_explains_what_may_change(succeed):
    text = succeed("resume", "--help").out
    assert "--training.total-steps [at least 1]\n        Length of the run in steps" in text
    assert "--seed" not in text


# The same command, with things at other places


def test_prior_moved_with_its_tokenizer_goes_on_with_the_new_path(succeed, world, copied):
    rewrite(copied / "prior", vqgan="runs/gone")
    line = ["train", "prior", "--data", world.photos, "--vqgan", copied / "vqgan"]
    succeed(*line, *world.tiny_prior, "--training.total-steps=4", "--out", copied / "prior")
    assert steps(copied / "prior") == 4
    assert read_run_config(copied / "prior")["vqgan"] == str(copied / "vqgan")


def test_prior_whose_tokenizer_is_gone_goes_on_with_the_old_path(succeed, world, copied):
    rewrite(copied / "prior", vqgan="runs/gone")
    line = ["train", "prior", "--data", world.photos, "--vqgan", "runs/gone"]
    succeed(*line, *world.tiny_prior, "--training.total-steps=4", "--out", copied / "prior")
    assert read_run_config(copied / "prior")["image"] == read_run_config(world.prior)["image"]


def test_other_tokenizer_is_refused(refused, succeed, world, copied):
    succeed("resume", copied / "vqgan", "--training.total-steps=4")
    shutil.rmtree(copied / "vqgan" / "checkpoints" / "best")  # the newest one counts then
    line = ["train", "prior", "--data", world.photos, "--vqgan", copied / "vqgan"]
    words = ["another config: vqgan", "which is another model", "smalti resume"]
    refused([*line, *world.tiny_prior, "--out", copied / "prior"], *words)
    refused(["resume", copied / "prior", "--vqgan", copied / "vqgan"], *words)


def test_tokenizer_of_a_condition_may_lie_elsewhere(refused, succeed, world, copied, here):
    line = ["train", "prior", "--data", world.photos, "--vqgan", world.vqgan, *world.tiny_prior]
    line += ["--image.size=16", "--low-resolution-factor=2", "--out", "run"]
    succeed(*line, "--condition", f"low_resolution={world.vqgan}")
    succeed("resume", "run", "--condition", f"low_resolution={copied / 'vqgan'}")
    assert read_run_config(here / "run")["condition"] == [f"low_resolution={copied / 'vqgan'}"]
    refused(["resume", "run", "--condition", "coordinates"], "begun with another config: condition")
    refused(["resume", "run", "--condition", "low_resolution=gone"], "gone does not exist")


@pytest.mark.slow
def test_first_weights_may_lie_elsewhere(refused, succeed, world, copied, here):
    line = ["train", "vqgan", "--data", world.photos, *world.tiny, "--out", "run"]
    succeed(*line, "--init", world.vqgan)
    succeed("resume", "run", "--init", copied / "vqgan")
    assert read_run_config(here / "run")["init"] == str(copied / "vqgan")
    shutil.copytree("run", "other")
    refused(["resume", "run", "--init", "other"], "begun with another config: init")


def test_data_may_lie_elsewhere_if_it_is_the_same(refused, succeed, world, copied, here):
    shutil.copytree(world.photos, "photos")
    succeed("resume", copied / "vqgan", "--data", "photos")
    assert read_run_config(copied / "vqgan")["data"] == ["photos"]
    shutil.copytree(world.photos, "more")
    Image.new("RGB", (24, 20)).save("more/cat/9.png")
    refused(["resume", copied / "vqgan", "--data", "more"], "data (was ['photos'], now ['more']")
    (copied / "vqgan" / "origin.json").unlink()  # as runs of before
    shutil.copytree("photos", "again")
    refused(["resume", copied / "vqgan", "--data", "again"], "begun with another config: data")
    succeed("resume", copied / "vqgan")
