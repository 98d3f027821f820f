"""`smalti plot`: runs in one picture."""

import shutil
from pathlib import Path


def test_runs_of_both_stages_are_drawn(succeed, here, world):
    shutil.copytree(world.prior, "copy/prior")
    result = succeed("plot", world.vqgan, world.prior, "copy/prior", world.prior)
    written = {path.name for path in Path("plots").iterdir()}
    assert written == {
        f"{topic}{end}" for topic in ("losses", "nll", "codes") for end in (".png", ".svg")
    }
    assert "nll.svg" in result.out
    svg = Path("plots/nll.svg").read_text(encoding="utf-8")
    assert svg.count("<!-- copy/prior: training images -->") == 1
    assert svg.count(f"<!-- {world.prior}: training images -->") == 1


def test_what_is_no_run_is_refused(refused, world):
    refused(["plot", world.vqgan, world.photos], "photos", "is no run")
    refused(["plot", "missing"], "missing", "is no run")
    refused(["plot"], "needs run")


def test_a_run_without_numbers_is_refused(refused, here, world):
    shutil.copytree(world.prior, "new")
    Path("new/metrics.jsonl").unlink()
    refused(["plot", "new"], "new has no numbers yet")
