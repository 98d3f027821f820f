"""Takes the pictures of docs/studio.md: walks through the studio's tabs in Chromium.

    python docs/pictures/studio.py --maps runs/seg --map map.png --photographs runs/crops \
        --beside runs/street --runs runs/one runs/two --out docs/pictures

It needs playwright and Chromium, as `make test-browser` does, and trained runs: a prior of label
maps with such a map, two priors of photographs, and two runs to lay over each other. Run it in the
folder in which these were trained. The pictures show their paths as they are given here.
"""

import argparse
import io
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import sync_playwright

COLOURS = 256
WIDE = {"width": 1180, "height": 860}
PHONE = {"width": 360, "height": 740}


def read_options() -> argparse.Namespace:
    """What to show, and where to write."""
    parser = argparse.ArgumentParser(description="Take the pictures of docs/studio.md.")
    parser.add_argument("--maps", required=True, help="prior of label maps")
    parser.add_argument("--map", required=True, type=Path, help="label map to begin with")
    parser.add_argument("--photographs", required=True, help="prior to complete photographs")
    parser.add_argument("--beside", required=True, help="prior to lay its surprise beside")
    parser.add_argument("--runs", required=True, nargs=2, help="runs to lay over each other")
    parser.add_argument("--out", required=True, type=Path, help="folder of the pictures")
    return parser.parse_args()


@contextmanager
def studio(models: list[str]) -> Iterator[str]:
    """The address of a studio of some runs, while the context lasts."""
    command = [sys.executable, "-m", "smalti", "studio", *models, "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, encoding="utf-8") as process:
        assert process.stdout is not None
        try:
            yield next(line for line in process.stdout if "?token=" in line).split()[4]
        finally:
            process.terminate()


class Walk:
    """A page of the studio, and the folder of its pictures."""

    def __init__(self, page: Any, out: Path) -> None:
        self.page, self.out = page, out
        page.set_default_timeout(180_000)

    def panel(self, tab: str) -> Any:
        """Go to a tab; returns what it shows."""
        self.page.get_by_role("tab", name=tab).click()
        return self.page.locator(f"#panel-{tab.lower()}")

    def take(self, name: str, height: int | None = None) -> None:
        """Take a picture of the upper part of the page, or the whole, with few colours."""
        self.page.mouse.move(0, 0)
        if height is None:
            self.page.wait_for_timeout(1500)
            height = self.page.evaluate("document.documentElement.scrollHeight")
        width = self.page.viewport_size["width"]
        clip = {"x": 0, "y": 0, "width": width, "height": height}
        taken = Image.open(io.BytesIO(self.page.screenshot(full_page=True, clip=clip)))
        few = taken.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE)
        few.save(self.out / f"{name}.png", optimize=True)


def choose(panel: Any, name: str, label: str = "Prior") -> None:
    """Choose a run by the last part of its path."""
    panel.get_by_label(label, exact=True).select_option(label=Path(name).name)


def stroke(walk: Walk, canvas: Any, columns: tuple[float, float], row: float) -> None:
    """Paint from one column to another, both as shares of the canvas's width."""
    box = canvas.bounding_box()
    y = box["y"] + row * box["height"]
    walk.page.mouse.move(box["x"] + columns[0] * box["width"], y)
    walk.page.mouse.down()
    walk.page.mouse.move(box["x"] + columns[1] * box["width"], y, steps=8)
    walk.page.mouse.up()


def make(walk: Walk, options: argparse.Namespace) -> None:
    """Load a map, paint onto it, and take a picture while others are drawn."""
    panel = walk.panel("Make")
    choose(panel, options.maps)
    painted = panel.get_by_label("the painted map")
    painted.wait_for()
    with Image.open(options.map) as labels:
        sides = {"Height": labels.height, "Width": labels.width}
    for side, pixels in sides.items():
        panel.get_by_label(side).fill(str(pixels))
        panel.get_by_label(side).press("Tab")
    panel.get_by_label("Label map").set_input_files(options.map)
    walk.page.wait_for_timeout(1500)
    panel.get_by_text("How it draws").click()
    panel.get_by_label("Guidance").fill("3")
    panel.get_by_label("Stride").fill("4")
    panel.get_by_label("Stride").press("Tab")
    panel.get_by_text("How it draws").click()
    panel.locator(".palette button").nth(8).click()
    panel.get_by_label("Brush").fill("32")
    stroke(walk, painted, (0.48, 0.62), 0.85)
    panel.get_by_role("button", name="make four").click()
    panel.get_by_text(re.compile(r"drawing: (2[3-9]|3)\d\d\d? of")).wait_for()
    walk.take("make", 780)
    panel.get_by_role("button", name="cancel").click()


def complete(walk: Walk, options: argparse.Namespace) -> None:
    """Rub a part out, let the canvas grow, and have it completed."""
    panel = walk.panel("Complete")
    choose(panel, options.photographs)
    canvas = panel.get_by_label("the photograph", exact=True)
    canvas.wait_for()
    panel.locator(".strip button").nth(1).click()
    walk.page.wait_for_timeout(1500)
    stroke(walk, canvas, (0.3, 0.6), 0.6)
    panel.get_by_label("Grow right").fill("32")
    panel.get_by_label("Grow right").press("Tab")
    panel.get_by_role("button", name="complete", exact=True).click()
    panel.locator(".drawn button:enabled").first.wait_for()
    walk.take("complete", 1270)


def surprise(walk: Walk, options: argparse.Namespace) -> None:
    """Show where a photograph surprises two priors."""
    panel = walk.panel("Surprise")
    choose(panel, options.beside)
    choose(panel, options.photographs, "Beside it")
    walk.page.wait_for_timeout(4000)
    panel.get_by_role("button", name="show surprise").click()
    panel.get_by_text("who knows nothing needs").nth(1).wait_for()
    panel.locator(".overlay").first.click(position={"x": 200, "y": 150})
    walk.page.wait_for_timeout(500)
    walk.take("surprise", 880)


def codes(walk: Walk, options: argparse.Namespace) -> None:
    """Choose a cell of a picture, and exchange its code."""
    panel = walk.panel("Codes")
    choose(panel, f"{Path(options.photographs).name} (its tokenizer)", "Tokenizer")
    panel.get_by_text("Most-used first").wait_for()
    panel.locator(".strip button").nth(3).click()
    panel.get_by_text(re.compile("decoding each code: [1-9]")).wait_for()
    panel.get_by_text(re.compile("decoding each code")).wait_for(state="hidden")
    panel.locator(".boards .overlay").first.click(position={"x": 100, "y": 130})
    panel.locator(".patches img").first.wait_for()
    panel.get_by_label("cells of: Codebook").click(position={"x": 230, "y": 60})
    panel.get_by_role("button", name="exchange here").click()
    panel.get_by_text(re.compile("With 1 exchanged code")).wait_for()
    walk.page.wait_for_timeout(1500)
    walk.take("codes", 1130)


def runs(walk: Walk, options: argparse.Namespace) -> None:
    """Show a run, and two over each other."""
    panel = walk.panel("Runs")
    first, second = (Path(name).name for name in options.runs)
    panel.get_by_role("button", name=first, exact=True).click()
    panel.locator("figure.chart svg").first.wait_for()
    panel.get_by_label(f"lay {second} over the others").check()
    panel.get_by_role("heading", name="What differs").wait_for()
    walk.take("runs")


def phone(walk: Walk, options: argparse.Namespace) -> None:
    """Show a run on a phone, in the dark."""
    panel = walk.panel("Runs")
    panel.get_by_role("button", name=Path(options.runs[0]).name, exact=True).click()
    panel.locator(".pictures img").first.wait_for()
    walk.page.wait_for_timeout(1500)
    walk.take("phone", 1200)


def main() -> None:
    """Start a studio and walk through it."""
    options = read_options()
    options.out.mkdir(parents=True, exist_ok=True)
    models = [options.maps, options.photographs, options.beside, *options.runs]
    browser_path = os.environ.get("CHROMIUM") or shutil.which("chromium")
    with studio(list(dict.fromkeys(models))) as address, sync_playwright() as started:
        browser = started.chromium.launch(executable_path=browser_path, args=["--no-sandbox"])
        page = browser.new_page(viewport=WIDE)
        page.goto(address)
        for step in (make, complete, surprise, codes, runs):
            step(Walk(page, options.out), options)
        page = browser.new_page(viewport=PHONE, color_scheme="dark")
        page.goto(address)
        phone(Walk(page, options.out), options)
        browser.close()


if __name__ == "__main__":
    main()
