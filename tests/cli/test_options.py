"""Paths, numbers and config files of every command: nothing is read otherwise than it was meant."""

import importlib

import pytest

from smalti.cli.arguments import expanded_path
from smalti.cli.main import COMMANDS, MODULES

PATHS = {"model", "out", "data", "pictures", "photo", "mask", "codes", "what", "config"}
WITHOUT_PATHS = ("train", "resume", "presets", "env", "completion")
TOO_LARGE = 2**63


# Paths


@pytest.mark.parametrize("command", [name for name in COMMANDS if name not in WITHOUT_PATHS])
def test_every_path_of_a_command_is_expanded(command):
    module = importlib.import_module(f"smalti.cli.{MODULES.get(command, command)}")
    types = {action.dest: action.type for action in module.parser()._actions}
    assert {types[name] for name in PATHS & types.keys()} == {expanded_path}


@pytest.fixture
def home(here, monkeypatch):
    monkeypatch.setenv("HOME", str(here / "home"))
    return here / "home"


def test_home_folder_that_the_shell_left_alone(succeed, home, world, here):
    succeed("encode", world.vqgan, world.picture, "--out=~/codes.safetensors")
    succeed("decode", world.vqgan, "~/codes.safetensors", "--out=~/decoded")
    assert (home / "decoded" / "1.png").is_file()
    (home / "config.yaml").write_text("out: ~/palette\ncodebook_size: 2\n", encoding="utf-8")
    succeed("train", "pixels", "--config=~/config.yaml", "--data", world.photos, "--image.size=8")
    succeed("reconstruct", "~/palette", world.picture, "--out=~/reconstruction.png")
    assert {path.name for path in here.iterdir()} == {"home"}


@pytest.mark.parametrize(
    "line",
    ["sample RUN --out", "encode RUN", "reconstruct", "evaluate RUN --data", "inspect"],
)
def test_empty_path_is_refused(refused, world, line):
    words = [world.prior if word == "RUN" else word for word in line.split()]
    refused([*words, ""], "'' is no path")


@pytest.mark.parametrize("option", ["--out", "--data", "--init", "--codes.folder"])
def test_empty_path_of_a_run_is_refused(refused, world, option):
    command = ["train", "prior", "--data", world.photos, "--vqgan", world.vqgan, "--out", "run"]
    refused([*command, option, ""], "'' is no path")


# Numbers


@pytest.mark.parametrize("number", [-1, TOO_LARGE, 10**30])
@pytest.mark.parametrize("command", ["demo", "sample RUN", "complete RUN photo.png"])
def test_seed_that_torch_cannot_take(refused, world, command, number):
    words = [world.prior if word == "RUN" else word for word in command.split()]
    refused([*words, "--seed", number], "--seed", "must be at", str(number))


@pytest.mark.parametrize("stage", ["vqgan", "prior", "pixels"])
def test_seed_of_a_run_that_torch_cannot_take(refused, world, stage):
    model = ["--vqgan", world.vqgan] if stage == "prior" else []
    command = ["train", stage, "--data", world.photos, *model, "--out", "run", "--seed"]
    refused([*command, TOO_LARGE], f"seed is {TOO_LARGE}", "at most 9223372036854775807")


def test_largest_seed_is_taken(succeed, world, here):
    succeed("sample", world.prior, "-n", 1, "--seed", TOO_LARGE - 1, "--out", "samples")
    line = ["train", "pixels", "--data", world.photos, "--image.size=8", "--codebook-size=2"]
    succeed(*line, "--out=run", f"--seed={TOO_LARGE - 1}")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("--training.total-steps 99999999999999999999", ["total-steps is 99999999999999999999"]),
        ("--vqgan.channel-multipliers [1,99999999999999999999]", ["channel-multipliers is 9999"]),
        ("--optimizer.learning-rate inf", ["optimizer.learning-rate", "finite", "got 'inf'"]),
        ("--optimizer.learning-rate 1e999", ["optimizer.learning-rate", "finite", "1e999"]),
        ("--training.ema-decay nan", ["training.ema-decay", "got 'nan'"]),
        ("--data-weights [inf]", ["data-weights", "finite", "got [inf]"]),
    ],
)
def test_number_of_a_run_that_torch_cannot_take(refused, world, options, words):
    command = ["train", "vqgan", "--data", world.photos, "--out", "run", *world.tiny]
    refused([*command, *options.split()], *words)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("-n 99999999999999999999", ["-n", "at most 2147483647"]),
        ("--batch-size 99999999999999999999", ["--batch-size", "at most 2147483647"]),
        ("--size 99999999999999999999", ["--size", "at most 2147483647"]),
        ("--size 16x16x16", ["--size", "like 256 or 360x480, got '16x16x16'"]),
        ("--size=", ["--size", "like 256 or 360x480, got ''"]),
        ("--guidance inf", ["guidance", "finite", "got [inf]"]),
    ],
)
def test_number_of_a_command_that_torch_cannot_take(refused, world, options, words):
    refused(["sample", world.prior, *options.split()], *words)


@pytest.mark.parametrize("pixels", ["99999999999999999999", "-1", "1e3", ""])
def test_margin_that_is_none(refused, world, pixels):
    refused(["complete", world.prior, world.picture, "--extend", f"left={pixels}"], "left=64")


def test_more_than_the_memory_holds_is_one_line(call, world, here):
    result = call("sample", world.prior, "--size", "999999998")
    assert result.code == 1
    assert result.error_lines[-1].startswith("smalti: not enough memory: ")
    assert "Traceback" not in result.err


# What is said twice


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "training:\n  total_steps: 7\ntraining:\n  batch_size: 3\n",
            ["'training' is written twice (lines 1 and 3)"],
        ),
        ("image: {size: 16, size: 8}", ["'image.size' is written twice"]),
        (
            "training.total_steps: 7\ntraining: {total_steps: 3}",
            ["'training.total_steps' is written twice"],
        ),
        (
            "vqgan: {quantizer.kind: ema, quantizer: {kind: fsq}}",
            ["'vqgan.quantizer.kind' is written twice"],
        ),
        ("image: {upscale: true, small: skip}", ["'image.small' is written twice"]),
        ('{"seed": 1, "seed": 2}', ["'seed' is written twice"]),
        ("held-out: 0.1\nheld_out: 0.2", ["'held_out' is written twice"]),
    ],
)
def test_config_that_says_something_twice(refused, world, here, text, words):
    (here / "config.yaml").write_text(text, encoding="utf-8")
    command = ["train", "vqgan", "--data", world.photos, "--out", "run", *world.tiny]
    refused([*command, "--config", "config.yaml"], "config.yaml: ", *words)


@pytest.mark.parametrize("option", ["training", "vqgan.quantizer"])
def test_option_that_says_something_twice(refused, world, option):
    command = ["train", "vqgan", "--data", world.photos, "--out", "run", *world.tiny]
    refused([*command, f"--{option}", "{kind: 1, kind: 2}"], f"--{option}: 'kind' is written twice")


def test_dotted_keys_of_a_config_are_those_of_its_blocks(succeed, here):
    (here / "dotted.yaml").write_text(
        "training.total_steps: 7\nvqgan.quantizer.kind: ema\n", encoding="utf-8"
    )
    (here / "blocks.yaml").write_text(
        "training: {total_steps: 7}\nvqgan: {quantizer: {kind: ema}}", encoding="utf-8"
    )
    (here / "hyphens.yaml").write_text(
        "training: {total-steps: 7}\nvqgan.quantizer: {kind: ema}\nvqgan: {code-dim: 64}",
        encoding="utf-8",
    )
    shown = [
        succeed("train", "vqgan", "--data", "x", "--config", name, "--print-config").out
        for name in ("dotted.yaml", "blocks.yaml", "hyphens.yaml")
    ]
    assert shown[0] == shown[1] == shown[2]
    assert "total_steps: 7" in shown[0]


def test_config_of_a_run_that_says_something_twice(refused, world, here):
    (here / "run").mkdir()
    (here / "run" / "config.yaml").write_text("stage: vqgan\nseed: 1\nseed: 2\n", encoding="utf-8")
    refused(["inspect", "run"], "config.yaml: 'seed' is written twice (lines 2 and 3)")


def test_config_of_a_model_that_says_something_twice(refused, world, here):
    (here / "model").mkdir()
    (here / "model" / "config.json").write_text(
        '{"kind": "vqgan", "kind": "prior", "config": {}}', encoding="utf-8"
    )
    refused(["inspect", "model"], "config.json", "'kind' is written twice")
