"""`smalti sample --draw N --keep M`: the best of each round are kept."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from smalti.cli.rejection import _read_classes
from smalti.evaluation.extractors import load_extractor
from smalti.sampling.config import SamplingConfig
from smalti.sampling.pipeline import Pipeline

CLASSES = "cat: [281, 282]\nperson: 983\n"


def pixels(path: str) -> np.ndarray:
    with Image.open(path) as picture:
        return np.asarray(picture)


def kept() -> dict:
    return json.loads(Path("samples/kept.json").read_text(encoding="utf-8"))


def test_the_likeliest_of_each_round_are_kept(succeed, here, world):
    told = ["--condition", "person", "cat", "--seed", "3"]
    result = succeed("sample", world.classes, "-n", "4", "--draw", "3", "--keep", "2", *told)
    succeed("sample", world.classes, "-n", "6", "--out", "all", "--seed", "3", "--condition",
            *["person"] * 3, *["cat"] * 3)  # fmt: skip
    report = kept()
    assert "kept 4 of 6 images" in result.out
    assert sorted(path.name for path in Path("samples").glob("0*.png")) == [
        one["file"] for one in report["kept"]
    ]
    scores = np.array(report["scores"])
    assert [one["drawn"] for one in report["kept"]] == [
        *np.argsort(-scores[:3])[:2],
        *(3 + np.argsort(-scores[3:])[:2]),
    ]
    for one in report["kept"]:
        drawn = pixels(f"all/{one['drawn']:04d}.png")
        assert np.array_equal(pixels(f"samples/{one['file']}"), drawn)


def test_likelihood_is_the_priors_own_at_temperature_1(succeed, here, world):
    succeed("sample", world.prior, "--draw", "2", "--keep", "1", "--temperature", "0.5")
    pipeline = Pipeline.from_pretrained(world.prior)
    request = pipeline.request(2)
    config = SamplingConfig(temperature=0.5)
    codes = pipeline.sample_codes(request, config=config, progress=False)
    tokens = torch.cat([torch.full((2, 1), 16), codes.flatten(1)[:, :-1]], dim=1)
    logits = pipeline.prior.logits(tokens).detach()[..., :16].log_softmax(-1)
    likelihoods = logits.gather(2, codes.flatten(1).unsqueeze(2)).mean((1, 2))
    assert kept()["scores"] == pytest.approx(likelihoods.tolist(), rel=1e-4)


def test_classes_judge_by_the_named_classifier(succeed, here, world):
    Path("classes.yaml").write_text(CLASSES, encoding="utf-8")
    by = ["--by", "class", "--classes", "classes.yaml"]
    result = succeed("sample", world.classes, "--draw", "3", "--keep", "1", *by)
    assert "EfficientNet-Lite0, weights" in result.out
    report = kept()
    assert report["classifier"]["name"] == "EfficientNet"
    assert report["kept"][0]["drawn"] == int(np.argmax(report["scores"]))
    assert all(0 <= score <= 1 for score in report["scores"])


def test_a_score_is_the_probability_of_the_images_own_class(succeed, here, world):
    """Of the numbers that the file gives for it, in each batch."""
    Path("classes.yaml").write_text(CLASSES, encoding="utf-8")
    told = ["-n", "2", "--draw", "2", "--keep", "1", "--condition", "person", "cat"]
    by = ["--by", "class", "--classes", "classes.yaml", "--batch-size", "3"]
    succeed("sample", world.classes, *told, *by)
    pipeline = Pipeline.from_pretrained(world.classes)
    request = pipeline.request(4, ["person", "person", "cat", "cat"])
    images = pipeline.decode(pipeline.sample_codes(request, batch_size=3, progress=False))
    classifier = load_extractor("efficientnet", None, torch.device("cpu"))
    shares = classifier.logits(classifier.features(images)).softmax(-1)
    expected = [shares[0, 983], shares[1, 983], *shares[2:, [281, 282]].sum(1)]
    assert kept()["scores"] == pytest.approx([float(score) for score in expected], rel=1e-3)


def test_a_file_of_classes_is_yaml_or_json(here):
    Path("a.yaml").write_text(CLASSES, encoding="utf-8")
    Path("b.json").write_text('{"cat": [281, 282], "person": [983]}', encoding="utf-8")
    expected = {"cat": [281, 282], "person": [983]}
    assert _read_classes(Path("a.yaml")) == _read_classes(Path("b.json")) == expected


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["PRIOR", "--draw", "4"], ["go together"]),
        (["PRIOR", "--by", "likelihood"], ["--by needs --draw"]),
        (["PRIOR", "--draw", "2", "--keep", "3"], ["--keep 3 is more than --draw 2"]),
        (["PRIOR", "--draw", "4", "--keep", "2", "-n", "3"], ["-n 3", "multiple of --keep 2"]),
        (["PRIOR", "--draw", "4", "--keep", "2", "--classes", "c.yaml"], ["--by class"]),
        (["PRIOR", "--draw", "4", "--keep", "2", "--by", "class"], ["prior of classes", "none"]),
        (["CLASSES", "--draw", "4", "--keep", "2", "--by", "class"], ["--classes FILE", "'cat'"]),
        (
            ["CLASSES", "--draw", "2", "--keep", "1", "--by", "class", "--classes", "no.yaml"],
            ["cannot read", "no.yaml"],
        ),
        (
            ["CLASSES", "--draw", "2", "--keep", "1", "--by", "class", "--classes", "c.yaml"],
            ["cat is 'tabby'"],
        ),
    ],
)
def test_bad_input_is_one_line(refused, here, world, arguments, words):
    Path("c.yaml").write_text("cat: tabby\n", encoding="utf-8")
    named = {"PRIOR": world.prior, "CLASSES": world.classes}
    refused(["sample", *(named.get(word, word) for word in arguments)], *words)
