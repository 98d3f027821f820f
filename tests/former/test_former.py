"""What a former version wrote still loads, goes on and computes the same: see README.md."""

import json
import re
import shutil
import tarfile
from pathlib import Path

import matplotlib.figure
import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from safetensors.numpy import load_file, save_file

from smalti.cli.main import main

HERE = Path(__file__).parent
EXPECTED = json.loads((HERE / "expected.json").read_text(encoding="utf-8"))
CONDITIONS = {
    "unconditional": "",
    "class": "cat",
    "segmentation": "segmentation=former/asked/labels.png",
    "maps": "depth=former/asked/depth.png edges=former/asked/photo.png "
    "low_resolution=former/asked/small.png",
    "keypoints": "former/scenes/keypoints/cat/01.json",
    "pixelsnail": "cat",
}
FAST = ("vqgan", "segmentation")  # of those that go on; the others take seconds each


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory) -> Path:
    """A folder with `former`, the files' times included: hashes of data sets go by them."""
    folder = tmp_path_factory.mktemp("unpacked")
    with tarfile.open(HERE / "former.tar.xz") as archive:
        archive.extractall(folder, filter="data")
    return folder


@pytest.fixture(autouse=True)
def _in_its_folder(unpacked, monkeypatch):
    """Tests leave it as it is, but for the canvas, and write into `tmp_path`."""
    monkeypatch.chdir(unpacked)


@pytest.fixture(autouse=True)
def _no_curves(monkeypatch):
    """Drawing takes longer than training."""
    monkeypatch.setattr(
        matplotlib.figure.Figure, "savefig", lambda _figure, path, **_: Path(path).touch()
    )


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def smalti(line: str) -> None:
    assert main(line.split()) == 0


def later_numbers(run: Path) -> list[dict[str, float]]:
    """Lines of the metrics after the fourth step."""
    lines = map(json.loads, (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines())
    return [line for line in lines if line["step"] > 4 and line["group"] in ("train", "eval")]


def pixels(path: str | Path) -> np.ndarray:
    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGB")).astype(int)


@pytest.mark.parametrize(
    "run", [run if run in FAST else pytest.param(run, marks=pytest.mark.slow) for run in EXPECTED]
)
def test_former_run_goes_on_with_its_codes_to_the_same_numbers(run, tmp_path):
    """Another processor may round otherwise; `make same` compares exactly, on one machine."""
    copy = shutil.copytree(f"former/{run}", tmp_path / run)
    codes = sorted((copy / "codes").glob("*"))
    written = [path.stat().st_mtime_ns for path in codes]
    smalti(f"resume {copy} --training.total_steps 6")
    for found, expected in zip(later_numbers(copy), EXPECTED[run], strict=True):
        assert {name: found[name] for name in expected} == pytest.approx(
            expected, rel=1e-3, abs=1e-3
        )
    assert [path.stat().st_mtime_ns for path in codes] == written
    assert len(codes) == (0 if run == "vqgan" else 3)  # a manifest and two views


@pytest.mark.parametrize("run", CONDITIONS)
def test_former_prior_draws_the_same(run, tmp_path):
    asked = f"--condition {CONDITIONS[run]}" if CONDITIONS[run] else ""
    smalti(f"sample former/{run} -n 1 {asked} --device=cpu --out {tmp_path}/drawn")
    difference = pixels(tmp_path / "drawn/0000.png") - pixels(f"former/drawn/{run}/0000.png")
    assert np.abs(difference).mean() < 1


def test_former_canvas_goes_on_where_its_drawing_was_stopped():
    """The codes drawn are exchanged for others, which must be there in the end."""
    path = Path("former/canvas/unfinished.safetensors")
    stored = load_file(path)
    rows = int(stored["done"]) // 32
    assert 4 < rows < 30
    stored["codes"][:, :rows] = 0
    save_file(stored, path)
    smalti("sample former/unconditional -n 1 --size=64x64 --device=cpu --out former/canvas")
    assert not path.exists()
    difference = pixels("former/canvas/0000.png") - pixels("former/drawn/canvas/0000.png")
    assert np.abs(difference[:rows]).mean() > 10  # drawn anew it would be the same picture


@pytest.mark.parametrize(("tokenizer", "colours"), [("vqgan", 16), ("pixels", 8)])
def test_former_tokenizer_encodes(tokenizer, colours, tmp_path):
    out = tmp_path / "codes.safetensors"
    smalti(f"encode former/{tokenizer} former/scenes/images --size=16 --device=cpu --out {out}")
    found, known = load_file(out), load_file("former/codes.safetensors")
    assert found.keys() == known.keys()
    assert all(0 <= codes.min() <= codes.max() < colours for codes in found.values())
    if tokenizer == "vqgan":
        assert np.mean([(found[name] == known[name]).mean() for name in known]) > 0.99


def test_former_codes_are_known_as_those_of_their_tokenizer(tmp_path):
    smalti(f"decode former/vqgan former/codes.safetensors --device=cpu --out {tmp_path}/decoded")
    assert len(list((tmp_path / "decoded").rglob("*.png"))) == 24


@pytest.mark.slow
@pytest.mark.parametrize(
    ("run", "words"),
    [("vqgan", "K = 16"), ("pixels", "8 colours"), ("maps", "depth, edges"), ("class", "class")],
)
def test_former_run_is_described(run, words, capsys):
    smalti(f"inspect former/{run}")
    assert words in capsys.readouterr().out


def test_former_config_file_and_spellings_of_options_are_read(tmp_path):
    config = f"--config {HERE / 'former.yaml'}"
    smalti(f"train vqgan {config} --training.batch_size=3 --data_weights=[1] --out={tmp_path}/run")
    stored = yaml.safe_load((tmp_path / "run/config.yaml").read_text(encoding="utf-8"))
    assert stored["image"]["small"] == "enlarge"
    assert stored["held_out"] == 0.2
    assert stored["data_weights"] == [1]
    assert stored["training"]["batch_size"] == 3
    assert stored["vqgan"]["quantizer"]["restart_below"] == 0.1
    assert stored["discriminator_optimizer"]["learning_rate"] == 1e-4


def test_training_images_of_a_run_without_their_list_follow_its_rule(tmp_path, capsys):
    run = shutil.copytree("former/unconditional", tmp_path / "run")
    (run / "training_images.safetensors").unlink()
    smalti(f"evaluate {run} --data former/scenes -n 12 --few --device=cpu --out {tmp_path}/a.json")
    assert re.search(r"\d+ of these 24 images are training images", capsys.readouterr().out)


def test_former_run_goes_on_by_the_command_that_began_it(tmp_path, capsys):
    run = shutil.copytree("former/unconditional", tmp_path / "run")
    smalti(
        "train prior --data former/scenes --vqgan former/vqgan --image.size=16 --codes.views=2 "
        "--prior.width=8 --prior.heads=2 --prior.layers=1 --training.batch_size=4 "
        "--training.total_steps=4 --training.precision=float32 --training.device=cpu "
        f"--out {run}"
    )
    assert "resuming from step 4" in capsys.readouterr().err
