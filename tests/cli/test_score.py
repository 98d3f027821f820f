"""`smalti score`: images of 24x20 pixels; the priors' window is 16x16, of 8x8 codes of 16."""

import json
import math
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from smalti.ranges import from_pil
from smalti.sampling.pipeline import Pipeline


def scores(folder: str = "scores") -> dict:
    return json.loads(Path(folder, "scores.json").read_text(encoding="utf-8"))


def test_images_have_scores_and_maps(succeed, here, world):
    result = succeed("score", world.prior, world.picture, world.photos / "person")
    report = scores()
    entry = report["images"][-1]
    assert len(report["images"]) == 7
    assert entry["image"] == str(world.picture)
    bits = np.array(entry["bits"])
    assert bits.shape == (8, 8)
    assert entry["bits_per_code"] == pytest.approx(bits.mean(), abs=1e-3)
    assert entry["nats"] == pytest.approx(bits.sum() * math.log(2), abs=1e-2)
    assert entry["bits_per_dimension"] == pytest.approx(bits.sum() / (3 * 16 * 16), abs=1e-4)
    assert f"{entry['nats_per_code']:.3f}" in result.out
    maps = sorted(Path("scores").glob("*.png"))
    assert [path.name for path in maps] == [one["map"] for one in report["images"]]
    with Image.open(maps[0]) as drawn:
        assert drawn.width > 500


def test_a_large_image_is_scored_by_the_sliding_window(succeed, here, world):
    succeed("score", world.prior, world.picture, "--size", "20x24", "--stride", "2", "--maps", "0")
    assert np.array(scores()["images"][0]["bits"]).shape == (10, 12)
    assert [path.name for path in Path("scores").iterdir()] == ["scores.json"]


def test_classes_come_from_the_folders_by_name(succeed, here, world):
    """The only class of a folder is number 0 there, but not in the prior."""
    shutil.copytree(world.photos / "person", "only/person")
    succeed("score", world.classes, "only", "--maps", "0", "--out", "own")
    succeed("score", world.classes, "only", "--condition", "person", "--maps", "0", "--out", "same")
    succeed("score", world.classes, "only", "--condition", "cat", "--maps", "0", "--out", "other")
    assert scores("own")["images"] == scores("same")["images"]
    assert scores("own")["images"] != scores("other")["images"]


def test_conditions_are_taken_in_turn(succeed, here, world):
    both = [world.photos / "cat" / "0.png", world.photos / "cat" / "1.png"]
    told = ["--condition", "person", "cat"]
    succeed("score", world.classes, *both, *told, "--batch-size", "1", "--maps", "0")
    in_turn = scores()["images"]
    for picture, name, entry in zip(both, ("person", "cat"), in_turn, strict=True):
        succeed("score", world.classes, picture, "--condition", name, "--maps", "0")
        assert scores()["images"][0]["nats"] == pytest.approx(entry["nats"], rel=1e-4)


def test_a_low_resolution_is_made_of_each_image(succeed, here, world):
    data = ["--data", world.photos, "--vqgan", world.vqgan]
    kind = ["--condition", "low_resolution", "--low-resolution-factor", "4"]
    succeed("train", "prior", *data, *kind, "--out", "low", *world.tiny_prior)
    succeed("score", "low", world.picture, "--maps", "0")
    picture = Image.open(world.picture).resize((19, 16), Image.Resampling.BICUBIC)
    small = picture.crop((1, 0, 17, 16)).resize((4, 4), Image.Resampling.BICUBIC)
    small.save("small.png")
    succeed("score", "low", world.picture, "--condition", "small.png", "--maps", "0", "--out", "b")
    assert scores("b")["images"][0]["nats"] == pytest.approx(scores()["images"][0]["nats"])


def test_scores_are_of_the_codes_of_the_picture(succeed, here, world):
    crop = Image.open(world.picture).crop((0, 0, 16, 16))
    crop.save("crop.png")
    succeed("score", world.prior, "crop.png", "--maps", "0")
    pipeline = Pipeline.from_pretrained(world.prior)
    codes = pipeline.tokenizer.encode(from_pil(crop)[None]).flatten(1)
    start = torch.tensor([[16]])  # the token after the 16 codes
    logits = pipeline.prior.logits(torch.cat([start, codes[:, :-1]], dim=1))[0, :, :16]
    nats = -logits.log_softmax(-1).gather(1, codes[0, :, None]).sum()
    assert scores()["images"][0]["nats"] == pytest.approx(nats.item(), rel=1e-5)


def test_a_broken_image_of_a_folder_is_skipped(succeed, here, world):
    Path("mixed").mkdir()
    shutil.copy(world.picture, "mixed/b.png")
    Path("mixed/a.png").write_bytes(b"no picture")
    succeed("score", world.prior, "mixed", "--maps", "0")
    assert scores()["skipped"] == 1
    assert len(scores()["images"]) == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["PRIOR", "missing.png"], ["missing.png", "does not exist"]),
        (["CLASSES", "PICTURE"], ["no class", "--condition"]),
        (["CLASSES", "PICTURE", "--condition", "dgo"], ["dgo"]),
        (["PRIOR", "PICTURE", "--condition", "cat"], ["leave the condition out"]),
        (["PRIOR", "PICTURE", "--size", "15x16"], ["below the window"]),
        (["PRIOR", "PICTURE", "--size", "17x16"], ["multiples of 2"]),
        (["PRIOR", "PICTURE", "--size", "32x32"], ["smaller than the crop", "--small"]),
        (["PRIOR", "PICTURE", "--stride", "5"], ["stride 5", "1 to 4"]),
        (["VQGAN", "PICTURE"], ["prior"]),
        (["PRIOR", "BROKEN"], ["broken.png"]),
    ],
)
def test_bad_input_is_one_line(refused, here, world, arguments, words):
    named = {
        "PRIOR": world.prior,
        "CLASSES": world.classes,
        "VQGAN": world.vqgan,
        "PICTURE": world.picture,
        "BROKEN": "broken.png",
    }
    Path("broken.png").write_bytes(b"no picture")
    refused(["score", *(named.get(word, word) for word in arguments)], *words)
