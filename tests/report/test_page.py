"""The page of a run, from a folder that a run could have left."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from PIL import Image

from smalti.config import InputError
from smalti.health.run_images import RunImages
from smalti.report.page import write_report
from smalti.runs.config import PixelsRunConfig, PriorRunConfig, VQGANRunConfig
from smalti.runs.state import read_run

LINES = [
    {"step": 20, "group": "train", "reconstruction_loss": 0.5, "data_wait": 0.1, "seconds": 90.0},
    {"step": 40, "group": "eval", "reconstruction_loss": 0.4, "psnr_db": 21.5},
]


def make_run(folder: Path, lines: list[dict[str, Any]], pictures: tuple[str, ...] = ()) -> Path:
    config = VQGANRunConfig(data=("<photos>",), out=str(folder))
    (folder / "samples").mkdir(parents=True)
    (folder / "config.yaml").write_text(
        yaml.safe_dump(config.model_dump(mode="json")), encoding="utf-8"
    )
    (folder / "metrics.jsonl").write_text(
        "".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8"
    )
    for number, name in enumerate(pictures):
        Image.new("RGB", (8 + number, 8)).save(folder / "samples" / f"{name}.png")
    return folder


def write(folder: Path) -> str:
    return write_report(read_run(folder)).read_text(encoding="utf-8")


def collapsed(step: int) -> dict[str, Any]:
    numbers = {"code_use": 0.01, "code_perplexity": 3.0, "code_vectors": 9999, "ssim": 0.5}
    return {"step": step, "group": "eval", **numbers}


def test_page_shows_only_pictures_of_its_folder(tmp_path):
    names = ("reconstructions_00000020", "reconstructions_00000040", "codes_00000040")
    page = write(make_run(tmp_path / "run", LINES, names))
    files = re.findall(r'(?:src|href)="([^"]+)"', page)
    assert {"reconstructions.png", "codes.png", "curves_losses.png", "curves_speed.png"} == {*files}
    for file in files:
        with Image.open(tmp_path / "run" / "report" / file) as picture:
            picture.verify()


def test_pictures_are_the_newest(tmp_path):
    run = make_run(tmp_path / "run", LINES, ("samples_00000100", "samples_00000020"))
    assert "Step 100." in write(run)
    with Image.open(run / "report" / "samples.png") as picture:
        assert picture.width == 8


def test_healthy_run_is_called_so(tmp_path):
    page = write(make_run(tmp_path / "run", LINES))
    assert "Healthy" in page
    assert "What to change" not in page


def test_findings_and_remedies_are_told(tmp_path):
    remedy = {"step": 20, "group": "remedy", "finding": "codebook_collapse"}
    remedy |= {"remedy": "restart_codes", "change": "7 codes moved"}
    page = write(make_run(tmp_path / "run", [remedy, collapsed(40), collapsed(60)]))
    assert "codebook collapse: 1% of 512 codes" in page
    assert "What to change: another --vqgan.quantizer" in page
    assert "step 20: 7 codes moved, because of codebook collapse" in page


def test_facts_and_numbers_are_told(tmp_path):
    page = write(make_run(tmp_path / "run", LINES))
    for words in ("step 40 of 2000", "1.5 minutes", "f = 8, K = 512", "psnr_db", "21.5"):
        assert words in page
    assert "&lt;photos&gt;" in page


@pytest.mark.parametrize("held_out", [0, 1])
def test_scores_and_pictures_are_called_what_they_are_of(tmp_path, held_out):
    images = {"step": 0, "group": "images", "training": 9, "held_out": held_out}
    names = ("reconstructions_00000040", "codes_in_context_00000040")
    page = write(make_run(tmp_path / "run", [images, *LINES], names))
    scored, other = ("held-out images", "training images")[:: 1 if held_out else -1]
    for words in (
        f"{scored.capitalize()} above, what their codes give back below",
        f"pieces of reconstructed {scored}",
        f"<h2>Scores of {scored}</h2>",
        f"dots {scored};",
    ):
        assert words in page
    facts = str(RunImages(training=9, held_out=held_out))
    assert facts in page
    assert other not in page.replace(facts, "").lower()


def test_number_that_is_none_is_told_in_words(tmp_path):
    line = {"step": 60, "group": "eval", "reconstruction_loss": None, "psnr_db": None}
    page = write(make_run(tmp_path / "run", [*LINES, line]))
    assert page.count("<td>not a number</td>") == 2


def test_changed_options_are_told(tmp_path):
    change = {"step": 20, "group": "change", "option": "optimizer.learning_rate"}
    page = write(make_run(tmp_path / "run", [*LINES, change | {"was": 0.001, "now": 0.0005}]))
    assert "step 20: optimizer.learning_rate from 0.001 to 0.0005" in page


def test_run_that_has_just_begun_has_a_page(tmp_path):
    page = write(make_run(tmp_path / "run", []))
    assert "step 0 of 2000" in page
    assert "None yet" in page


def test_run_of_stage_2_has_no_codebook(tmp_path):
    run = make_run(tmp_path / "run", [], ("samples_00000040",))
    config = PriorRunConfig(data=("photos",), vqgan="runs/tokenizer", out=str(run))
    (run / "config.yaml").write_text(
        yaml.safe_dump(config.model_dump(mode="json")), encoding="utf-8"
    )
    page = write(run)
    assert "runs/tokenizer" in page
    assert "Codebook" not in page


def test_page_is_written_anew(tmp_path):
    run = make_run(tmp_path / "run", LINES, ("codes_00000040",))
    write(run)
    (run / "samples" / "codes_00000040.png").unlink()
    assert "codes.png" not in write(run)
    assert not (run / "report" / "codes.png").exists()


def test_folder_that_is_no_run_has_no_state(tmp_path):
    assert read_run(tmp_path) is None


def test_palette_has_no_steps_and_no_state(tmp_path):
    config = PixelsRunConfig(data=("photos",))
    (tmp_path / "config.yaml").write_text(
        yaml.safe_dump(config.model_dump(mode="json")), encoding="utf-8"
    )
    assert read_run(tmp_path) is None


def test_run_with_a_damaged_config_is_refused(tmp_path):
    run = make_run(tmp_path / "run", LINES)
    (run / "config.yaml").write_text("stage: vqgan\nvqgn: 1\n", encoding="utf-8")
    with pytest.raises(InputError, match="vqgn"):
        read_run(run)
