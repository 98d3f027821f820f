"""`smalti evaluate` of a prior, and of pictures beside a reference."""

import json
import math
import shutil
import tarfile
from pathlib import Path

import pytest
import torch
from PIL import Image

from helpers.colours import ColoursAndSpread
from smalti.cli.main import Terminated
from smalti.evaluation.extractors import EXTRACTORS
from smalti.model_folder import read_tensors
from smalti.sampling.pipeline import Pipeline


@pytest.fixture(autouse=True)
def _colours(monkeypatch):
    monkeypatch.setitem(EXTRACTORS._classes, "efficientnet", ColoursAndSpread)


def report(path: str = "evaluation.json") -> dict:
    return json.loads(Path(path).read_text(encoding="utf-8"))


def figures(path: str = "evaluation.json") -> dict[str, float]:
    return {name: figure["value"] for name, figure in report(path)["figures"].items()}


@pytest.fixture
def pictures(here) -> Path:
    """Nine pictures of 16x16 pixels that no model has drawn."""
    Path("other").mkdir()
    for number in range(9):
        picture = Image.linear_gradient("L").resize((16, 16)).convert("RGB")
        picture.putpixel((number, 3), (20 * number, 255 - 9 * number, 7))
        picture.rotate(40 * number).save(f"other/p{number}.png")
    return Path("other")


def test_figures_of_a_prior_have_their_protocol(succeed, here, world):
    drawing = ["--temperature", "0.9", "--top-k", "5", "--seed", "3"]
    out = succeed("evaluate", world.classes, "--data", world.photos, "-n", "15", *drawing).out
    values = figures()
    assert {"nll", "nll_bits", "bits_per_dimension", "fd_colours", "kd_colours"} <= values.keys()
    assert values["nll_bits"] == pytest.approx(values["nll"] / math.log(2))
    assert values["bits_per_dimension"] == pytest.approx(values["nll_bits"] * 64 / (3 * 16 * 16))
    protocol = report()["protocol"]
    assert protocol["sampling"]["temperature"] == 0.9
    assert protocol["sampling"]["conditions"] == ["class"]
    assert (protocol["images"]["count"], protocol["data"]["count"]) == (15, 12)
    assert protocol["reference"]["fingerprint"] in protocol["data"]["fingerprint"]
    assert "self-check" in out
    assert "note: FD-Colours of 12 images is too high" in out
    assert "12 of these 12 images are training images" in out
    assert [path.name for path in here.iterdir()] == ["evaluation.json"]


def test_images_of_the_data_are_limited_and_the_protocol_says_so(succeed, here, world):
    command = ["evaluate", world.classes, "--data", world.photos, "-n", "8", "--images"]
    out = succeed(*command, "7").out
    protocol, nll = report()["protocol"], figures()["nll"]
    for record in (protocol["data"], protocol["reference"]["images"]):
        assert (record["count"], record["chosen_of"]) == (7, 12)
    assert "7 of these 7 images are training images" in out
    assert f"7 of {world.photos} (at even distances of 12), 16x16 pixels" in out
    succeed(*command, "12")
    assert report()["protocol"]["data"]["chosen_of"] is None
    assert figures()["nll"] != nll


def test_nll_is_that_of_score(succeed, here, world):
    succeed("evaluate", world.classes, "--data", world.photos, "-n", "8")
    succeed("score", world.classes, world.photos, "--maps", "0")
    scored = [one["nats_per_code"] for one in report("scores/scores.json")["images"]]
    assert figures()["nll"] == pytest.approx(sum(scored) / len(scored), rel=1e-6)


def test_sample_i_is_what_sample_draws(succeed, here, world):
    succeed("evaluate", world.prior, "--data", world.photos, "-n", "9", "--images", "2:8")
    pipeline = Pipeline.from_pretrained(world.prior)
    codes = pipeline.sample_codes(pipeline.request(9), seed=0, progress=False)
    stored = read_tensors(Path("evaluation-2-8.safetensors"))
    assert stored["samples.numbers"].tolist() == [*range(2, 8)]
    assert torch.equal(stored["samples.codes"].long(), codes[2:8].flatten(1))


def test_classes_of_samples_are_those_of_the_images(succeed, here, world, monkeypatch):
    from smalti.runs import prior_evaluation

    classes = []
    real = prior_evaluation.sample_numbered
    monkeypatch.setattr(
        prior_evaluation,
        "sample_numbered",
        lambda *a: (classes.extend(a[2]["class"].tolist()), real(*a))[1],
    )
    succeed("evaluate", world.classes, "--data", world.photos, "-n", "24", "--batch-size", "8")
    assert sorted(classes[:12]) == [0] * 6 + [1] * 6
    assert sorted(classes[12:]) == [0] * 6 + [1] * 6
    assert classes[:12] != sorted(classes[:12])


def test_figures_are_the_same_for_any_batches_and_parts(succeed, here, world):
    command = ["evaluate", world.classes, "--data", world.photos, "-n", "14"]
    succeed(*command)
    succeed(*command, "--batch-size", "5", "--out", "five.json")
    succeed(*command, "--images", "0:3")
    succeed(*command, "--images", "3:14", "--out", "rest.safetensors")
    parts = ["--join", "evaluation-0-3.safetensors", "rest.safetensors"]
    succeed(*command, *parts, "--out", "joined.json")
    for other in ("five.json", "joined.json"):
        assert figures(other) == pytest.approx(figures(), rel=1e-6)


@pytest.mark.parametrize(("signal", "code"), [(KeyboardInterrupt, 130), (Terminated, 143)])
def test_stopped_work_goes_on(signal, code, call, succeed, here, world, monkeypatch):
    from smalti.runs import prior_evaluation

    command = ["evaluate", world.prior, "--data", world.photos, "-n", "12", "--batch-size", "4"]
    succeed(*command, "--out", "whole.json")
    real, drawn = prior_evaluation.sample_numbered, []

    def stopped(pipeline, numbers, *rest):
        if numbers[0] == 8:
            raise signal
        return real(pipeline, numbers, *rest)

    def noted(pipeline, numbers, *rest):
        drawn.extend(numbers)
        return real(pipeline, numbers, *rest)

    monkeypatch.setattr(prior_evaluation, "sample_numbered", stopped)
    result = call(*command)
    assert result.code == code
    assert "goes on" in result.out
    monkeypatch.setattr(prior_evaluation, "sample_numbered", noted)
    succeed(*command)
    assert drawn == [8, 9, 10, 11]
    assert figures() == figures("whole.json")
    assert {path.name for path in here.iterdir()} == {"whole.json", "evaluation.json"}


def test_a_written_reference_gives_the_same_figures(succeed, here, world):
    command = ["evaluate", world.prior, "--data", world.photos, "-n", "9"]
    succeed(*command, "--write-reference", "ref.safetensors")
    succeed(*command, "--reference", "ref.safetensors", "--out", "of_file.json")
    succeed(*command, "--reference", world.photos, "--out", "of_folder.json")
    for other in ("of_file.json", "of_folder.json"):
        assert figures(other) == pytest.approx(figures(), rel=1e-9)
    alone = ["--reference", world.photos, "--size", "16", "--write-reference", "alone.safetensors"]
    succeed("evaluate", *alone)
    first, second = (read_tensors(Path(f"{name}.safetensors")) for name in ("ref", "alone"))
    assert torch.equal(first["features"], second["features"])


def test_pictures_are_compared_with_a_reference(succeed, pictures, world):
    command = ["evaluate", "--samples", pictures, "--reference"]
    out = succeed(*command, world.photos, "--out", "a.json").out
    assert "FD-Colours" in out
    assert report("a.json")["protocol"]["images"]["count"] == 9
    succeed(*command, pictures, "--out", "same.json")
    assert figures("same.json")["fd_colours"] == pytest.approx(0, abs=1e-5)
    assert figures("same.json")["precision"] == 1


def test_the_sheet_of_sampled_pictures_is_no_sample(succeed, here, world):
    succeed("sample", world.prior, "-n", 9, "--out", "drawn")
    command = ["evaluate", "--samples", "drawn", "--reference", world.photos, "--out", "a.json"]
    for size in ([], ["--size", 16]):
        assert "left out: grid.png" in succeed(*command, *size).out
        assert report("a.json")["protocol"]["images"]["count"] == 9


def test_a_set_of_samples_is_compared_once_it_is_whole(succeed, refused, here, world):
    sample = ["sample", world.classes, "-n", 11, "--shard-images", 4, "--out", "set"]
    command = ["evaluate", "--samples", "set", "--reference", world.photos, "--size", 16]
    succeed(*sample, "--shard", "2/2")
    refused(command, "set lacks 2 shards of 3", "shard-00000.tar, shard-00002.tar")
    succeed(*sample)
    succeed(*command, "--out", "set.json")
    for shard in Path("set").glob("*.tar"):
        with tarfile.open(shard) as tar:
            tar.extractall("pictures", filter="data")
    succeed("evaluate", "--samples", "pictures", *command[3:], "--out", "pictures.json")
    assert figures("set.json") == figures("pictures.json")
    assert report("set.json")["protocol"]["images"]["count"] == 11


def test_memorisation_is_a_page_of_pairs(succeed, pictures, world):
    out = succeed("evaluate", world.prior, "--data", pictures, "-n", "11", "--memorisation").out
    assert "evaluation_pairs" in out
    found = report()["memorisation"]
    assert (found["training_images"], found["unseen_images"]) == (12, 9)
    page = Path("evaluation_pairs", "index.html").read_text(encoding="utf-8")
    assert page.count('src="sample_') == 11
    assert page.count('src="unseen_') == 9
    assert "distance" in page
    with Image.open("evaluation_pairs/sample_000.png") as pair:
        assert pair.width > 2 * 16


def test_bad_memorisation_is_one_line(refused, here, world):
    command = ["evaluate", world.prior, "--data", world.photos, "-n", "20"]
    refused([*command, "--memorisation"], "not trained on", "--data")
    refused([*command, "--training-data", world.photos], "--memorisation")
    refused([*command, "--memorisation", "--training-data", "none"], "'none' does not exist")


def test_bad_input_of_a_prior_is_one_line(refused, here, world):
    data = ["--data", world.photos]
    refused(["evaluate", world.prior], "--data")
    refused(["evaluate", world.prior, *data, "-n", "6"], "more images", "6", "--few")
    refused(["evaluate", world.prior, *data, "-n", "20", "--images", "3:21"], "3:21", "0:20")
    refused(["evaluate", world.prior, *data, "--images", "3:3"], "--images", "3:3")
    refused(["evaluate", world.prior, *data, "--images", "0"], "A:B", "0")
    refused(["evaluate", world.prior, *data, "--images", "0:9", "--memorisation"], "--memorisation")
    refused(["evaluate", world.prior, *data, "--top-p", "2"], "top-p")
    refused(["evaluate", world.prior, *data, "--stride", "9"], "stride 9")
    refused(["evaluate", world.prior, *data, "--guidance", "2"], "guidance")
    refused(["evaluate", world.prior, *data, "--extractor", "vgg"], "--extractor", "inception")
    refused(["evaluate", world.prior, *data, "--join", "none.safetensors"], "none.safetensors")
    refused(["evaluate", world.prior, *data, "--write-reference", "a.npz"], ".safetensors")
    refused(["evaluate", world.prior, *data, "--held-out"], "holds nothing out")
    refused(["evaluate", world.prior, *data, "--samples", "x"], "leave out the model")
    refused(["evaluate", world.vqgan, *data, "--top-k", "3"], "--top-k", "vqgan")
    refused(["evaluate", world.vqgan, *data, "--images", "0:3"], "--images A:B is for priors")
    refused(["evaluate", world.classes, "--data", world.photos / "cat"], "class", "cat")


def test_a_reference_is_read_before_samples_are_drawn(refused, succeed, pictures, world):
    command = ["evaluate", world.prior, "--data", world.photos, "-n", "9", "--reference"]
    refused([*command, "none.npz"], "none.npz does not exist")
    size = ["--reference", world.photos, "--size", "20", "--write-reference", "large.safetensors"]
    succeed("evaluate", *size)
    refused([*command, "large.safetensors"], "20x20", "16x16")
    for number in range(4, 9):
        (pictures / f"p{number}.png").unlink()
    refused([*command, pictures], "of 4 images is too high", "--few")


def test_images_that_are_all_broken_leave_nothing_behind(call, here, world):
    Path("broken").mkdir()
    for number in range(9):
        Path(f"broken/{number}.png").write_bytes(b"text")
    result = call("evaluate", world.prior, "--data", "broken", "-n", "9")
    assert result.code == 2
    assert result.error_lines[-1] == ("smalti: all 9 images are broken or smaller than the crop")
    assert [path.name for path in here.iterdir()] == ["broken"]


def test_bad_parts_are_one_line(refused, succeed, here, world):
    command = ["evaluate", world.prior, "--data", world.photos, "-n", "12"]
    succeed(*command, "--images", "0:7")
    part = ["--join", "evaluation-0-7.safetensors"]
    refused([*command, *part], "5 images of --data are in none of the files", "number 7")
    refused([*command, *part, "--seed", "1"], "other options")
    succeed(*command, "--write-reference", "ref.safetensors")
    refused([*command, "--join", "ref.safetensors"], "no file of smalti evaluate --images")


def test_bad_pictures_and_references_are_one_line(refused, succeed, pictures, world, monkeypatch):
    shutil.copytree(pictures, "odd")
    Image.new("RGB", (16, 18)).save("odd/p5.png")
    judged = ["evaluate", "--samples", pictures]
    refused(["evaluate", "--samples", "odd", "--reference", pictures], "p5.png", "18x16", "--size")
    refused(judged, "--reference")
    refused(["evaluate", "--reference", pictures], "--samples")
    refused(["evaluate"], "MODEL")
    refused([*judged, "--reference", pictures, "--top-k", "3"], "--top-k", "without a model")
    refused(["evaluate", "--samples", "none", "--reference", pictures], "'none' does not exist")
    size = ["--reference", world.photos, "--size", "20", "--write-reference", "ref.safetensors"]
    succeed("evaluate", *size)
    refused([*judged, "--reference", "ref.safetensors"], "20x20", "16x16")
    other = ["--reference", "ref.safetensors", "--size", "20", "--small", "enlarge"]
    monkeypatch.setattr(ColoursAndSpread, "resize", "other")
    refused([*judged, *other], "another extractor", "resize")
