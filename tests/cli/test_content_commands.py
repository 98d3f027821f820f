"""The commands on tokenizers of label maps, depth maps and pixels."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from skimage import data

CLASSES = 4
TINY = [
    "--image.size=8",
    "--vqgan.channels=8",
    "--vqgan.channel_multipliers=[1,1]",
    "--vqgan.code_dim=8",
    "--vqgan.codebook_size=16",
    "--training.total_steps=2",
    "--training.batch_size=4",
    "--training.device=cpu",
]
LABELS = ["--vqgan.content.kind=labels", f"--vqgan.content.classes={CLASSES}"]


@pytest.fixture(scope="module")
def scenes(tmp_path_factory) -> Path:
    """A photograph's pieces, their label maps by brightness and 16-bit depths, side by side."""
    root = tmp_path_factory.mktemp("scenes")
    photograph = Image.fromarray(data.astronaut())
    for part in ("images", "segmentations", "depths"):
        (root / part).mkdir()
    for number in range(4):
        picture = photograph.crop((90 * number, 80 * number, 90 * number + 20, 80 * number + 16))
        grey = np.asarray(picture.convert("L"))
        picture.save(root / "images" / f"{number}.png")
        Image.fromarray(grey // 64).save(root / "segmentations" / f"{number}.png")
        Image.fromarray(grey.astype(np.uint16) * 257).save(root / "depths" / f"{number}.png")
    return root


@pytest.fixture(scope="module")
def label_model(scenes, succeed, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "labels"
    succeed("train", "vqgan", "--data", scenes, "--out", out, *TINY, *LABELS)
    return out


@pytest.fixture(scope="module")
def depth_model(scenes, succeed, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "depth"
    succeed("train", "vqgan", "--data", scenes, "--out", out, *TINY, "--vqgan.content.kind=depth")
    return out


@pytest.fixture(scope="module")
def palette(scenes, succeed, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "pixels"
    options = ["--codebook_size=16", "--image.size=8", "--pixels=200"]
    succeed("train", "pixels", "--data", scenes, "--out", out, *options)
    return out


def opened(path: Path) -> Image.Image:
    """A picture, with its file closed again."""
    with Image.open(path) as picture:
        picture.load()
    return picture


@pytest.fixture
def fails(call, here):
    """Runs a command that must end with code 2 and one line that has all the words."""

    def run(arguments, *words):
        result = call(*arguments)
        assert result.code == 2, result.err
        assert len(result.error_lines) == 1, result.err
        for word in words:
            assert word in result.err
        assert not list(here.iterdir())

    return run


def test_inspect_says_what_the_images_are(label_model, succeed):
    assert f"labels, {CLASSES} channels" in succeed("inspect", label_model).out


def test_label_maps_come_back_as_indexed_pictures(label_model, scenes, succeed, here):
    maps = scenes / "segmentations"
    succeed("encode", label_model, maps, "--out", "codes.safetensors")
    succeed("decode", label_model, "codes.safetensors", "--out", "decoded")
    picture = opened(here / "decoded/0.png")
    assert picture.mode == "P"
    assert picture.size == (20, 16)
    assert np.asarray(picture).max() < CLASSES


def test_depth_comes_back_as_16_bit_pictures(depth_model, scenes, succeed, here):
    succeed("encode", depth_model, scenes / "depths", "--out", "codes.safetensors")
    succeed("decode", depth_model, "codes.safetensors", "--out", "decoded")
    assert opened(here / "decoded/0.png").mode == "I;16"


def test_reconstructed_label_maps_are_drawn_and_measured(label_model, scenes, succeed, here):
    result = succeed("reconstruct", label_model, scenes / "segmentations", "--out", "out.png")
    assert "pixel accuracy" in result.out
    assert opened(here / "out.png").mode == "RGB"


def test_a_model_of_photographs_reads_a_map_as_grey(world, scenes, succeed, here):
    result = succeed("reconstruct", world.vqgan, scenes / "depths/0.png", "--out", "out.png")
    assert "PSNR" in result.out


def test_a_palette_is_a_tokenizer_like_any_other(palette, scenes, succeed, here):
    assert "palette of 16 colours, f = 1" in succeed("inspect", palette).out
    succeed("reconstruct", palette, scenes / "images", "--out", "out.png")
    succeed("encode", palette, scenes / "images", "--out", "codes.safetensors")
    succeed("decode", palette, "codes.safetensors", "--out", "decoded")
    colours = opened(here / "decoded/0.png").getcolors()
    assert len(colours) <= 16


def test_evaluation_measures_what_fits_the_content(label_model, depth_model, scenes, succeed):
    labels = succeed("evaluate", label_model, "--data", scenes).out
    assert "4 images" in labels
    assert "pixel accuracy" in labels
    assert "mean IoU" in labels
    assert "FD" not in labels
    depth = succeed("evaluate", depth_model, "--data", scenes).out
    assert "PSNR" in depth
    assert "SSIM" not in depth


def test_evaluation_of_a_palettes_run(palette, scenes, succeed):
    out = succeed("evaluate", palette, "--data", scenes, "--size", 16).out
    assert "dead codes, of 16 codes" in out
    assert "reconstruction FD" in out


# Bad input


def test_photographs_given_to_a_model_of_maps(label_model, depth_model, scenes, fails):
    photograph = scenes / "images/0.png"
    for model in (label_model, depth_model):
        command = ["reconstruct", model, photograph, "--out", "out.png"]
        fails(command, str(photograph), "mode RGB", "a map has one channel")


def test_a_label_that_is_no_class(scenes, fails):
    options = [*TINY, *LABELS, "--vqgan.content.classes=2"]
    command = ["train", "vqgan", "--data", scenes, "--out", "out", *options]
    fails(command, "segmentations/", ".png has label", "allowed are 0 to 1")


def test_photographs_given_as_label_maps(scenes, fails):
    command = ["train", "vqgan", "--data", scenes / "images", "--out", "out", *TINY, *LABELS]
    fails(command, "images/0.png is a picture of mode RGB")


def test_more_colours_than_there_are(scenes, fails):
    options = ["--codebook_size=9999", "--image.size=8"]
    command = ["train", "pixels", "--data", scenes / "images", "--out", "out", *options]
    fails(command, "codebook-size 9999 is more than the", "different colours")


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ("--loss.pixel=l2", "loss.pixel l2 does not fit label maps"),
        ("--loss.adversary.kind=hinge", "hinge does not fit label maps"),
        ("--loss.perceptual.kind=lpips", "lpips compares photographs, not labels"),
        ("--vqgan.content.classes=1", "from 2 to 65536"),
        ("--vqgan.content.sigma=1", "sigma"),
    ],
)
def test_options_that_do_not_fit_label_maps(scenes, fails, option, words):
    fails(["train", "vqgan", "--data", scenes, "--out", "out", *TINY, *LABELS, option], words)
