"""What is handed over while images are drawn is what `sample` makes, cell by cell."""

import threading
import time

import pytest
import torch
from PIL import Image

from smalti.conditions.class_label import ClassLabelConfig
from smalti.conditions.none import UnconditionalConfig
from smalti.config import InputError
from smalti.prior.build import build_prior
from smalti.prior.gpt.config import GPT2Config
from smalti.prior.pixelsnail.config import PixelSNAILConfig
from smalti.sampling import pipeline as pipelines
from smalti.sampling.completion import Margins, begin, complete
from smalti.sampling.pipeline import Pipeline
from smalti.sampling.prior_model import PriorModelConfig
from smalti.sampling.stream import DrawnCells, DrawnPictures
from smalti.tokenizer.config import VQGANConfig
from smalti.tokenizer.vqgan import VQGAN

K, HEIGHT, WIDTH = 16, 3, 4  # a window of 6x8 pixels: f = 2
PRIORS = {
    "gpt": GPT2Config(layers=1, heads=2, width=16, dropout=0),
    "pixelsnail": PixelSNAILConfig(blocks=1, residual_blocks=1, width=8, heads=1, dropout=0),
}
CLASSES = ClassLabelConfig(class_names=("cat", "dog"))


def pipeline_of(prior="gpt", condition=CLASSES, **changes) -> Pipeline:
    config = PriorModelConfig(
        prior=PRIORS[prior],
        vocab_size=K + 3,
        max_length=HEIGHT * WIDTH,
        codebook_size=K,
        conditioners=(condition,),
        condition_drop=0.1,
        grid_height=HEIGHT,
        grid_width=WIDTH,
        **changes,
    )
    model = build_prior(config.prior, config.sizes)
    torch.manual_seed(0)
    with torch.no_grad():
        for weight in model.parameters():
            weight.copy_(torch.randn(weight.shape) * 0.5)
    vqgan = VQGAN(VQGANConfig(codebook_size=K, channel_multipliers=(1, 1)))
    return Pipeline(vqgan.eval(), model.eval(), config)


@pytest.fixture
def pipeline() -> Pipeline:
    return pipeline_of()


def gathered(events, like):
    """The codes that the cells of events tell, -1 where they tell none."""
    codes = torch.full_like(like, -1)
    for event in events:
        for cell in event.cells:
            assert codes[cell.image, cell.row, cell.column] == -1, "a cell comes once"
            codes[cell.image, cell.row, cell.column] = cell.code
    return codes


@pytest.mark.parametrize("prior", PRIORS)
@pytest.mark.parametrize(
    ("condition", "options"),
    [
        (UnconditionalConfig(), {"seed": 3}),
        (CLASSES, {"condition": "dog", "guidance": 2.0, "temperature": 0.8, "top_k": 5}),
        (CLASSES, {"size": (8, 14), "stride": 2, "batch_size": 2}),
    ],
    ids=["none", "guided class", "beyond the window"],
)
def test_the_images_are_those_of_sample(prior, condition, options):
    pipeline = pipeline_of(prior, condition)
    *cells, last = pipeline.stream(3, **options)
    assert isinstance(last, DrawnPictures)
    assert torch.equal(gathered(cells, last.codes), last.codes)
    expected = pipeline.sample(3, progress=False, **options)
    assert [one.tobytes() for one in last.pictures] == [one.tobytes() for one in expected]


@pytest.mark.parametrize("ordering", ["spiral_out", "row_major"])
def test_cells_come_in_the_order_of_drawing(ordering):
    pipeline = pipeline_of(ordering=ordering)
    *events, _ = pipeline.stream(1)
    places = [cell.row * WIDTH + cell.column for event in events for cell in event.cells]
    assert places == pipeline.ordering.forward.tolist()


def test_several_rows_at_a_time_change_nothing_but_the_order_of_cells(pipeline, monkeypatch):
    expected = pipeline.sample(1, size=(12, 20), progress=False)
    monkeypatch.setattr("smalti.sampling.sliding_window.windows_at_once", lambda *_: 4)
    *events, last = pipeline.stream(1, size=(12, 20))
    places = [cell.row * 10 + cell.column for event in events for cell in event.cells]
    assert sorted(places) == list(range(60)) != places
    assert last.pictures[0].tobytes() == expected[0].tobytes()


def test_cells_come_a_few_at_a_time(pipeline, monkeypatch):
    monkeypatch.setattr(pipelines, "GROUP_SECONDS", 0)
    sizes = [len(event.cells) for event in pipeline.stream(2) if isinstance(event, DrawnCells)]
    assert sizes == [2] * (HEIGHT * WIDTH)  # a cell of each of the two images


def test_it_ends_without_pictures_once_it_is_cancelled(pipeline, monkeypatch):
    monkeypatch.setattr(pipelines, "GROUP_SECONDS", 0)
    cancelled, events = threading.Event(), []
    for event in pipeline.stream(1, cancelled=cancelled):
        events.append(event)
        if len(events) == 5:
            cancelled.set()
    assert [type(event) for event in events] == [DrawnCells] * 5


def test_who_takes_the_cells_computes_as_usual(pipeline, monkeypatch):
    monkeypatch.setattr(pipelines, "GROUP_SECONDS", 0)
    for _ in pipeline.stream(1, precision="bfloat16"):
        assert not torch.is_inference_mode_enabled()
        assert not torch.is_autocast_enabled("cpu")


def test_a_prior_whose_stream_is_left_trains_on(pipeline):
    pipeline.prior.train()
    stream = pipeline.stream(1)
    next(stream)
    stream.close()
    assert pipeline.prior.training


def test_what_is_not_possible_is_refused(pipeline):
    with pytest.raises(InputError, match="unknown class"):
        next(iter(pipeline.stream(1, condition="bird")))
    with pytest.raises(InputError, match="top_k"):
        next(iter(pipeline.stream(1, top_k=-1)))


def test_a_completion_is_streamed(pipeline):
    photograph = Image.radial_gradient("L").convert("RGB").resize((8, 6))
    missing = torch.zeros(6, 8, dtype=torch.bool)
    missing[2:, 4:] = True
    arguments = (pipeline, photograph, missing)
    begun = begin(*arguments, 2, "cat", Margins(right=4))
    before = begun.canvas.codes.clone()
    events = list(pipeline.stream_codes(begun.request, 5, canvas=begun.canvas))
    told = gathered(events, before)
    assert torch.equal(told[:, ~begun.canvas.known], begun.canvas.codes[:, ~begun.canvas.known])
    assert torch.equal(begun.canvas.codes[:, begun.canvas.known], before[:, begun.canvas.known])
    pictures = begun.pictures(pipeline, begun.canvas.codes, None)
    expected = complete(*arguments, 2, 5, "cat", margins=Margins(right=4), progress=False)
    assert [one.tobytes() for one in pictures] == [one.tobytes() for one in expected]


def test_a_slow_prior_hands_over_each_cell(pipeline, monkeypatch):
    draw = pipeline.prior.logits

    def slowly(*arguments, **options):
        time.sleep(pipelines.GROUP_SECONDS)
        return draw(*arguments, **options)

    monkeypatch.setattr(pipeline.prior, "logits", slowly)
    events = [event for event in pipeline.stream(1) if isinstance(event, DrawnCells)]
    assert len(events) == HEIGHT * WIDTH
