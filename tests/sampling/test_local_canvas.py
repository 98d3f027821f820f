"""Images of any size by the local prior: each code follows from the whole image before it."""

import pytest
import torch
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
    prior_of,
)
from helpers.whole_image import whole_image
from smalti.config import InputError
from smalti.metrics.nll import nats_of_codes
from smalti.prior.local.config import LocalConfig
from smalti.sampling.canvas import Canvas
from smalti.sampling.choice import seeded_choice
from smalti.sampling.config import SamplingConfig
from smalti.sampling.filters import probabilities
from smalti.sampling.prior_model import PriorModelConfig
from smalti.sampling.progress import CellCount
from smalti.sampling.scoring import score_canvas

LOCAL = LocalConfig(layers=2, heads=2, width=16, dropout=0, neighbour_columns=2)
STILL = ("none", "class", "segmentation", "coarse")  # conditions that no window changes


def local_model(kind: str, **changes: object) -> PriorModelConfig:
    return model_of(*KINDS[kind], prior=LOCAL, **changes)


def image_logits(model: PriorModelConfig, codes: Tensor, is_dropped: bool = False) -> Tensor:
    """Logits (B, H, W, K) of the codes of canvases, with the conditions of images 0, 1, ..."""
    conditioning = model.build_conditioning()
    conditions = conditions_of(model, *codes.shape)
    present = torch.full((len(codes), len(model.conditioners)), not is_dropped)
    globals_ = conditioning.placeless_tokens(conditions, present) + CODES
    maps = [tokens + CODES for tokens in conditioning.grid_tokens(conditions, present)]
    return whole_image(prior_of(model), globals_, maps, codes)[..., :CODES]


def assert_drawn(codes: Tensor, logits: Tensor, config: SamplingConfig, known: Tensor) -> None:
    """Each unknown code is the one that the logits and the seed give."""
    choose = seeded_choice(0, range(len(codes)), codes[0].numel(), CPU)
    for step in range(codes[0].numel()):
        row, column = divmod(step, codes.shape[2])
        if not known[row, column]:
            expected = choose(probabilities(logits[:, row, column], config), step)
            assert torch.equal(codes[:, row, column], expected), (row, column)


@pytest.mark.parametrize("kind", STILL)
@pytest.mark.parametrize("size", [(4, 5), (7, 5), (4, 9), (8, 11)])
def test_each_code_follows_from_the_whole_image_before_it(kind, size):
    model, config = local_model(kind), SamplingConfig(top_k=5, temperature=0.9)
    codes = paint(model, blank(2, *size), config)
    nothing = torch.zeros(size, dtype=torch.bool)
    assert_drawn(codes, image_logits(model, codes), config, nothing)


def test_guidance_compares_with_the_dropped_condition():
    model, config = local_model("segmentation"), SamplingConfig(top_k=5, guidance=2.5)
    codes = paint(model, blank(2, 6, 7), config)
    dropped = image_logits(model, codes, is_dropped=True)
    logits = dropped + 2.5 * (image_logits(model, codes) - dropped)
    assert_drawn(codes, logits, config, torch.zeros(6, 7, dtype=torch.bool))


@pytest.mark.parametrize("kind", ["none", "segmentation", "coordinates", "all"])
def test_known_codes_stay_and_are_read(kind, generator):
    model, config = local_model(kind), SamplingConfig(top_k=0, temperature=0.7)
    codes = torch.randint(CODES, (2, 7, 9), generator=generator)
    known = torch.rand(7, 9, generator=generator) < 0.5
    known[:2] = True  # whole rows, which are read at once
    found = paint(model, Canvas(torch.where(known, codes, 10**6), known), config)
    assert torch.equal(found[:, known], codes[:, known])
    if kind in STILL:
        assert_drawn(found, image_logits(model, found), config, known)
    changed = torch.where(known, (codes + 1) % CODES, 10**6)
    assert not torch.equal(
        paint(model, Canvas(changed, known), config)[:, ~known], found[:, ~known]
    )


@pytest.mark.parametrize("kind", ["coordinates", "all"])
def test_places_of_windows_are_told(kind):
    """The same codes with other places have other probabilities, far from the edges too."""
    model = local_model(kind)
    codes = torch.zeros(1, 4 * H, 4 * W, dtype=torch.int64)
    prior, conditioning = prior_of(model), model.build_conditioning()
    conditions = conditions_of(model, 1, 4 * H, 4 * W)
    conditions = {name: torch.zeros_like(one) for name, one in conditions.items()}
    nats = score_canvas(prior, model, conditioning, conditions, codes)[0]
    assert abs(float(nats[5, 6] - nats[-3, -3])) > 1e-3


@pytest.mark.parametrize("kind", ["none", "all"])
@pytest.mark.parametrize("stop", [1, 6, 20, 41])
def test_a_stopped_drawing_ends_with_the_same_codes(kind, stop, generator):
    model, config = local_model(kind), SamplingConfig(top_k=0)
    known = torch.zeros(6, 7, dtype=torch.bool)
    known[1] = True
    begin = torch.randint(CODES, (2, 6, 7), generator=generator)
    expected = paint(model, Canvas(begin.clone(), known), config)
    canvas, reached = Canvas(begin.clone(), known), []

    def interrupt(done: int) -> None:
        reached.append(done)
        if done >= stop:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        paint(model, canvas, config, count=CellCount(0, interrupt))
    found = paint(model, canvas, config, count=CellCount(reached[-1]))
    assert torch.equal(found, expected)


def test_an_image_does_not_depend_on_its_batch():
    model, config = local_model("all"), SamplingConfig(top_k=0)
    together = paint(model, blank(3, 6, 7), config)
    assert torch.equal(paint(model, blank(1, 6, 7), config, images=[1])[0], together[1])


@pytest.mark.parametrize("kind", STILL)
@pytest.mark.parametrize("size", [(4, 5), (7, 8)])
def test_scores_are_those_of_the_whole_image(kind, size, generator):
    model = local_model(kind)
    codes = torch.randint(CODES, (2, *size), generator=generator)
    conditions = conditions_of(model, 2, *size)
    found = score_canvas(prior_of(model), model, model.build_conditioning(), conditions, codes)
    expected = nats_of_codes(image_logits(model, codes).flatten(1, 2), codes.flatten(1), CODES)
    torch.testing.assert_close(found.flatten(1), expected, rtol=1e-4, atol=1e-4)


def test_a_stride_is_refused():
    model, config = local_model("none"), SamplingConfig(stride=2)
    with pytest.raises(InputError, match="stride 2 is for priors that read a window"):
        paint(model, blank(1, 6, 7), config)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"ordering": "alternate"}, "must be row_major, got alternate"),
        ({"prior": LocalConfig(neighbour_rows=H + 1, dropout=0)}, "are 5 and null; allowed"),
    ],
)
def test_models_that_cannot_be_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        model_of(CLASSES, **{"prior": LOCAL} | changes)
