"""Completion: what stays, what is made anew, and that nothing of the missing part is told."""

import threading

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from smalti.errors import CancelledError, InputError
from smalti.prior.gpt.config import GPT2Config
from smalti.prior.gpt.model import GPT
from smalti.ranges import from_pil
from smalti.sampling.completion import (
    Margins,
    complete,
    fill_from_nearest,
    known_cells,
    pad_to_multiple,
    paste,
    place,
)
from smalti.sampling.partial import PartialCodes
from smalti.sampling.pipeline import Pipeline
from smalti.sampling.prior_model import PriorModelConfig
from smalti.sampling.sliding_window import draw_canvas
from smalti.tokenizer.config import VQGANConfig
from smalti.tokenizer.vqgan import VQGAN

K, HEIGHT, WIDTH = 16, 3, 4  # a window of 6x8 pixels: f = 2


@pytest.fixture
def pipeline(generator) -> Pipeline:
    config = PriorModelConfig(
        prior=GPT2Config(layers=1, heads=2, width=16, dropout=0),
        vocab_size=K + 1,
        max_length=12,
        codebook_size=K,
        grid_height=HEIGHT,
        grid_width=WIDTH,
    )
    prior = GPT(config.prior, config.sizes)
    with torch.no_grad():
        for weight in prior.parameters():
            weight.copy_(torch.randn(weight.shape, generator=generator))
    vqgan = VQGAN(VQGANConfig(codebook_size=K, channel_multipliers=(1, 1)))
    return Pipeline(vqgan.eval(), prior.eval(), config)


def photograph(height: int, width: int, seed: int = 0) -> Image.Image:
    pixels = torch.rand(height, width, 3, generator=torch.Generator().manual_seed(seed))
    return Image.fromarray((pixels * 255).byte().numpy())


def lower_half(height: int, width: int) -> torch.Tensor:
    missing = torch.zeros(height, width, dtype=torch.bool)
    missing[height // 2 :] = True
    return missing


@given(st.integers(1, 9), st.integers(1, 9), st.integers(0, 5), st.integers(0, 5))
def test_photograph_lies_at_its_place_on_the_canvas(height, width, top, left):
    photo = photograph(height, width)
    placed = place(photo, torch.zeros(height, width, dtype=torch.bool), Margins(top, 1, left, 2))
    assert placed.known.shape == (height + top + 1, width + left + 2)
    inside = (slice(top, top + height), slice(left, left + width))
    assert torch.equal(placed.image[:, *inside], from_pil(photo))
    assert placed.known[inside].all()
    assert int(placed.known.sum()) == height * width


def test_what_is_missing_leaves_no_trace():
    missing = lower_half(8, 6)
    first, second = photograph(8, 6), photograph(8, 6)
    second.paste(Image.new("RGB", (6, 4), "red"), (0, 4))
    images = [place(photo, missing, Margins()).image for photo in (first, second)]
    assert torch.equal(*images)


def test_missing_pixels_have_the_colour_of_the_nearest_known_one():
    known = torch.tensor([[True, False, False, True]])
    image = torch.tensor([[[0.1, 9.0, 9.0, 0.4]]]).expand(3, 1, 4)
    assert fill_from_nearest(image, known)[0, 0].tolist() == pytest.approx([0.1, 0.1, 0.4, 0.4])


def test_cell_is_known_if_all_its_pixels_are():
    known = torch.ones(4, 6, dtype=torch.bool)
    known[1, 2] = False
    assert known_cells(known, 2).tolist() == [[True, False, True], [True, True, True]]


def test_known_codes_are_held_and_the_others_drawn(pipeline, monkeypatch):
    filled = {}

    def keep(prior, model, conditioning, conditions, canvas, *arguments):
        before = canvas.codes.clone()
        yield from draw_canvas(prior, model, conditioning, conditions, canvas, *arguments)
        filled["before"], filled["after"], filled["known"] = before, canvas.codes, canvas.known

    monkeypatch.setattr("smalti.sampling.pipeline.draw_canvas", keep)
    complete(pipeline, photograph(12, 8), lower_half(12, 8), n=3)
    known = filled["known"]
    assert known.tolist() == [[True] * 4] * 3 + [[False] * 4] * 3
    assert torch.equal(filled["after"][:, known], filled["before"][:, known])
    assert not torch.equal(filled["after"], filled["before"])


@pytest.mark.parametrize("size", [(6, 8), (7, 9), (13, 8)])
def test_results_have_the_photographs_size_with_its_margins(pipeline, size):
    pictures = complete(
        pipeline, photograph(*size), lower_half(*size), n=2, margins=Margins(1, 0, 3, 0)
    )
    assert [picture.size for picture in pictures] == [(size[1] + 3, size[0] + 1)] * 2
    assert pictures[0].tobytes() != pictures[1].tobytes()


def test_results_depend_on_the_seed_only(pipeline):
    photo, missing = photograph(6, 8), lower_half(6, 8)
    first, again = (
        complete(pipeline, photo, missing, n=3, seed=5, batch_size=size, progress=False)
        for size in (3, 2)
    )
    assert [p.tobytes() for p in first] == [p.tobytes() for p in again]


def test_a_cancelled_completion_ends(pipeline):
    told, cancelled = [], threading.Event()

    def cancel(progress):
        told.append(progress.done)
        if progress.done == 5:
            cancelled.set()

    options = {"on_progress": cancel, "cancelled": cancelled, "progress": False}
    with pytest.raises(CancelledError, match="after 5 of"):
        complete(pipeline, photograph(6, 8), lower_half(6, 8), **options)
    assert told[-1] == 5


def test_stopped_completion_goes_on_with_the_same_photograph_only(pipeline, tmp_path, monkeypatch):
    keep = tmp_path / "unfinished.safetensors"

    def completed(photo, **options):
        pictures = complete(pipeline, photo, lower_half(12, 8), n=2, progress=False, **options)
        return [picture.tobytes() for picture in pictures]

    def stop(self, done):
        self.done = done
        if done == 17:
            raise KeyboardInterrupt

    photos = (photograph(12, 8), photograph(12, 8).transpose(Image.Transpose.ROTATE_180))
    expected = [completed(photo) for photo in photos]
    assert expected[0] != expected[1]
    with monkeypatch.context() as patch:
        patch.setattr(PartialCodes, "advance", stop)
        with pytest.raises(KeyboardInterrupt):
            completed(photos[0], batch_size=1, keep=keep)
    counts = []
    monkeypatch.setattr(PartialCodes, "advance", lambda self, done: counts.append(done))
    assert completed(photos[0], batch_size=1, keep=keep) == expected[0]
    assert counts[0] == 18
    counts.clear()
    assert completed(photos[1], batch_size=1, keep=keep) == expected[1]
    assert counts[0] < 17


def test_pasted_pixels_are_the_photographs_own(pipeline):
    photo = photograph(12, 8)
    (picture,) = complete(pipeline, photo, lower_half(12, 8), blend_px=2)
    assert picture.crop((0, 0, 8, 4)).tobytes() == photo.crop((0, 0, 8, 4)).tobytes()
    assert picture.crop((0, 4, 8, 6)).tobytes() != photo.crop((0, 4, 8, 6)).tobytes()


def test_border_is_blended_evenly():
    photo = Image.new("RGB", (1, 8), "white")
    unfinished = place(photo, lower_half(8, 1), Margins())
    made = -torch.ones(3, 8, 1)
    assert paste(made, unfinished, 3)[0, :, 0].tolist() == [1, 0.5, 0, -0.5, -1, -1, -1, -1]
    assert paste(made, unfinished, 0)[0, :, 0].tolist() == [1] * 4 + [-1] * 4


@given(st.integers(1, 12), st.integers(1, 12), st.integers(1, 5))
def test_canvas_grows_to_a_multiple_by_unknown_pixels(height, width, factor):
    missing = torch.zeros(height, width, dtype=torch.bool)
    placed = place(photograph(height, width), missing, Margins(right=1))
    padded = pad_to_multiple(placed, factor)
    assert all(side % factor == 0 for side in padded.known.shape)
    assert int(padded.known.sum()) == height * width
    assert torch.equal(padded.image[:, :height, : width + 1], placed.image)


@pytest.mark.parametrize(
    ("size", "missing", "message"),
    [
        ((6, 8), torch.zeros(6, 7, dtype=torch.bool), "the mask is 6x7, but the photograph 6x8"),
        ((6, 8), torch.zeros(6, 8, dtype=torch.bool), "nothing is to be completed"),
        ((6, 8), torch.ones(6, 8, dtype=torch.bool), "nothing is known"),
        ((4, 8), lower_half(4, 8), r"size 4x8 .* is below the window of this prior, 6x8"),
    ],
)
def test_wrong_input_is_one_clear_line(pipeline, size, missing, message):
    with pytest.raises(InputError, match=message) as caught:
        complete(pipeline, photograph(*size), missing)
    assert "\n" not in str(caught.value)
