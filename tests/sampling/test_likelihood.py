"""What `Pipeline.score` and `Pipeline.logits` say of codes, and how long calls are watched."""

import math
import threading

import pytest
import torch

from helpers.class_pipelines import CLASSES, H, K, W, pipeline_of
from smalti.conditions.none import UnconditionalConfig
from smalti.errors import CancelledError, InputError
from smalti.prior.gpt.config import GPT2Config
from smalti.prior.local.config import LocalConfig
from smalti.progress import Progress
from smalti.sampling.partial import PartialCodes
from smalti.sampling.pipeline import Pipeline

GPT_SHAPE = GPT2Config(layers=1, heads=2, width=16, dropout=0)
LOCAL_SHAPE = LocalConfig(layers=1, heads=2, width=16, dropout=0)


def lively(prior=GPT_SHAPE, conditioner=CLASSES) -> Pipeline:
    """A pipeline whose prior expects some codes much more than others."""
    pipeline = pipeline_of(prior, conditioner)
    with torch.no_grad():
        for name, weight in pipeline.prior.named_parameters():
            if "norm" not in name:
                weight.copy_(torch.randn(weight.shape))
    return pipeline


@pytest.fixture
def pipeline() -> Pipeline:
    return lively()


@pytest.mark.parametrize("size", [(H, W), (5, 7)])
@pytest.mark.parametrize("prior", [GPT_SHAPE, LOCAL_SHAPE], ids=["gpt2", "local"])
def test_scores_are_those_of_the_logits(prior, size):
    pipeline, codes = lively(prior), torch.randint(K, (3, *size))
    logits = pipeline.logits(codes, ["cat", "dog", "dog"], batch_size=2)
    assert logits.shape == (3, *size, K)
    chosen = logits.log_softmax(-1).gather(-1, codes[..., None])[..., 0]
    scored = pipeline.score(codes, ["cat", "dog", "dog"], batch_size=3)
    torch.testing.assert_close(scored.nats, -chosen, rtol=1e-4, atol=1e-5)


def test_logits_of_a_place_depend_on_the_codes_before_it(pipeline):
    codes = torch.zeros(1, H, W, dtype=torch.int64)
    changed = codes.clone()
    changed[0, 1, 2] = 3
    differ = (pipeline.logits(codes, "cat") != pipeline.logits(changed, "cat")).any(-1)
    assert not differ.flatten()[: W + 3].any()
    assert differ.flatten()[W + 3 :].all()


def test_units_of_a_likelihood(pipeline):
    with torch.no_grad():
        pipeline.prior.head.weight.zero_()  # knows nothing: ln K for each code
    found = pipeline.score(torch.randint(K, (2, H, W), dtype=torch.int32), "dog")
    nats, cells = math.log(K), H * W
    assert found.total_nats.tolist() == pytest.approx([nats * cells] * 2)
    assert found.log_likelihood.tolist() == pytest.approx([-nats * cells] * 2)
    assert found.nats_per_code.tolist() == pytest.approx([nats] * 2)
    assert found.bits.flatten().tolist() == pytest.approx([3] * 2 * cells)
    assert found.size_px == (2 * H, 2 * W)
    assert found.bits_per_dimension.tolist() == pytest.approx([3 * cells / (3 * 4 * cells)] * 2)


def test_the_condition_counts(pipeline):
    codes = torch.randint(K, (1, H, W))
    cat, dog = (pipeline.score(codes, name).total_nats for name in ("cat", "dog"))
    assert not torch.allclose(cat, dog)


@pytest.mark.parametrize(
    ("codes", "words"),
    [
        (torch.zeros(H, W, dtype=torch.int64), r"integers \(n, h, w\), got .*\(3, 4\)"),
        (torch.zeros(1, H, W), "integers .* got torch.float32"),
        (torch.full((1, H, W), K), r"in \[0, 8\), got 8 to 8"),
        (torch.zeros(1, 2, W, dtype=torch.int64), "size 4x8 .* below the window"),
    ],
)
def test_what_are_no_codes_of_the_prior_is_refused(pipeline, codes, words):
    for call in (pipeline.score, pipeline.logits):
        with pytest.raises(InputError, match=words):
            call(codes, "cat")


def test_a_missing_condition_is_not_guessed(pipeline):
    codes = torch.zeros(2, H, W, dtype=torch.int64)
    with pytest.raises(InputError, match="under which condition: this prior knows class"):
        pipeline.score(codes)
    assert lively(conditioner=UnconditionalConfig()).score(codes).nats.shape == (2, H, W)


def test_progress_is_told_step_by_step(pipeline):
    told: list[Progress] = []
    pipeline.sample(3, batch_size=2, progress=False, on_progress=told.append)
    assert [one.done for one in told] == list(range(2 * H * W + 1))
    assert {one.total for one in told} == {2 * H * W}
    seconds = [one.seconds for one in told]
    assert seconds == sorted(seconds)
    told.clear()
    codes = torch.zeros(5, H, W, dtype=torch.int64)
    pipeline.score(codes, "cat", batch_size=2, on_progress=told.append)
    assert [(one.done, one.total) for one in told] == [(0, 5), (2, 5), (4, 5), (5, 5)]


def cancel_at(done: int):
    """An event, and a callback that sets it after some steps."""
    cancelled = threading.Event()
    return {
        "cancelled": cancelled,
        "on_progress": lambda told: cancelled.set() if told.done == done else None,
    }


@pytest.mark.parametrize("done", [0, 5, 2 * H * W])
def test_cancelled_drawing_ends_with_one_error(pipeline, done):
    with pytest.raises(CancelledError, match=f"after {done} of {2 * H * W} steps"):
        pipeline.sample(3, batch_size=2, progress=False, **cancel_at(done))


def test_cancelled_drawing_goes_on_where_it_is_kept(pipeline, tmp_path, monkeypatch):
    keep, request = tmp_path / "unfinished.safetensors", pipeline.request(2, "cat")
    whole = pipeline.sample_codes(request, 7, progress=False)
    with pytest.raises(CancelledError):
        pipeline.sample_codes(request, 7, keep=keep, progress=False, **cancel_at(5))
    counted: list[int] = []
    monkeypatch.setattr(PartialCodes, "advance", lambda self, done: counted.append(done))
    assert torch.equal(pipeline.sample_codes(request, 7, keep=keep, progress=False), whole)
    assert min(counted) == 6


def test_cancelled_drawing_leaves_the_mode_of_the_prior(pipeline):
    pipeline.prior.train()
    with pytest.raises(CancelledError):
        pipeline.sample(1, progress=False, **cancel_at(3))
    assert pipeline.prior.training


def test_cancelled_scores_are_given_up(pipeline):
    codes = torch.zeros(5, H, W, dtype=torch.int64)
    with pytest.raises(CancelledError, match="after 2 of 5"):
        pipeline.score(codes, "cat", batch_size=2, **cancel_at(2))
