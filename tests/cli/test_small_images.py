"""`image.small` and its former spelling through the commands; images are 24x20, crops 16x16."""

import json
from pathlib import Path

import pytest
import yaml
from PIL import Image

from smalti.cli.train_config import read_config
from smalti.data import config as data_config
from smalti.data import order as data_order
from smalti.data.config import TransformConfig
from smalti.runs.config import PriorRunConfig, VQGANRunConfig
from smalti.runs.folder import check_run_folder

SKIPPED = "skipped images (broken, or smaller than the crop): 1\n"


@pytest.fixture
def mixed(here, world) -> Path:
    """Twenty-four images of the run's size, then one that is too small."""
    folder = here / "mixed"
    folder.mkdir()
    for number in range(24):
        Image.open(world.picture).rotate(15 * number).save(folder / f"{number:02}.png")
    Image.new("RGB", (12, 20)).save(folder / "99.png")
    return folder


@pytest.fixture
def only_some_headers(monkeypatch: pytest.MonkeyPatch) -> None:
    """A data set of 25 images is a larger one: every thirteenth header is looked at."""
    monkeypatch.setattr(data_order, "MOST_IMAGES_CHECKED", 2)
    monkeypatch.setattr(data_config, "MOST_IMAGES_CHECKED", 2)


def vqgan(mixed: Path, world, *options: object) -> list[object]:
    return ["train", "vqgan", "--data", mixed, "--out", "run", *world.tiny, *options]


def test_a_run_that_met_a_small_image_goes_on_with_another_option(
    call, succeed, world, mixed, only_some_headers
):
    options = ["--training.total_steps=7", "--training.save_steps=2"]
    for _ in range(2):
        stopped = call(*vqgan(mixed, world, *options, "--image.small=error"))
        assert stopped.code == 2
        assert "20x12 pixels, smaller than the crop of 16x16" in stopped.err
        assert "another config" not in stopped.err
    result = succeed(*vqgan(mixed, world, *options))  # auto
    assert f"skipped image {mixed / '99.png'}: it is 20x12 pixels" in result.err
    assert SKIPPED in result.err


def test_a_small_image_that_is_held_out_is_skipped_in_both_stages(succeed, world, mixed):
    held = ["--held_out=0.9", "--image.small=skip"]
    result = succeed(*vqgan(mixed, world, *held, "--training.eval_images=25"))
    assert SKIPPED in result.err
    prior = ["train", "prior", "--data", mixed, "--vqgan", "run", "--out", "prior"]
    result = succeed(*prior, *world.tiny_prior, *held, "--training.eval_images=25")
    assert SKIPPED in result.err


def test_a_palette_is_learned_without_the_small_image(succeed, mixed):
    sizes = ["--image.size=16", "--codebook_size=4", "--pixels=200", "--iterations=1"]
    command = ["train", "pixels", "--data", mixed, "--out", "palette", "--held_out=0"]
    assert SKIPPED in succeed(*command, *sizes, "--image.small=skip").err


def test_codes_are_kept_when_only_the_word_for_small_images_changes(
    succeed, world, mixed, monkeypatch
):
    (mixed / "99.png").unlink()
    prior = ["train", "prior", "--data", mixed, "--vqgan", world.vqgan, "--out", "prior"]
    succeed(*prior, *world.tiny_prior, "--image.small=error")
    before = Path("prior/codes/manifest.json").read_text(encoding="utf-8")
    assert json.loads(before)["encoding"]["small"] == "error"
    succeed(*prior, *world.tiny_prior, "--image.small=skip", "--training.total_steps=4")
    assert Path("prior/codes/manifest.json").read_text(encoding="utf-8") == before
    succeed(*prior, *world.tiny_prior, "--image.small=enlarge", "--training.total_steps=5")
    assert Path("prior/codes/manifest.json").read_text(encoding="utf-8") != before


FORMER = pytest.mark.parametrize(("former", "small"), [("true", "enlarge"), ("false", "error")])


@FORMER
def test_the_former_spelling_is_read_in_files_and_options(here, former, small):
    Path("former.yaml").write_text(
        f"seed: 4\nimage:\n  size: 16\n  upscale: {former}\n", encoding="utf-8"
    )
    for options in (
        ["--config", "former.yaml"],
        ["--config=former.yaml"],
        ["--image.size=16", "--seed=4", f"--image.upscale={former}"],
        ["--image.upscale", former, "--image.size=16", "--seed=4"],
    ):
        config = read_config(VQGANRunConfig, ["--data", "photos", *options])
        assert (config.seed, config.image) == (4, TransformConfig(size=16, small=small))


@FORMER
def test_a_run_with_the_former_spelling_is_resumed(here, former, small):
    run = Path("run")
    run.mkdir()
    config = VQGANRunConfig(data=("photos",), out="run", image=TransformConfig(size=16))
    stored = config.model_dump(mode="json")
    del stored["image"]["small"]
    stored["image"]["upscale"] = former == "true"
    (run / "config.yaml").write_text(yaml.safe_dump(stored), encoding="utf-8")
    check_run_folder(run, config)
    prior = read_config(PriorRunConfig, ["--data", "photos", "--vqgan", "run"])
    assert prior.image == TransformConfig(size=16, small=small)


def test_evaluate_skips_and_counts(succeed, refused, world, mixed):
    evaluate = ["evaluate", world.vqgan, "--data", mixed, "--out", "figures.json"]
    refused(evaluate, "20x12 pixels", "--small")
    assert SKIPPED in succeed(*evaluate, "--small", "skip").out
    report = json.loads(Path("figures.json").read_text(encoding="utf-8"))
    assert (report["images"], report["skipped"]) == (24, 1)


def test_encode_skips_counts_and_enlarges(succeed, refused, world, mixed):
    encode = ["encode", world.vqgan, mixed, "--size", "16"]
    refused(encode, "99.png is 20x12 pixels", "--small")
    result = succeed(*encode, "--small", "skip").out
    assert "99.png: it is 20x12 pixels" in result
    assert "codes of 24 pictures" in result
    assert "codes of 25 pictures" in succeed(*encode, "--small", "enlarge").out
    refused(
        ["encode", world.vqgan, mixed / "99.png", "--size", "16", "--small", "skip"],
        "the only picture",
    )


def test_inspect_counts_what_is_below_the_crop_and_what_is_left_out(succeed, world, mixed):
    for name in ("a.heic", "b.heic", "notes.pdf", "photo"):
        (mixed / name).write_bytes(b"something")
    text = succeed("inspect", mixed, "--size", "20x16").out
    assert "below 20x16:  1\n" in text
    assert "99.png: 20x12 pixels" in text
    assert "left out:     4 files" in text
    assert "  2 .heic: a format that is not read; convert to JPEG or PNG" in text
    assert "  1 without an ending: " in text
    assert "below 64x64:  all; --size HEIGHTxWIDTH" in succeed("inspect", mixed).out
