import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from helpers.canvases import (
    CLASSES,
    CODES,
    CPU,
    KINDS,
    H,
    W,
    blank,
    conditions_of,
    model_of,
    paint,
    paint_plainly,
    prior_of,
    segmentation,
)
from helpers.generation import Prompt, generate
from smalti.config import InputError
from smalti.sampling.canvas import Canvas
from smalti.sampling.choice import seeded_choice
from smalti.sampling.config import SamplingConfig
from smalti.sampling.progress import CellCount
from smalti.sampling.sliding_window import sample_canvas
from smalti.sequence.ordering import ORDERINGS, Ordering

GREEDY = SamplingConfig(temperature=0, top_k=0)


# Against the plain way, which reads the whole window again for each cell.


@pytest.mark.parametrize("kinds", KINDS)
@pytest.mark.parametrize("size", [(4, 5), (7, 5), (4, 9), (8, 11)])
def test_equals_reading_every_window_again(kinds, size):
    model = model_of(*KINDS[kinds])
    config = SamplingConfig(top_k=5, temperature=0.9)
    assert torch.equal(
        paint(model, blank(2, *size), config), paint_plainly(model, blank(2, *size), config)
    )


@pytest.mark.parametrize("stride", [2, 3])
def test_strides_equal_reading_their_windows_again(stride):
    model, config = model_of(*KINDS["all"]), SamplingConfig(top_k=0, stride=stride)
    drawn = paint(model, blank(2, 6, 12), config)
    assert torch.equal(drawn, paint_plainly(model, blank(2, 6, 12), config))


# One window is plain generation.


class Backwards(Ordering):
    def __init__(self, height: int, width: int) -> None:
        super().__init__(torch.arange(height * width).flip(0))


@pytest.fixture
def backwards(monkeypatch) -> str:
    """Name of an ordering in which the last cell is the first."""
    monkeypatch.setitem(ORDERINGS._classes, "backwards", Backwards)
    return "backwards"


@pytest.mark.parametrize("guidance", [1, 0, 2.5])
@pytest.mark.parametrize("ordering", ["backwards", *sorted(ORDERINGS)])
@pytest.mark.usefixtures("backwards")
def test_one_window_equals_plain_generation(ordering, guidance):
    model = model_of(CLASSES, height=4, width=4, ordering=ordering)
    config = SamplingConfig(guidance=guidance, guidance_schedule="cosine")
    classes = torch.arange(3).unsqueeze(1) + CODES
    prompt = Prompt(classes, torch.full_like(classes, CODES + 3))
    draw = seeded_choice(0, range(3), 16, CPU)
    tokens = generate(prior_of(model), prompt, 16, CODES, config, draw)
    painted = paint(model, blank(3, 4, 4), config)
    assert torch.equal(model.build_ordering().to_tokens(painted), tokens)


def test_known_cells_are_seen_by_those_that_follow_in_the_ordering(backwards):
    model = model_of(CLASSES, height=4, width=4, ordering=backwards)
    known = torch.zeros(4, 4, dtype=torch.bool)
    known[3] = True
    drawn = [
        paint(model, Canvas(torch.full((1, 4, 4), code), known), GREEDY) for code in range(CODES)
    ]
    assert [codes[0, 3].tolist() for codes in drawn] == [[code] * 4 for code in range(CODES)]
    assert len(torch.cat(drawn)[:, :3].unique(dim=0)) > 1


def test_canvas_beyond_the_window_needs_row_major_order(backwards):
    with pytest.raises(InputError, match="need a prior of ordering row_major; this one has back"):
        paint(model_of(CLASSES, ordering=backwards), blank(1, 6, 9))


# Batches, known cells, going on.


def test_images_do_not_depend_on_their_batch():
    model = model_of(*KINDS["all"])
    together = paint(model, blank(3, 6, 9))
    alone = [paint(model, blank(1, 6, 9), images=[image]) for image in range(3)]
    assert torch.equal(together, torch.cat(alone))
    assert len(together.unique(dim=0)) == 3


@pytest.mark.parametrize(
    "cells",
    [
        [(slice(0, 3), slice(None))],
        [(slice(2, 4), slice(3, 7))],
        [(slice(4, None), slice(None))],
        [(0, 0), (1, 4), (5, 8)],
    ],
    ids=["top", "hole", "bottom", "single"],
)
@pytest.mark.parametrize("size", [(6, 9), (7, 5)])
def test_known_cells_are_held_and_seen(cells, size):
    model, config = model_of(CLASSES), SamplingConfig(top_k=0)
    given = torch.randint(CODES, (2, *size), generator=torch.Generator().manual_seed(8))
    known = torch.zeros(size, dtype=torch.bool)
    for rows, columns in cells:
        known[rows, min(columns, size[1] - 1) if isinstance(columns, int) else columns] = True
    canvas = Canvas(torch.where(known, given, 10**6), known)
    drawn = paint(model, canvas, config)
    assert torch.equal(drawn, canvas.codes)
    assert torch.equal(drawn[:, known], given[:, known])
    expected = paint_plainly(model, Canvas(given, known), config)
    assert torch.equal(drawn, expected)


def test_images_of_a_batch_may_know_different_cells():
    model = model_of(CLASSES)
    given = torch.randint(CODES, (2, 6, 9), generator=torch.Generator().manual_seed(8))
    known = torch.zeros(2, 6, 9, dtype=torch.bool)
    known[0, :3] = True
    known[1, 2:5, 2:5] = True
    together = paint(model, Canvas(torch.where(known, given, 0), known))
    for image in range(2):
        own = slice(image, image + 1)
        canvas = Canvas(torch.where(known, given, 0)[own], known[image])
        assert torch.equal(paint(model, canvas, images=[image]), together[own])


def test_what_is_known_is_not_computed():
    model = model_of(CLASSES)
    prior = prior_of(model)
    read = []
    logits = prior.logits
    prior.logits = lambda tokens, *rest, **named: (
        read.append(tokens.shape) or logits(tokens, *rest, **named)
    )
    known = torch.ones(6, 9, dtype=torch.bool)
    paint(model, Canvas(torch.zeros(1, 6, 9, dtype=torch.int64), known), prior=prior)
    assert read == []
    known[5, 8] = False
    paint(model, Canvas(torch.zeros(1, 6, 9, dtype=torch.int64), known), prior=prior)
    assert read == [(1, 1 + H * W - 1)]


class Stopped(Exception):
    pass


def stopping(seen: list[int], stop_at: int):
    """A count that stops as soon as so many cells are done."""

    def stop(done: int) -> None:
        seen.append(done)
        if done >= stop_at:
            raise Stopped

    return CellCount(0, stop)


@settings(max_examples=15)
@given(
    stop_at=st.integers(1, 54),
    kinds=st.sampled_from(["none", "all"]),
    guidance=st.sampled_from([1, 3]),
    stride=st.integers(1, 3),
    size=st.sampled_from([(6, 9), (4, 5), (7, 5)]),
)
def test_what_was_stopped_anywhere_goes_on_to_the_same_codes(
    stop_at, kinds, guidance, stride, size
):
    stop_at = min(stop_at, size[0] * size[1])
    model = model_of(*KINDS[kinds])
    config = SamplingConfig(guidance=1 if kinds == "none" else guidance, stride=stride)
    known = torch.zeros(size, dtype=torch.bool)
    known[2, 1:4] = True
    expected = paint(model, Canvas(torch.zeros(2, *size).long(), known), config)

    canvas = Canvas(torch.zeros(2, *size).long(), known)
    seen = []
    with pytest.raises(Stopped):
        paint(model, canvas, config, count=stopping(seen, stop_at))
    done = seen[-1]
    undone = ~known & (torch.arange(known.numel()).view(size) >= done)
    canvas.codes[:, undone] = 10**6
    resumed = []
    codes = paint(model, canvas, config, count=CellCount(done, resumed.append))
    assert torch.equal(codes, expected)
    assert all(cells > done for cells in resumed)


class Recorder:
    """Takes the likeliest code, and keeps the probabilities it saw."""

    def __init__(self) -> None:
        self.seen: list[Tensor] = []

    def __call__(self, rows: Tensor, step: int) -> Tensor:
        self.seen.append(rows)
        return rows.argmax(1)


def paint_with(model, canvas, draw, **options):
    n, height, width = canvas.codes.shape
    conditions = conditions_of(model, n, height, width)
    conditioning, config = model.build_conditioning(), SamplingConfig(top_k=0)
    return sample_canvas(
        prior_of(model), model, conditioning, conditions, canvas, config, draw, **options
    )


def test_resumed_logits_are_the_same_to_the_last_bit():
    model = model_of(CLASSES)
    whole, resumed = Recorder(), Recorder()
    codes = paint_with(model, blank(1, 6, 9), whole)
    canvas = Canvas.unknown(codes.clone())
    paint_with(model, canvas, resumed, count=CellCount(1))  # in the midst of the first run
    assert torch.equal(torch.stack(whole.seen[1:]), torch.stack(resumed.seen[1:]))


@pytest.mark.parametrize("known", ["nothing", "some", "all"])
def test_progress_rises_to_the_number_of_cells(known):
    model, seen = model_of(CLASSES), []
    cells = torch.full((6, 9), known == "all")
    cells[1:4] |= known == "some"
    paint(model, Canvas(torch.zeros(1, 6, 9).long(), cells), count=CellCount(0, seen.append))
    assert seen == sorted(set(seen))
    assert seen[-1] == 54
    if known == "nothing":
        assert seen == list(range(1, 55))


def test_codes_are_a_copy_that_can_be_trained_on():
    model = model_of(CLASSES)
    canvas = blank(1, 6, 9)
    codes = paint(model, canvas)
    assert torch.equal(codes, canvas.codes)
    assert codes.data_ptr() != canvas.codes.data_ptr()
    prior = prior_of(model)
    prior.logits(codes.flatten(1)[:, :20]).sum().backward()
    assert prior.head.weight.grad.abs().sum() > 0


def test_prior_of_these_tests_listens():
    """Or all would be equal whatever the sampler does."""
    codes = paint(model_of(CLASSES), blank(3, 6, 9), GREEDY)
    assert len(codes.unique(dim=0)) == 3
    assert min(len(image.unique()) for image in codes) > 2


def test_one_cache_serves_all_runs():
    model = model_of(CLASSES)
    prior = prior_of(model)
    caches = []
    new_cache = prior.new_cache
    prior.new_cache = lambda rows: caches.append(rows) or new_cache(rows)
    paint(model, blank(3, 6, 9), prior=prior)
    paint(model, blank(3, 6, 9), SamplingConfig(guidance=2), prior=prior)
    assert caches == [3, 6]


def reads_of(prior) -> list[tuple[int, int]]:
    """Rows and length of all tokens that the prior reads from now on."""
    read, logits = [], prior.logits

    def recorded(tokens: Tensor, *rest, **named) -> Tensor:
        read.append(tuple(tokens.shape))
        return logits(tokens, *rest, **named)

    prior.logits = recorded
    return read


@pytest.mark.parametrize(("guidance", "rows"), [(1, 1), (2, 2)])
@pytest.mark.parametrize("size", [(H, W), (6, 9)])
def test_images_of_one_condition_read_it_once(size, guidance, rows):
    model = model_of(CLASSES, segmentation(H, W))
    config = SamplingConfig(top_k=0, guidance=guidance)
    conditions = {
        kind: codes.expand(3, *codes.shape[1:])
        for kind, codes in conditions_of(model, 1, *size).items()
    }

    def codes(images: range) -> tuple[Tensor, tuple[int, int]]:
        prior = prior_of(model)
        read = reads_of(prior)
        parts = {kind: part[images.start : images.stop] for kind, part in conditions.items()}
        draw = seeded_choice(0, images, size[0] * size[1], CPU)
        canvas = blank(len(images), *size)
        conditioning = model.build_conditioning()
        return sample_canvas(prior, model, conditioning, parts, canvas, config, draw), read[0]

    together, first = codes(range(3))
    assert first == (rows, 1 + H * W)
    alone = [codes(range(image, image + 1))[0] for image in range(3)]
    assert torch.equal(together, torch.cat(alone))
    assert len(together.unique(dim=0)) == 3


@pytest.mark.parametrize(
    ("precision", "dtype"), [("float32", torch.float32), ("bfloat16", torch.bfloat16)]
)
def test_prior_computes_in_the_number_format_that_is_asked_for(precision, dtype):
    model = model_of(CLASSES)
    prior = prior_of(model)
    dtypes, logits = set(), prior.logits

    def recorded(*args, **named) -> Tensor:
        found = logits(*args, **named)
        dtypes.add(found.dtype)
        return found

    prior.logits = recorded
    codes = paint(model, blank(2, H, W), SamplingConfig(precision=precision), prior=prior)
    assert dtypes == {dtype}
    assert 0 <= codes.min() <= codes.max() < CODES


# Guidance.


@pytest.mark.parametrize(("scales", "rows"), [((1, 1), 1), ((3, 3), 2), ((1, 3), 2), ((2, 5), 3)])
def test_guidance_takes_as_many_rows_as_it_needs(scales, rows):
    model = model_of(CLASSES, segmentation(H, W))
    prior = prior_of(model)
    read = reads_of(prior)
    paint(model, blank(2, 4, 6), SamplingConfig(guidance=scales), prior=prior)
    assert {count for count, length in read if length == 1} == {2 * rows}


def test_guidance_of_1_for_each_is_no_guidance_and_equal_ones_are_one():
    model = model_of(CLASSES, segmentation(H, W))

    def codes(*guidance: float) -> Tensor:
        return paint(model, blank(2, 6, 9), SamplingConfig(guidance=guidance))

    assert torch.equal(codes(1, 1), codes(1))
    assert torch.equal(codes(3, 3), codes(3))
    assert not torch.equal(codes(3), codes(1))
    assert not torch.equal(codes(3, 1), codes(1, 3))


def test_guidance_of_each_condition_by_hand():
    """The first code's probabilities, from the prior's logits with 0, 1 and 2 conditions."""
    model = model_of(CLASSES, segmentation(H, W))
    draw = Recorder()
    conditions = conditions_of(model, 1, H, W)
    config = SamplingConfig(top_k=0, guidance=(2, 5))
    prior = prior_of(model)
    conditioning = model.build_conditioning()
    sample_canvas(prior, model, conditioning, conditions, blank(1, H, W), config, draw)
    null = torch.cat([torch.tensor([[3]]), torch.full((1, H * W), 6 + 4)], dim=1)
    full = torch.cat([torch.tensor([[0]]), conditions["segmentation"].flatten(1) + 4], dim=1)
    half = torch.cat([full[:, :1], null[:, 1:]], dim=1)
    tokens = torch.cat([null, half, full]) + CODES
    with torch.no_grad():
        none, one, two = prior.logits(tokens)[:, -1, :CODES]
    expected = (none + 2 * (one - none) + 5 * (two - one)).softmax(0)
    torch.testing.assert_close(draw.seen[0][0], expected, rtol=1e-4, atol=1e-5)


def test_guidance_of_0_ignores_the_condition():
    model = model_of(CLASSES)
    codes = paint(model, blank(1, 6, 9), SamplingConfig(guidance=0), images=[0])
    other = sample_canvas(
        prior_of(model),
        model,
        model.build_conditioning(),
        {"class": torch.tensor([2])},
        blank(1, 6, 9),
        SamplingConfig(guidance=0),
        seeded_choice(0, [0], 54, CPU),
    )
    assert torch.equal(codes, other)


def test_cosine_begins_unguided_and_ends_guided():
    model = model_of(CLASSES)
    seen = {}
    for name, config in {
        "plain": SamplingConfig(top_k=0),
        "cosine": SamplingConfig(top_k=0, guidance=4, guidance_schedule="cosine"),
        "constant": SamplingConfig(top_k=0, guidance=4),
    }.items():
        draw = Recorder()
        # All but the first and the last cell are known, so that all see the same.
        known = torch.ones(6, 9, dtype=torch.bool)
        known[0, 0] = known[5, 8] = False
        canvas = Canvas(torch.zeros(1, 6, 9).long(), known)
        conditions = conditions_of(model, 1, 6, 9)
        conditioning = model.build_conditioning()
        sample_canvas(prior_of(model), model, conditioning, conditions, canvas, config, draw)
        seen[name] = draw.seen
    torch.testing.assert_close(seen["cosine"][0], seen["plain"][0])
    torch.testing.assert_close(seen["cosine"][-1], seen["constant"][-1])
    assert not torch.allclose(seen["cosine"][-1], seen["plain"][-1], atol=1e-3)


# What is refused.


@pytest.mark.parametrize("size", [(3, 9), (6, 4)])
def test_canvas_below_one_window_is_refused(size):
    with pytest.raises(InputError, match=f"{size[0]}x{size[1]} codes .* below one window .* 4x5"):
        paint(model_of(CLASSES), blank(1, *size))


def test_impossible_stride_and_guidance_are_refused():
    model = model_of(CLASSES, condition_drop=0)
    with pytest.raises(InputError, match="stride 4 is not possible: it must be 1 to 3"):
        paint(model, blank(1, 6, 9), SamplingConfig(stride=4))
    with pytest.raises(InputError, match="condition-drop above 0"):
        paint(model, blank(1, 6, 9), SamplingConfig(guidance=2))


@pytest.mark.parametrize("config", [GREEDY, SamplingConfig(guidance=2)])
def test_broken_weights_give_one_clear_error(config):
    model = model_of(CLASSES)
    prior = prior_of(model)
    with torch.no_grad():
        prior.blocks[1].mlp.expand.bias[3] = float("nan")
    with pytest.raises(InputError, match="logits are not finite numbers"):
        paint(model, blank(1, 6, 9), config, prior=prior)


@pytest.mark.gpu
def test_codes_on_a_gpu_equal_those_on_a_processor():
    model = model_of(*KINDS["all"])
    config = SamplingConfig(guidance=(2, 1, 3), guidance_schedule="cosine")

    def codes(device: str) -> Tensor:
        conditions = conditions_of(model, 2, 6, 9)
        return sample_canvas(
            prior_of(model).to(device),
            model,
            model.build_conditioning(),
            {kind: part.to(device) for kind, part in conditions.items()},
            Canvas.unknown(torch.zeros(2, 6, 9, dtype=torch.int64, device=device)),
            config,
            seeded_choice(0, range(2), 54, torch.device(device)),
        ).cpu()

    assert torch.equal(codes("cuda"), codes("cpu"))
