"""The demonstration: photographs, the command, and the page that it leaves."""

import contextlib
import importlib
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image, ImageStat

import smalti.cli.train_config
import smalti.demo.page
import smalti.demo.photographs
import smalti.runs.data
from smalti.cli.main import main
from smalti.demo.page import Page
from smalti.demo.photographs import PHOTOGRAPHS, SHORTER_SIDE_PX, write_photographs
from smalti.model_folder import step_folders

TINY = {
    "training.total_steps": 2,
    "training.batch_size": 2,
    "training.eval_images": 2,
    "training.eval_steps": 1,
    "training.save_steps": 1,
    "training.picture_steps": 10,
    "training.precision": "float32",
}
TINY_STAGE = {
    "vqgan": {"vqgan.channels": 8, "vqgan.code_dim": 8, "loss.perceptual.kind": "none"},
    "prior": {"codes.views": 2, "prior.layers": 1, "prior.width": 16},
}
RELOADS = '<meta http-equiv="refresh"'


@contextlib.contextmanager
def tiny() -> Iterator[None]:
    """Context with two photographs, and much smaller models than the demonstration's."""
    read = smalti.cli.train_config.read_config

    def read_tiny(root, arguments):
        values = TINY | TINY_STAGE[root.model_fields["stage"].default]
        return read(root, [*arguments, *(f"--{name}={value}" for name, value in values.items())])

    two = [one for one in PHOTOGRAPHS if one.name in ("chelsea", "coffee")]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(smalti.cli.train_config, "read_config", read_tiny)
        patch.setattr(smalti.demo.photographs, "PHOTOGRAPHS", two)
        patch.setattr(smalti.demo.page, "SAMPLES", 2)
        patch.setattr(smalti.runs.data, "draw_curves", lambda run: None)  # takes seconds
        yield


def write_curves(lines, names, path) -> None:
    """Write a picture in place of curves, which take a second."""
    Image.new("RGB", (2, 2)).save(path)


@pytest.fixture
def no_curves(monkeypatch):
    """Curves that cost no time."""
    monkeypatch.setattr(smalti.demo.page, "draw_numbers", write_curves)


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> tuple[Path, list[str]]:
    """A folder in which the demonstration ran to its end, and the pages that it wrote."""
    out = tmp_path_factory.mktemp("finished") / "demo"
    with pytest.MonkeyPatch.context() as patch:
        texts = keep_pages(patch)
        assert demo(out) == 0
    return out, texts


def keep_pages(patch: pytest.MonkeyPatch) -> list[str]:
    """Let the texts of all pages be kept that are written from now on; returns their list."""
    texts: list[str] = []
    write = Page._write

    def write_and_keep(page, status, is_final):
        write(page, status, is_final)
        check_links(page.file)
        texts.append(page.file.read_text(encoding="utf-8"))

    patch.setattr(Page, "_write", write_and_keep)
    return texts


def check_links(page: Path) -> None:
    """Check that the pictures of a page exist and are whole."""
    for link in links_of(page.read_text(encoding="utf-8")):
        with Image.open(page.parent / link) as picture:
            picture.verify()


def links_of(page: str) -> set[str]:
    return set(re.findall(r'(?:src|href)="([^"]+)"', page))


def demo(out: Path) -> int:
    """Run the command with tiny models; returns its exit code."""
    with tiny():
        return main(["demo", "--out", str(out), "--device", "cpu"])


def test_page_shows_pictures_that_exist(finished):
    out, _ = finished
    check_links(out / "index.html")
    page = (out / "index.html").read_text(encoding="utf-8")
    assert links_of(page) == {
        "reconstruction_chelsea.png",
        "reconstruction_coffee.png",
        "samples.png",
        "curves_vqgan.png",
        "curves_prior.png",
    }
    for words in ("perplexity", "2 photographs", "smalti train vqgan --data", "Done:"):
        assert words in page
    assert "Mean PSNR of these training images:" in page
    assert "held-out" not in page.lower()


def test_page_grows_while_both_stages_train(finished):
    out, (first, stage_1, between, stage_2, final) = finished
    assert "photographs/chelsea.png" in links_of(first)
    assert "Stage 1 of 2 begins" in first
    assert "Stage 1 of 2 learns the codes: step 1 of 2" in stage_1
    assert {"reconstruction_chelsea.png", "curves_vqgan.png"} <= links_of(stage_1)
    assert "Stage 2 of 2 begins" in between
    assert "samples.png" not in links_of(between)
    assert "Stage 2 of 2 learns which codes follow which: step 1 of 2" in stage_2
    assert {"samples.png", "curves_prior.png"} <= links_of(stage_2)
    assert [RELOADS in page for page in (first, stage_1, between, stage_2)] == [True] * 4
    assert RELOADS not in final
    assert final == (out / "index.html").read_text(encoding="utf-8")


def test_finished_demonstration_writes_the_same_page_again(finished, no_curves, capsys):
    out, _ = finished
    page = (out / "index.html").read_bytes()
    (out / "index.html").unlink()
    assert demo(out) == 0
    said = capsys.readouterr()
    assert said.err.count("resuming from step 2") == 2
    assert f"open {out / 'index.html'} in a browser" in said.out
    assert (out / "index.html").read_bytes() == page
    assert step_folders(out / "vqgan" / "checkpoints")[-1].name == "step_00000002"


@pytest.mark.parametrize("stage", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_stopped_demonstration_leaves_a_page_and_goes_on(tmp_path, no_curves, monkeypatch, stage):
    pages, grow = keep_pages(monkeypatch), Page.grow

    def stop_after_growing(page):
        grow(page)
        if f"Stage {stage}" in pages[-1]:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(Page, "grow", stop_after_growing)
    assert demo(tmp_path) == 130
    assert f"Stopped. Stage {stage} of 2 learns" in pages[-1]
    assert RELOADS not in pages[-1]
    monkeypatch.setattr(Page, "grow", grow)
    assert demo(tmp_path) == 0
    assert "Done:" in pages[-1]


def test_trial_run_shortens_both_stages(tmp_path, monkeypatch):
    steps = []

    def keep_steps(config, grow):
        steps.append((config.stage, config.training.total_steps))

    for stage in ("vqgan", "prior"):
        module = importlib.import_module(f"smalti.runs.{stage}")
        monkeypatch.setattr(module, f"train_{stage}", keep_steps)
    assert main(["demo", "--out", str(tmp_path), "--device", "cpu", "--steps", "3"]) == 0
    assert steps == [("vqgan", 3), ("prior", 3)]


def test_full_disk_costs_a_page_and_not_the_run(tmp_path, caplog):
    page = Page(tmp_path, [], seed=0)
    page.file.mkdir()
    page.grow()
    assert "it is a folder, not a file; training goes on without a new page" in caplog.text


@pytest.mark.parametrize(
    ("option", "words"),
    [
        (["--seed", "-1"], "at least 0, got -1"),
        (["--device", "nodevice"], "'nodevice'"),
        (["--sed", "1"], "--sed"),
        (["--steps", "0"], "at least 1, got 0"),
    ],
)
def test_wrong_option_is_refused_before_anything_is_written(tmp_path, capsys, option, words):
    out = tmp_path / "demo"
    try:
        code = main(["demo", "--out", str(out), *option])
    except SystemExit as end:  # argparse ends by itself
        code = end.code
    error = capsys.readouterr().err
    assert code == 2
    assert words in error
    assert error.count("\n") == 1
    assert not out.exists()


def test_photographs_are_colour_and_of_one_shorter_side(tmp_path):
    files = write_photographs(tmp_path / "photographs")
    assert [file.stem for file in files] == [one.name for one in PHOTOGRAPHS]
    for file in files:
        with Image.open(file) as picture:
            assert (picture.mode, min(picture.size)) == ("RGB", SHORTER_SIDE_PX)


def test_crops_of_the_photographs_have_something_to_see(tmp_path):
    side = SHORTER_SIDE_PX // 2
    for file in write_photographs(tmp_path / "photographs"):
        with Image.open(file) as picture:
            for left in range(0, picture.width - side + 1, side // 2):
                for top in range(0, SHORTER_SIDE_PX - side + 1, side // 2):
                    crop = picture.crop((left, top, left + side, top + side)).convert("L")
                    assert ImageStat.Stat(crop).stddev[0] > 12, (file.stem, left, top)


def test_photographs_that_are_there_stay(tmp_path):
    (tmp_path / "chelsea.png").write_text("mine", encoding="utf-8")
    assert write_photographs(tmp_path) == [tmp_path / "chelsea.png"]
    assert (tmp_path / "chelsea.png").read_text(encoding="utf-8") == "mine"
