"""What `sample` and `complete` are asked for reaches the pipeline; nothing is drawn here."""

from typing import Any

import pytest
import torch

from smalti.sampling import completion
from smalti.sampling.config import SamplingConfig
from smalti.sampling.pipeline import Pipeline

OPTIONS = ["--seed", "7", "--temperature", "0.9", "--top-k", "5", "--top-p", "0.8"]
OPTIONS += ["--batch-size", "3", "--stride", "2", "--precision", "bfloat16", "--speculative", "4"]
DRAWING = SamplingConfig(
    temperature=0.9, top_k=5, top_p=0.8, stride=2, precision="bfloat16", speculative=4
)


@pytest.fixture
def asked(monkeypatch) -> dict[str, Any]:
    """Filled with what `Pipeline.sample_codes` is called with; it gives zeros."""
    values: dict[str, Any] = {}

    def sample_codes(_self, request, seed, **options):
        values.update(options, request=request, seed=seed)
        return torch.zeros(request.n, request.height, request.width, dtype=torch.int64)

    monkeypatch.setattr(Pipeline, "sample_codes", sample_codes)
    return values


def test_sample_draws_as_asked(succeed, here, world, asked):
    succeed("sample", world.prior, "-n", "2", "--size", "20x24", *OPTIONS)
    request = asked["request"]
    assert (request.n, request.height, request.width) == (2, 10, 12)
    assert (asked["seed"], asked["batch_size"]) == (7, 3)
    assert asked["config"] == DRAWING


def test_sample_guides_as_asked(succeed, here, world, asked):
    guided = ["--guidance", "2.5", "--guidance-schedule", "cosine", "--condition", "1"]
    succeed("sample", world.classes, "-n", "2", *guided)
    assert asked["config"] == SamplingConfig(guidance=2.5, guidance_schedule="cosine")
    assert asked["request"].values["class"].tolist() == [1, 1]


def test_complete_draws_as_asked(succeed, here, world, asked, monkeypatch):
    blended = []
    paste = completion.paste
    monkeypatch.setattr(
        completion, "paste", lambda *args: (blended.append(args[2]), paste(*args))[1]
    )
    extended = ["--extend", "left=4", "right=8", "top=2", "bottom=6"]
    succeed("complete", world.prior, world.picture, "-n", "2", "--paste", "3", *extended, *OPTIONS)
    request = asked["request"]
    assert (request.n, request.height, request.width) == (2, (20 + 8) // 2, (24 + 12) // 2)
    assert (asked["seed"], asked["batch_size"]) == (7, 3)
    assert asked["config"] == DRAWING
    assert blended == [3, 3]
    known = asked["canvas"].known
    rows, columns = known.any(1).nonzero().flatten(), known.any(0).nonzero().flatten()
    assert (int(rows[0]), int(columns[0])) == (1, 2)  # two pixels a code
    assert (len(rows), len(columns)) == (10, 12)


@pytest.mark.parametrize(
    ("options", "is_slower"),
    [
        (["-n", "1", "--speculative", "8"], False),
        (["-n", "2", "--speculative", "8"], True),
        (["-n", "2", "--speculative", "8", "--batch-size", "1"], False),
        (["-n", "2"], False),
    ],
)
def test_speculation_for_several_images_at_a_time_is_said_to_be_slower(
    succeed, here, world, asked, options, is_slower
):
    for command in (["sample", world.prior], ["complete", world.prior, world.picture]):
        extended = ["--extend", "left=4"] if command[0] == "complete" else []
        printed = succeed(*command, *options, *extended, "--device", "cpu").out
        assert ("faster without --speculative" in printed) is is_slower
