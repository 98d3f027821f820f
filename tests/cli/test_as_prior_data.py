"""`smalti evaluate TOKENIZER --as-prior-data`."""

import json
import shutil
from pathlib import Path

import pytest

from smalti.evaluation import as_prior_data


@pytest.fixture(autouse=True)
def _short(monkeypatch):
    monkeypatch.setattr(as_prior_data, "STEPS", 4)
    monkeypatch.setattr(as_prior_data, "EVALUATE_STEPS", 2)


def test_figures_stand_beside_the_others(succeed, here, world):
    data = ["--data", world.photos, "--out", "e.json"]
    result = succeed("evaluate", world.vqgan, *data, "--as-prior-data")
    report = json.loads(Path("e.json").read_text(encoding="utf-8"))
    figures = {name: figure["value"] for name, figure in report["figures"].items()}
    assert figures["prior_data_bits_uniform"] == pytest.approx(4 * 64 / (3 * 16 * 16))
    assert 0 < figures["prior_data_bits"] < 2 * figures["prior_data_bits_uniform"]
    assert figures["fd_replaced_20"] > 0
    assert "FD-EfficientNet with 5% of the codes replaced" in result.out
    assert "2 unseen images" in result.out
    assert any("learned from 10 of the images" in warning for warning in report["warnings"])


def test_too_few_images_are_refused(refused, here, world):
    shutil.copytree(world.photos / "cat", "few")
    refused(["evaluate", world.vqgan, "--data", "few", "--as-prior-data"], "needs 10", "got 6")
