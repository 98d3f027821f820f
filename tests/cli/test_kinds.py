"""Options of what comes in kinds: files and command line, in order."""

from pathlib import Path

import pytest

from smalti.cli.train_config import read_config
from smalti.config import InputError
from smalti.runs.config import VQGANRunConfig
from smalti.tokenizer.quantizers.config import (
    QuantizerConfig,
    SimVQConfig,
    VectorQuantizerConfig,
)


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("ema.yaml").write_text("vqgan: {quantizer: {kind: ema, decay: 0.5}}", encoding="utf-8")
    Path("dim.yaml").write_text("vqgan: {quantizer: {lookup_dim: 4}}", encoding="utf-8")
    return tmp_path


def quantizer_of(line: str) -> QuantizerConfig:
    return read_config(VQGANRunConfig, ["--data", "x", *line.split()]).vqgan.quantizer


def test_nothing_given_is_the_default():
    assert quantizer_of("") == VectorQuantizerConfig(lookup_dim=8, l2_normalised=True)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("--vqgan.quantizer.kind vector", {"lookup_dim": 8, "l2_normalised": True}),
        ("--vqgan.quantizer.lookup_dim null", {"lookup_dim": None, "l2_normalised": True}),
        ("--vqgan.quantizer.kind fsq", {"kind": "fsq", "levels": None}),
        ("--vqgan.quantizer.levels [8,8,8] --vqgan.quantizer.kind=fsq", {"levels": (8, 8, 8)}),
        ("--vqgan.quantizer {kind:\u00a0lfq}", {"kind": "lfq"}),
        ("--vqgan {quantizer:\u00a0{kind:\u00a0lfq}}", {"kind": "lfq"}),
        ("--config ema.yaml", {"kind": "ema", "decay": 0.5, "restart_below": 0.4}),
        ("--config ema.yaml --vqgan.quantizer.decay 0.7", {"kind": "ema", "decay": 0.7}),
        ("--vqgan.quantizer.decay 0.7 --config ema.yaml", {"kind": "ema", "decay": 0.5}),
        ("--config ema.yaml --config dim.yaml", {"kind": "ema", "decay": 0.5, "lookup_dim": 4}),
    ],
)
def test_options_of_a_kind(line, expected):
    config = read_config(
        VQGANRunConfig, ["--data", "x", *(word.replace("\u00a0", " ") for word in line.split(" "))]
    ).vqgan.quantizer
    assert config.model_dump().items() >= expected.items()


def test_options_of_the_kind_before_do_not_linger():
    assert quantizer_of("--vqgan.quantizer.kind simvq") == SimVQConfig()
    assert quantizer_of("--config ema.yaml --vqgan.quantizer.kind simvq") == SimVQConfig()


def one_line(line: str) -> str:
    with pytest.raises(InputError) as error:
        quantizer_of(line)
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("--vqgan.quantizer.kind fsk", ["vqgan.quantizer.kind 'fsk'", "'fsq'", "simvq, vector"]),
        ("--vqgan.quantizer.kind ema --vqgan.quantizer.levels [8]", ["ema", "'levels'", "decay"]),
        ("--vqgan.quantizer.kind ema --vqgan.quantizer.decay 2", ["vqgan.quantizer.decay", "2"]),
        ("--vqgan.quantizer.dekay 2", ["--vqgan.quantizer.dekay", "'--vqgan.quantizer.decay'"]),
        (
            "--vqgan.quantizer fsq",
            ["vqgan.quantizer is a section", "of which kind is one", "'fsq'"],
        ),
        ("--vqgan.quantizer.levels [8", ["vqgan.quantizer.levels", "'[8'"]),
        ("--vqgan.quantizer.kind fsq --vqgan.codebook_size 1001", ["1001", "1000 or 1008"]),
        ("--vqgan.quantizer.kind lfq --vqgan.codebook_size 1000", ["1000", "512 and 1024"]),
    ],
)
def test_wrong_options_of_a_kind_say_why(line, words):
    message = one_line(line)
    for word in words:
        assert word in message


def test_wrong_key_in_a_file_is_named(here):
    Path("wrong.yaml").write_text("vqgan: {quantizer: {kind: ema, dekay: 0.5}}", encoding="utf-8")
    assert "wrong.yaml: unknown key 'vqgan.quantizer.dekay'" in one_line("--config wrong.yaml")


def test_printed_config_has_all_options_of_the_kind(succeed):
    line = ["train", "vqgan", "--data", "x", "--config", "ema.yaml", "--print-config"]
    printed = succeed(*line).out
    Path("printed.yaml").write_text(printed, encoding="utf-8")
    assert quantizer_of("--config printed.yaml") == quantizer_of("--config ema.yaml")
    assert "restart_below: 0.4" in printed
