"""`smalti complete`: parts of photographs made anew. The prior's window is 16x16 pixels."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from smalti.cli.complete import read_mask
from smalti.files import system_lock
from smalti.sampling.partial import PartialCodes
from smalti.tokenizer.vqgan import VQGAN

UNFINISHED = Path("completions/unfinished.safetensors")


@pytest.fixture
def photo(here, world) -> Path:
    """20 rows, 24 columns."""
    return world.picture


@pytest.fixture
def mask(here) -> np.ndarray:
    """White, as `mask.png`, where the right third of the photograph is to be made anew."""
    marked = np.zeros((20, 24), np.uint8)
    marked[:, 16:] = 255
    Image.fromarray(marked).save("mask.png")
    return marked > 0


def completions(folder: str = "completions") -> list[np.ndarray]:
    return [np.asarray(Image.open(path)) for path in sorted(Path(folder).glob("0*.png"))]


def test_masked_part_is_made_anew_and_the_rest_pasted_back(succeed, world, photo, mask):
    succeed("complete", world.prior, photo, "--mask", "mask.png", "-n", "2", "--paste", "0")
    names = sorted(path.name for path in Path("completions").iterdir())
    assert names == ["0000.png", "0001.png", "grid.png"]
    original = np.asarray(Image.open(photo))
    for made in completions():
        assert np.array_equal(made[~mask], original[~mask])
        assert not np.array_equal(made[mask], original[mask])
    first, second = completions()
    assert not np.array_equal(first, second)


@pytest.mark.parametrize(
    ("pixel", "is_marked"),
    [
        pytest.param((255, 255, 255, 255), True, id="opaque white"),
        pytest.param((255, 255, 255, 0), False, id="transparent white"),
        pytest.param((0, 0, 0, 255), False, id="black"),
        pytest.param((255, 0, 0, 0), False, id="a colour that is not seen"),
        pytest.param((255, 255, 255, 128), True, id="more than half of a white"),
        pytest.param((255, 255, 255, 127), False, id="less than half of a white"),
        pytest.param((160, 160, 160, 255), True, id="a light grey"),
        pytest.param((255, 250, 240, 255), True, id="a tinted white"),
    ],
)
def test_a_mask_marks_what_is_white_and_opaque(tmp_path, pixel, is_marked):
    picture = Image.new("RGBA", (3, 2), (0, 0, 0, 0))
    picture.putpixel((2, 1), pixel)
    picture.save(tmp_path / "mask.png")
    expected = [[False] * 3, [False, False, is_marked]]
    assert read_mask(tmp_path / "mask.png").tolist() == expected


@pytest.mark.parametrize("mode", ["L", "LA", "1", "P", "I;16"])
def test_a_mask_may_have_any_layout(tmp_path, mode):
    picture = Image.new("L", (2, 1), 0)
    picture.putpixel((1, 0), 255)
    if mode == "I;16":
        picture = Image.fromarray(np.array([[0, 65535]], np.uint16))
    else:
        picture = picture.convert(mode)
    picture.save(tmp_path / "mask.png")
    assert read_mask(tmp_path / "mask.png").tolist() == [[False, True]]


def test_a_transparent_mask_keeps_what_it_does_not_mark(succeed, world, photo, mask):
    transparent = np.full((*mask.shape, 4), 255, np.uint8)
    transparent[~mask] = (255, 255, 255, 0)
    Image.fromarray(transparent).save("mask.png")
    succeed("complete", world.prior, photo, "--mask", "mask.png", "-n", "1", "--paste", "0")
    (made,) = completions()
    assert np.array_equal(made[~mask], np.asarray(Image.open(photo))[~mask])


def test_what_is_masked_leaves_no_trace(succeed, world, photo, mask):
    painted = np.asarray(Image.open(photo)).copy()
    painted[mask] = (255, 0, 0)
    Image.fromarray(painted).save("painted.png")
    for name in (photo, "painted.png"):
        out = Path(name).stem
        succeed("complete", world.prior, name, "--mask", "mask.png", "-n", "1", "--out", out)
    assert np.array_equal(*completions("1"), *completions("painted"))


def test_upper_part_is_kept_and_sides_are_painted_on(succeed, world, photo):
    options = ["--keep-top", "0.5", "--extend", "left=8", "bottom=3", "--paste", "0"]
    succeed("complete", world.prior, photo, "-n", "1", *options)
    (made,) = completions()
    assert made.shape == (23, 32, 3)
    original = np.asarray(Image.open(photo))
    assert np.array_equal(made[:10, 8:], original[:10])
    assert not np.array_equal(made[10:20, 8:], original[10:])


def test_batch_size_bounds_how_many_are_made_together(succeed, world, photo, monkeypatch):
    together = []
    advance = PartialCodes.advance

    def count(self, done):
        together.append(done)
        advance(self, done)

    monkeypatch.setattr(PartialCodes, "advance", count)
    command = ["complete", world.prior, photo, "--keep-top", "0.5", "-n", "3", "--batch-size"]
    succeed(*command, "3", "--out", "whole")
    one_batch = max(together)
    succeed(*command, "1", "--out", "split")
    assert max(together) == 3 * one_batch
    pairs = zip(completions("whole"), completions("split"), strict=True)
    assert all(np.array_equal(*pair) for pair in pairs)


def test_stopped_completion_goes_on_with_the_same_command(succeed, call, world, photo, monkeypatch):
    command = ["complete", world.prior, photo, "--keep-top", "0.5", "-n", "2"]
    succeed(*command, "--out", "whole")

    def stop(self, done):
        self.done = done
        if done == 90:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(PartialCodes, "advance", stop)
        stopped = call(*command)
    assert stopped.code == 130
    assert str(UNFINISHED) in stopped.out
    assert list(Path("completions").iterdir()) == [UNFINISHED]
    succeed(*command)
    assert not UNFINISHED.exists()
    pairs = zip(completions("whole"), completions(), strict=True)
    assert all(np.array_equal(*pair) for pair in pairs)


@pytest.mark.parametrize(
    ("arguments", "out"),
    [(["complete", "PHOTO", "--keep-top", "0.5"], "completions"), (["sample"], "samples")],
)
def test_what_is_drawn_survives_a_stop_while_it_is_decoded(
    succeed, call, world, photo, monkeypatch, arguments, out
):
    command = [arguments[0], world.prior, *arguments[1:], "-n", "2"]
    command = [photo if word == "PHOTO" else word for word in command]

    def stop(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(VQGAN, "decode", stop)
        stopped = call(*command)
    assert stopped.code == 130
    assert f"{out}/unfinished.safetensors" in stopped.out
    monkeypatch.setattr(PartialCodes, "advance", lambda self, done: pytest.fail("drawn again"))
    succeed(*command)
    assert len(completions(out)) == 2


@pytest.mark.parametrize("command", [["complete", "PHOTO", "--keep-top", "0.5"], ["sample"]])
def test_second_process_that_draws_in_the_same_folder_is_refused(call, world, photo, command):
    """They would mix their images, and each would go on from codes of the other."""
    command = [photo if word == "PHOTO" else word for word in command]
    Path("out").mkdir()
    with system_lock(Path("out/.unfinished.lock")):
        refused = call(command[0], world.prior, *command[1:], "-n", "1", "--out", "out")
    assert refused.code == 2
    assert (
        "another process makes images in out; wait for it, or choose another --out"
        in (refused.error_lines[-1])
    )
    assert list(Path("out").iterdir()) == []


def test_stop_before_anything_is_drawn_promises_nothing(call, world, photo, monkeypatch):
    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(VQGAN, "encode_in_tiles", stop)
    stopped = call("complete", world.prior, photo, "--keep-top", "0.5")
    assert stopped.code == 130
    assert "goes on from there" not in stopped.out
    assert not UNFINISHED.exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("", ["--mask FILE", "--keep-top SHARE", "--extend SIDE=PX"]),
        ("--mask mask.png --keep-top 0.5", ["not both"]),
        ("--mask nowhere.png", ["nowhere.png", "does not exist"]),
        ("--mask small.png", ["mask is 8x9", "photograph 20x24"]),
        ("--mask black.png", ["marks no pixel"]),
        ("--mask red.png", ["red.png has colours", "(255, 0, 0) at column 5 of row 3"]),
        ("--mask white.png", ["nothing is known"]),
        ("--keep-top 1.5", ["--keep-top is 1.5", "below 1"]),
        ("--extend up=8", ["'up=8'", "top, bottom, left, right"]),
        ("--extend left=wide", ["'left=wide'"]),
        ("--keep-top 0.5 --condition cat", ["knows no condition", "cat"]),
        ("--keep-top 0.5 --guidance 3", ["guidance"]),
        ("--keep-top 0.5 --stride 40", ["stride 40"]),
    ],
)
def test_bad_input_is_refused(refused, world, photo, mask, options, words):
    for name, size, shade in (("small", (9, 8), 255), ("black", (24, 20), 0)):
        Image.new("L", size, shade).save(f"{name}.png")
    Image.new("L", (24, 20), 255).save("white.png")
    red = Image.new("RGB", (24, 20))
    red.putpixel((5, 3), (255, 0, 0))
    red.save("red.png")
    refused(["complete", world.prior, photo, *options.split()], *words)


def test_photograph_below_the_window_is_refused(refused, world, photo):
    Image.new("RGB", (12, 20)).save("narrow.png")
    refused(["complete", world.prior, "narrow.png", "--keep-top", "0.5"], "20x12", "16x16")
    refused(["complete", world.prior, "nowhere.png", "--keep-top", "0.5"], "nowhere.png")
    refused(["complete", world.vqgan, photo, "--keep-top", "0.5"], "a prior is needed")
