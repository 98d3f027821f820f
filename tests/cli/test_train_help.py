"""The help of `smalti train`: a page of what people change first, and every option in a section."""

import re

import pytest

from smalti.cli.options import options_of, sections_of
from smalti.runs.config import ROOTS, VQGANRunConfig

STAGES = ("vqgan", "prior", "pixels")
QUANTIZERS = sections_of(VQGANRunConfig)["vqgan.quantizer"].members


@pytest.mark.parametrize("columns", [80, 100])
@pytest.mark.parametrize("stage", STAGES)
def test_first_page_fits_on_a_screen(succeed, monkeypatch, stage, columns):
    monkeypatch.setenv("COLUMNS", str(columns))
    lines = succeed("train", stage, "--help").out.splitlines()
    assert len(lines) <= 45
    assert max(map(len, lines)) < columns


@pytest.mark.parametrize("stage", STAGES)
def test_first_page_names_every_section(succeed, stage):
    text = succeed("train", stage, "--help").out
    for name in re.findall(r"\n([\w.-]+):? ", succeed("train", stage, "--help", "all").out):
        if f"\n  --{name}." in text:
            assert f"\n  {name} " in text


@pytest.mark.parametrize("stage", STAGES)
def test_every_option_is_explained_with_its_default(succeed, stage):
    text = succeed("train", stage, "--help", "all").out
    for option in options_of(ROOTS[stage]).values():
        if not option.is_fixed:
            assert re.search(rf"  {option.flag} \[(needed|default [^;\]]+)", text), option.flag
            assert option.about, option.flag


def test_words_of_python_are_in_no_help(succeed):
    for stage in STAGES:
        text = succeed("train", stage, "--help", "all").out
        assert not re.search(r"\bNone\b|Annotated|Literal|Optional|<class|\bint\b|\bstr\b", text)


def test_options_and_their_ranges_are_those_of_the_fields(succeed):
    text = succeed("train", "vqgan", "--help", "training").out
    assert "  --training.total-steps [default 2000; at least 1]\n" in text
    assert "  --training.ema-decay [default 0.995; from 0 to below 1]\n" in text
    assert "  --training.precision [default auto; auto, float32 or bfloat16]\n" in text
    text = succeed("train", "prior", "--help", "training").out
    assert "  --training.batch-size [default 32; at least 1]\n" in text
    assert "  --training.early-stop [default auto; a whole number above 0, auto or null]\n" in text
    text = " ".join(succeed("train", "vqgan", "--help", "loss.adversary").out.split())
    share = "a whole number of at least 0, a number from 0 to below 1 or auto"
    assert f"--loss.adversary.start [default auto; {share}]" in text
    assert "--loss.adversary.auto-improvement [default 0.03; above 0 and below 1]" in text


def test_the_tokenizer_of_a_prior_is_needed_unless_it_has_a_model_to_begin_with(succeed):
    text = " ".join(succeed("train", "prior", "--help").out.split())
    assert "--vqgan The tokenizer:" in text
    assert "a hub id. [needed, unless --init is given]" in text


def test_defaults_are_those_of_a_run(succeed):
    text = succeed("train", "vqgan", "--help", "vqgan.quantizer").out
    vector = text.partition("\nema: ")[0]  # its class compares points, not directions
    assert "--vqgan.quantizer.l2-normalised [default true; true or false]" in vector
    assert "[default 64;" in succeed("train", "vqgan", "--help", "image.size").out


def test_names_of_options_in_a_text_are_spelled_as_options(succeed):
    assert "a multiple of `norm-groups`" in succeed("train", "vqgan", "--help", "vqgan").out
    assert "`row_major`" in succeed("train", "prior", "--help", "ordering").out  # a value


@pytest.mark.parametrize("kind", [*QUANTIZERS])
def test_each_quantizer_has_its_options_under_its_name(succeed, kind):
    text = succeed("train", "vqgan", "--help", "vqgan.quantizer").out
    (part,) = re.findall(rf"\n{kind}: (.*?)(?:\n\n|$)", text, flags=re.DOTALL)
    options = set(re.findall(r"--vqgan\.quantizer\.([\w-]+) \[default", part))
    fields = QUANTIZERS[kind].model_fields
    assert options == {name.replace("_", "-") for name in fields if name != "kind"}


def test_help_of_a_section_names_those_in_it(succeed):
    text = succeed("train", "vqgan", "--help", "vqgan").out
    assert text.endswith("\n\nSections in it: vqgan.content, vqgan.quantizer\n")


def test_help_of_an_option_alone(succeed):
    text = succeed("train", "vqgan", "--help", "image.size").out
    assert text.startswith("  --image.size [default 64; ")


@pytest.mark.parametrize(
    ("topic", "words"),
    [("trainin", "did you mean 'training'"), ("zzz", "unknown topic of help 'zzz'.")],
)
def test_unknown_topic_names_the_nearest(refused, topic, words):
    refused(["train", "vqgan", "--help", topic], words)


def test_example_of_a_list_is_one_that_is_allowed(succeed):
    text = " ".join(succeed("train", "vqgan", "--help", "vqgan.quantizer.levels").out.split())
    assert "whole numbers from 2 to 256 (as [2,4])" in text
    line = ["--vqgan.quantizer.kind", "fsq", "--vqgan.quantizer.levels", "[2,4]"]
    printed = succeed("train", "vqgan", *line, "--vqgan.codebook-size", "8", "--print-config").out
    assert "levels:" in printed
