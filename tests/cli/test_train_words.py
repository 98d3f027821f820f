"""How the words of `smalti train` are read: spelling, values, files, and what is wrong."""

from pathlib import Path

import pytest

import smalti.cli.train_config as reader
from smalti.cli.train_config import read_config
from smalti.config import InputError
from smalti.runs.config import PixelsRunConfig, PriorRunConfig, VQGANRunConfig

PRIOR = ["--data", "x", "--vqgan", "run"]


def vqgan(line: str) -> VQGANRunConfig:
    return read_config(VQGANRunConfig, ["--data", "x", *line.split()])


@pytest.mark.parametrize(
    ("hyphens", "underscores"),
    [
        ("--training.total-steps 7", "--training.total_steps 7"),
        ("--held-out=0.5", "--held_out=0.5"),
        ("--discriminator-optimizer.learning-rate 1", "--discriminator_optimizer.learning_rate 1"),
        ("--auto-remedy", "--auto_remedy"),
    ],
)
def test_hyphens_and_underscores_mean_the_same(hyphens, underscores):
    assert vqgan(hyphens) == vqgan(underscores) != vqgan("")


def test_flags_are_read_in_both_spellings(succeed):
    line = ["train", "vqgan", "--data", "x"]
    assert succeed(*line, "--print-config").out == succeed(*line, "--print_config").out


@pytest.mark.parametrize(
    ("line", "path", "value"),
    [
        ("--seed 010", "seed", 10),
        ("--seed 1 --seed 2", "seed", 2),
        ("--optimizer.learning-rate 1e-4", "optimizer.learning_rate", 1e-4),
        ("--loss.adversary.start 0.5", "loss.adversary.start", 0.5),
        ("--loss.adversary.start 500", "loss.adversary.start", 500),
        ("--training.device 0", "training.device", "0"),
        ("--out null", "out", "null"),
        ("--init null", "init", None),
        ("--init none", "init", None),
        ("--vqgan.attention-levels [0,1]", "vqgan.attention_levels", (0, 1)),
        ("--data y --data z", "data", ("x", "y", "z")),
        ("--optimizer {beta1:\u00a00.5}", "optimizer.beta1", 0.5),
    ],
)
def test_word_becomes_the_value_that_it_means(line, path, value):
    words = [word.replace("\u00a0", " ") for word in line.split(" ")]
    found = read_config(VQGANRunConfig, ["--data", "x", *words])
    for part in path.split("."):
        found = getattr(found, part)
    assert found == value
    assert type(found) is type(value)


def test_conditions_are_several_words_and_none_is_nothing():
    assert read_config(PriorRunConfig, PRIOR).condition == ()
    two = read_config(PriorRunConfig, [*PRIOR, "--condition", "class", "depth=d"])
    assert two.condition == ("class", "depth=d")
    assert read_config(PriorRunConfig, [*PRIOR, "--condition", "none"]).condition == ()


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("--seed true", ["seed must be a whole number of at least 0, got true"]),
        ("--seed 1.5", ["seed must be a whole number of at least 0, got 1.5"]),
        ("--seed 3 extra", ["'extra' belongs to no option"]),
        ("--seed", ["--seed needs one value"]),
        ("--preset", ["--preset needs at least one value"]),
        ("--training 5", ["training is a section of options", "got '5'"]),
        ("--training {total_step:\u00a05}", ["'training.total_step'", "'training.total_steps'"]),
        ("--vqgan.content.kind labels", ["--vqgan.content.classes is required: a whole number"]),
        ("--vqgan.content.kind lables", ["unknown vqgan.content.kind 'lables'", "'labels'"]),
        ("--training.early-stop 3", ["unknown option --training.early-stop"]),
        ("--data-weights [0]", ["data-weights must be a list of numbers above 0", "got [0]"]),
    ],
)
def test_wrong_words_are_told_in_one_line(line, words):
    with pytest.raises(InputError) as error:
        read_config(
            VQGANRunConfig, ["--data", "x", *(w.replace("\u00a0", " ") for w in line.split(" "))]
        )
    assert "\n" not in str(error.value)
    for word in words:
        assert word in str(error.value)


def test_no_message_has_words_of_a_library():
    with pytest.raises(InputError) as error:
        vqgan(
            "--training.total-steps many --image.size big --optimizer.beta1 2 --image.crop middle"
        )
    assert str(error.value) == (
        "image.size must be a whole number above 0 or HEIGHTxWIDTH, got 'big'; image.crop must "
        "be random or center, got 'middle'; training.total-steps must be a whole number of at "
        "least 1, got 'many'; optimizer.beta1 must be a number from 0 to below 1, got 2"
    )


def test_the_file_of_a_wrong_value_is_named_unless_an_option_replaced_it(here):
    Path("a.yaml").write_text("training.total_steps: many\nimage.crop: middle", encoding="utf-8")
    with pytest.raises(InputError) as error:
        vqgan("--config a.yaml --training.total-steps 0 --seed -1")
    assert str(error.value) == (
        "seed must be a whole number of at least 0, got -1; a.yaml: image.crop must be random or "
        "center, got 'middle'; training.total-steps must be a whole number of at least 1, got 0"
    )


def test_each_file_is_read_once(here, monkeypatch):
    Path("a.yaml").write_text("seed: 4", encoding="utf-8")
    Path("b.yaml").write_text("seed: 5", encoding="utf-8")
    seen = []
    read = reader.read_config_file
    monkeypatch.setattr(reader, "read_config_file", lambda file: (seen.append(file), read(file))[1])
    line = ["--config", "a.yaml", "--preset", "prior-demo", "--config=b.yaml"]
    assert read_config(PriorRunConfig, [*PRIOR, *line]).seed == 5
    assert [Path(file).name for file in sorted(seen)] == ["prior-demo.yaml", "a.yaml", "b.yaml"]


def test_options_win_over_a_preset_wherever_it_stands():
    assert vqgan("--training.total-steps 7 --preset vqgan-demo").training.total_steps == 7
    assert vqgan("--preset vqgan-demo").training.total_steps == 400


def test_a_preset_of_another_stage_is_none():
    with pytest.raises(InputError, match="unknown preset 'prior-demo'"):
        vqgan("--preset prior-demo")


def test_printed_config_without_data_is_a_form_to_fill_in(succeed, here):
    printed = succeed("train", "pixels", "--print-config", "--image.size", "8").out
    Path("form.yaml").write_text(printed, encoding="utf-8")
    read = read_config(PixelsRunConfig, ["--config", "form.yaml", "--data", "x"])
    assert (read.data, read.image.size) == (("x",), 8)
