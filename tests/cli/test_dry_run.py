"""`smalti train STAGE --dry-run` shows what training would take, and writes nothing."""

import re

import pytest

from smalti.sampling.pipeline import Pipeline
from smalti.tokenizer.vqgan import VQGAN
from smalti.weights import count_parameters


def numbers_after(text: str, name: str) -> int:
    found = re.search(rf"{name}: ([\d,]+)", text)
    assert found, text
    return int(found[1].replace(",", ""))


def test_tokenizer(world, succeed, contents, here):
    before = contents(world.root)
    text = succeed(
        "train", "vqgan", "--data", world.photos, "--out", here / "run", *world.tiny, "--dry-run"
    ).out
    vqgan = VQGAN.from_pretrained(world.vqgan)
    assert numbers_after(text, "encoder") == count_parameters(vqgan.encoder)
    assert numbers_after(text, "decoder") == count_parameters(vqgan.decoder)
    assert numbers_after(text, "discriminator") > 0
    assert "8x8 of 16 an image, f = 2" in text
    assert "3 of 4 images; an epoch is 3.0 steps" in text
    assert re.search(r"memory: +about 0\.\d\d GiB", text)
    assert re.search(r"time: +[\d.e-]+ s a step, measured on random data", text)
    assert list(here.iterdir()) == []
    assert contents(world.root) == before


@pytest.mark.parametrize("condition", ["none", "class"])
def test_prior(world, succeed, contents, here, condition):
    before = contents(world.root)
    text = succeed(
        *("train", "prior", "--data", world.photos, "--vqgan", world.vqgan, "--out", here / "run"),
        *world.tiny_prior,
        *("--condition", condition, "--dry-run"),
    ).out
    pipeline = Pipeline.from_pretrained(world.prior if condition == "none" else world.classes)
    layout = pipeline.layout
    assert numbers_after(text, "prior") == count_parameters(pipeline.prior)
    assert f"{layout.cond_length} conditioning + {layout.image_length} image tokens" in text
    assert f"the prior reads {layout.input_length}" in text
    assert re.search(rf"vocabulary: +{layout.vocab_size}: 16 codes", text)
    assert re.search(r"seconds before, once, to encode the images \(codes.views 2\)", text)
    assert list(here.iterdir()) == []
    assert contents(world.root) == before


def test_prior_too_large_for_a_card_is_planned(world, succeed, here):
    """Of 1.4 thousand million parameters, of which nothing is computed."""
    text = succeed(
        *("train", "prior", "--data", world.photos, "--vqgan", world.vqgan, "--out", here / "run"),
        *world.tiny_prior,
        *("--prior.layers", 12, "--prior.width", 3120, "--prior.heads", 15),
        *("--training.batch-size", 4, "--training.precision", "float32", "--dry-run"),
    ).out
    assert numbers_after(text, "prior") == pytest.approx(1.4e9, rel=0.01)
    assert re.search(
        r"processes: +GiB of each with --training.parallel replicated, and sharded", text
    )
    assert re.search(r" +2 +3\d\.\d\d +1\d\.\d\d\n", text)
    assert "cards of 24 GiB: 2 with --training.parallel sharded" in text
    assert "cards of 80 GiB: one is enough" in text
    assert "more processes need another training.batch-size" in text
    assert list(here.iterdir()) == []


def test_palette(world, succeed, here):
    text = succeed(
        *("train", "pixels", "--data", world.photos, "--out", here / "run", "--dry-run"),
        *("--image.size", 16, "--codebook_size", 8, "--pixels", 500),
    ).out
    assert numbers_after(text, "palette") == 3 * 8
    assert "16x16 of 8 an image, f = 1" in text
    assert list(here.iterdir()) == []


def test_help_tells_of_it(succeed):
    assert "--dry-run" in succeed("train", "--help").out
    for stage in ("vqgan", "pixels", "prior"):
        assert "--dry-run" in succeed("train", stage, "--help").out


def test_wrong_input_is_refused_as_in_training(world, call, here):
    dry = ("--data", world.photos, "--out", here / "run", "--dry-run")
    for arguments, word in (
        (("vqgan", *dry, "--image.size", 17), "divide"),
        (("vqgan", *dry, "--image.sise", 16), "did you mean"),
        (("prior", *dry, "--vqgan", here / "nothing"), "nothing"),
    ):
        result = call("train", *arguments)
        assert (result.code, len(result.error_lines)) == (2, 1)
        assert word in result.err
    assert list(here.iterdir()) == []
