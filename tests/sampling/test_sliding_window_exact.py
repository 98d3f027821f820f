"""The sliding window draws what the plain way of the paper draws, however little it reads."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.canvases import (
    CLASSES,
    CODES,
    COORDINATES,
    NONE,
    blank,
    model_of,
    paint,
    paint_plainly,
    prior_of,
    segmentation,
)
from smalti.prior.pixelsnail.config import PixelSNAILConfig
from smalti.sampling import kept_windows, sliding_window
from smalti.sampling.canvas import Canvas
from smalti.sampling.config import SamplingConfig
from smalti.sampling.progress import CellCount


def conditioners(kind: str, h: int, w: int) -> tuple:
    """Conditions of a prior with windows of h x w cells."""
    by_kind = {
        "none": (NONE,),
        "class": (CLASSES,),
        "segmentation": (segmentation(h, w),),
        "all": (segmentation(h, w), CLASSES, COORDINATES),
    }
    return by_kind[kind]


@settings(max_examples=40)
@given(
    kind=st.sampled_from(["none", "class", "segmentation", "all"]),
    window=st.tuples(st.integers(1, 4), st.integers(1, 5)),
    more=st.tuples(st.integers(0, 5), st.integers(0, 9)),
    kept_bytes=st.sampled_from([0, 20_000, 2**30]),
    at_once=st.sampled_from([1, 2, 5]),
    images=st.sampled_from([[0, 1], [0, 0], [0, 1, 0]]),
    data=st.data(),
)
def test_codes_equal_those_of_reading_whole_windows(
    kind, window, more, kept_bytes, at_once, images, data
):
    h, w = window
    height, width = h + more[0], w + more[1]
    model = model_of(*conditioners(kind, h, w), height=h, width=w)
    guidance = 1 if kind == "none" else data.draw(st.sampled_from([1, 2.5]), "guidance")
    stride = data.draw(st.integers(1, w - w // 2), "stride")
    config = SamplingConfig(
        temperature=data.draw(st.sampled_from([0, 1]), "temperature"),
        guidance=guidance,
        stride=stride,
    )
    generator = torch.Generator().manual_seed(data.draw(st.integers(0, 99), "seed of known cells"))
    share = data.draw(st.sampled_from([0, 0.3, 0.9]), "known")
    known = torch.rand(len(images), height, width, generator=generator) < share
    codes = torch.randint(CODES, known.shape, generator=generator)
    prior = prior_of(model).double()  # rounding must not flip a choice
    expected = paint_plainly(model, Canvas(codes, known), config, prior, images)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kept_windows, "KEPT_BYTES", kept_bytes)
        patch.setattr(sliding_window, "windows_at_once", lambda device, rows: at_once)
        canvas = Canvas(torch.where(known, codes, 10**6), known)
        drawn = paint(model, canvas, config, prior=prior, conditions_from=images)
    assert torch.equal(drawn, expected)


@pytest.mark.parametrize("size", [(3, 8), (6, 4), (7, 9)])
def test_a_convolutional_prior_draws_what_it_draws_from_whole_windows(size):
    options = {"vocab_size": CODES + 4, "max_length": 12}
    snail = PixelSNAILConfig(blocks=1, width=16, heads=2, dropout=0)
    model = model_of(CLASSES, height=3, width=4, prior=snail, **options)
    prior = prior_of(model).double()
    config = SamplingConfig(top_k=0)
    drawn = paint(model, blank(2, *size), config, prior=prior)
    assert torch.equal(drawn, paint_plainly(model, blank(2, *size), config, prior))


def read_by(model, canvas: Canvas, **options) -> list[tuple[int, int]]:
    """Rows and lengths of what the prior reads at each call, for one canvas."""
    prior, shapes = prior_of(model), []
    logits = prior.logits

    def counted(tokens, *rest, **named):
        shapes.append(tuple(tokens.shape))
        return logits(tokens, *rest, **named)

    prior.logits = counted
    paint(model, canvas, prior=prior, **options)
    return shapes


def tokens_read(model, size: tuple[int, int]) -> list[int]:
    """Lengths of what the prior reads at each call, for one image."""
    return [length for _, length in read_by(model, blank(1, *size))]


def test_a_window_that_comes_back_is_read_on_where_it_ended():
    """A canvas of 3 x 6 and windows of 3 x 4: three windows, in each of three rows."""
    lengths = tokens_read(model_of(CLASSES, height=3, width=4), (3, 6))
    first_row = [1, 1, 1, 1 + 2, 1 + 2, 1]  # the class, and two cells before the windows' own
    # Each window has what it read in the row before: 3, 3 and 4 tokens.
    later_row = [5 - 3, 1, 1, 7 - 3, 7 - 4, 1]
    assert lengths == first_row + later_row * 2


def test_windows_without_room_to_be_kept_are_read_again(monkeypatch):
    model = model_of(CLASSES, height=3, width=4)
    kept = tokens_read(model, (3, 6))
    cache = prior_of(model).new_cache(1)
    monkeypatch.setattr(kept_windows, "KEPT_BYTES", cache.nbytes)  # the first of three
    of_one = tokens_read(model, (3, 6))
    assert of_one[:9] == kept[:9]
    assert of_one[9:12] == [7, 7, 1]


def test_conditions_that_images_have_in_common_are_read_once():
    model = model_of(segmentation(3, 4), height=3, width=4)
    *_, condition, codes = read_by(model, one_unknown(3), conditions_from=[0, 1, 0])
    assert (condition, codes) == ((2, 12), (3, 6))
    assert read_by(model, one_unknown(3), conditions_from=[0, 1, 2])[-1] == (3, 12 + 6)


def one_unknown(images: int) -> Canvas:
    """Canvases of 7 x 9 codes, known but for the first one and one in the middle."""
    known = torch.ones(7, 9, dtype=torch.bool)
    known[0, 0] = known[3, 4] = False
    return Canvas(torch.zeros(images, 7, 9, dtype=torch.int64), known)


# Several rows at a time.


@pytest.fixture
def four_at_once(monkeypatch) -> None:
    monkeypatch.setattr(sliding_window, "windows_at_once", lambda device, rows: 4)


@pytest.mark.usefixtures("four_at_once")
@pytest.mark.parametrize("schedule", ["constant", "cosine"])
def test_rows_at_a_time_are_read_together_and_draw_the_same(schedule, monkeypatch):
    model, read = model_of(CLASSES, height=3, width=4), []
    config = SamplingConfig(top_k=0, guidance=2, guidance_schedule=schedule)
    prior = prior_of(model).double()
    logits = prior.logits
    prior.logits = lambda tokens, *rest, **named: (
        read.append(len(tokens)) or logits(tokens, *rest, **named)
    )
    together = paint(model, blank(2, 8, 16), config, prior=prior)
    assert max(read) == 4 * 2 * 2  # windows, prefixes of guidance, images
    monkeypatch.setattr(sliding_window, "windows_at_once", lambda device, rows: 1)
    assert torch.equal(together, paint(model, blank(2, 8, 16), config, prior=prior))


@pytest.mark.usefixtures("four_at_once")
@pytest.mark.parametrize("stop_at", [1, 30, 59, 60, 77, 119])
def test_rows_at_a_time_that_were_stopped_go_on_to_the_same_codes(stop_at):
    model, config = model_of(CLASSES, height=3, width=4), SamplingConfig(top_k=0)
    expected = paint(model, blank(1, 8, 16), config)
    canvas, seen = blank(1, 8, 16), []

    def stop(done: int) -> None:
        seen.append(done)
        if done >= stop_at:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        paint(model, canvas, config, count=CellCount(0, stop))
    canvas.codes.view(-1)[seen[-1] :] = 10**6  # what is counted is all that is needed
    resumed = []
    codes = paint(model, canvas, config, count=CellCount(seen[-1], resumed.append))
    assert torch.equal(codes, expected)
    assert resumed == sorted(set(resumed))
    assert resumed[-1] == 8 * 16


def test_a_graphics_card_reads_several_windows_and_a_processor_one():
    card, processor = torch.device("cuda"), torch.device("cpu")
    assert [sliding_window.windows_at_once(card, rows) for rows in (1, 4, 16, 99)] == [16, 4, 1, 1]
    assert sliding_window.windows_at_once(processor, 1) == 1
