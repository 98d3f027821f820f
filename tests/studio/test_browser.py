"""The page in a real browser: what a person does, without an error and without asking elsewhere.

They need Chromium (`apt-get install chromium`, or its path in CHROMIUM) and run by
`make test-browser`. Screenshots stay in the folder that SCREENSHOTS names.
"""

import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import pytest
import torch
from PIL import Image

from helpers.browser import Opened
from helpers.studio import LINES, MAPS, make_prior, make_run, write_lines
from smalti.conditions.class_label import ClassLabelConfig
from smalti.studio.worker import Worker
from smalti.training.run_lock import HOLDER_FILE

pytestmark = pytest.mark.browser
PHONE = {"width": 360, "height": 740}


@pytest.fixture
def worker() -> Iterator[Worker]:
    """A worker with as much room as the command gives."""
    made = Worker(torch.device("cpu"))
    yield made
    made.close()


def board(page, number: int):
    """Picture, codes, reconstruction or result: the layer that takes clicks."""
    return page.locator("#panel-codes .boards .overlay").nth(number)


def pixels(page, number: int) -> str:
    """All pixels of a board."""
    return (
        page.locator("#panel-codes .boards canvas.layer")
        .nth(number)
        .evaluate("one => one.toDataURL()")
    )


def test_a_code_is_exchanged_by_hand(run, visit, tmp_path):
    opened = visit()
    page = opened.page
    board(page, 2).wait_for()
    page.get_by_text("Most-used first").wait_for()
    board(page, 0).click(position={"x": 40, "y": 40})
    page.get_by_text(re.compile("The chosen cell, row 1, column 1, holds code")).wait_for()
    held = int(page.locator(".code h2").inner_text().removeprefix("Code "))
    page.locator(".patches img").first.wait_for()
    before = pixels(page, 2)
    page.get_by_label("Put code").fill(str((held + 5) % 16))
    page.get_by_role("button", name="exchange everywhere").click()
    board(page, 3).wait_for()
    page.get_by_text(re.compile(r"With \d+ exchanged codes?")).wait_for()
    assert pixels(page, 3) != before
    assert page.locator(".code h2").inner_text() == f"Code {(held + 5) % 16}"
    opened.screenshot("codes")
    page.get_by_role("button", name="undo").click()
    page.get_by_text("With 0 exchanged codes").wait_for()
    assert pixels(page, 3) == before


def test_a_picture_of_ones_own_is_loaded_and_counted(run, visit, tmp_path):
    Image.radial_gradient("L").resize((60, 40)).save(tmp_path / "own.png")
    page = visit().page
    board(page, 2).wait_for()
    page.get_by_label("Picture", exact=True).set_input_files(tmp_path / "own.png")
    page.get_by_text("Picture, 40x60 pixels").wait_for()
    page.get_by_text("Its 600 codes").wait_for()
    page.get_by_label("Sorted by").select_option("use in the 1 picture loaded here")
    page.get_by_label("cells of: Codebook").click(position={"x": 3, "y": 3})
    assert int(page.get_by_label("Put code").input_value()) < 16
    page.get_by_label("Sorted by").select_option("likeness to the chosen code")
    page.get_by_text("By the distance of their vectors").wait_for()


def test_what_is_no_picture_is_said_on_the_page(run, visit, tmp_path):
    (tmp_path / "notes.png").write_text("no picture", encoding="utf-8")
    page = visit().page
    board(page, 2).wait_for()
    page.get_by_label("Picture", exact=True).set_input_files(tmp_path / "notes.png")
    page.locator(".jobline.error").get_by_text("the picture").wait_for()


def nothing_waits(worker: Worker, seconds: float = 10.0) -> bool:
    """Whether the queue becomes empty within some seconds."""
    deadline = time.monotonic() + seconds
    while worker.waiting and time.monotonic() < deadline:
        time.sleep(0.02)
    return worker.waiting == 0


def test_a_job_says_how_many_wait_before_it_and_is_given_up(run, visit, worker):
    goes_on = threading.Event()
    worker.submit(lambda job: goes_on.wait(20), lambda event, data: None)
    page = visit().page
    page.get_by_text("loading the tokenizer: waiting, 1 before it").wait_for()
    page.get_by_role("button", name="cancel").click()
    page.get_by_text("loading the tokenizer: given up").wait_for()
    assert nothing_waits(worker)
    goes_on.set()


def test_a_page_that_is_left_frees_its_place(run, visit, worker):
    goes_on = threading.Event()
    worker.submit(lambda job: goes_on.wait(20), lambda event, data: None)
    page = visit().page
    page.get_by_text("waiting, 1 before it").wait_for()
    page.close()
    assert nothing_waits(worker)
    goes_on.set()


def test_a_run_is_watched_while_it_trains(run, visit):
    (run / HOLDER_FILE).write_text("{}", encoding="utf-8")
    opened = visit()
    page = opened.page
    page.get_by_role("tab", name="Runs").click()
    page.get_by_text("step 20 of").wait_for()
    page.locator(".detail").get_by_text("training", exact=True).wait_for()
    chart = page.locator("figure.chart", has_text="reconstruction loss")
    chart.get_by_text("training steps: 0.5").wait_for()
    write_lines(run, [LINES[1] | {"step": 30, "reconstruction_loss": 0.125}])
    chart.get_by_text("training steps: 0.125").wait_for()
    page.get_by_text("step 30 of").wait_for()
    Image.new("RGB", (8, 8), "red").save(run / "samples" / "reconstructions_00000030.png")
    write_lines(run, [LINES[1] | {"step": 31, "reconstruction_loss": 0.12}])
    page.get_by_text("Step 30.").wait_for()
    page.get_by_label("step of: Held-out images").fill("0")
    Image.new("RGB", (8, 8), "blue").save(run / "samples" / "reconstructions_00000032.png")
    write_lines(run, [LINES[1] | {"step": 32, "reconstruction_loss": 0.12}])
    page.get_by_text("step 32 of").wait_for()
    page.get_by_text("Step 20.").wait_for()  # an earlier step that was chosen stays
    chart.locator("svg").hover()
    chart.get_by_text("(step 20)").wait_for()
    opened.screenshot("runs")


def test_runs_over_each_other_show_what_differs(run, runs, photos, visit):
    make_run(runs / "other", photos, seed=3)
    opened = visit()
    page = opened.page
    page.get_by_role("tab", name="Runs").click()
    page.get_by_label("lay vqgan over the others").check()
    row = page.get_by_role("row", name="seed")
    row.wait_for()
    assert row.locator("td").all_inner_texts() == ["3", "0"]
    page.get_by_text("vqgan, steps: 0.5").first.wait_for()
    opened.screenshot("runs_compared")


def test_a_damaged_run_is_told_and_comes_back(run, runs, photos, visit):
    config = (run / "config.yaml").read_text(encoding="utf-8")
    (run / "config.yaml").write_text("stage: vqgan\nbad: 1\n", encoding="utf-8")
    page = visit().page
    page.get_by_role("tab", name="Runs").click()
    page.locator(".detail").get_by_text("bad: is not known").wait_for()
    (run / "config.yaml").write_text(config, encoding="utf-8")
    page.get_by_text("training steps: 0.5").wait_for()


def test_without_a_model_it_says_how_to_make_one_and_finds_it(runs, photos, visit):
    opened = visit()
    page = opened.page
    page.get_by_text("No run or model yet").wait_for()
    page.get_by_text(f"smalti train vqgan --data PHOTOS --out {runs}/vqgan").wait_for()
    opened.screenshot("empty")
    make_run(runs / "vqgan", photos)
    board(page, 2).wait_for()
    assert not page.get_by_text("No run or model yet").is_visible()


def test_all_is_reached_by_keyboard(run, visit):
    page = visit().page
    board(page, 2).wait_for()
    page.get_by_text("Most-used first").wait_for()
    page.locator("#tab-codes").focus()
    for name in ("Tokenizer", "Picture"):
        page.keyboard.press("Tab")
        assert page.get_by_label(name, exact=True).evaluate("one => one === document.activeElement")
    board(page, 0).focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowDown")
    page.get_by_text("row 2, column 1, holds").wait_for()
    page.locator("#tab-codes").focus()
    page.keyboard.press("ArrowRight")
    assert page.locator("#tab-runs").get_attribute("aria-selected") == "true"
    chart = page.locator("figure.chart svg").first
    chart.focus()
    page.keyboard.press("Home")
    page.locator("figure.chart").first.get_by_text("(step 10)").wait_for()


def test_every_control_has_a_name_and_an_explanation(run, runs, visit):
    make_prior(runs / "prior", ClassLabelConfig(class_names=("cat", "dog")))
    page = visit().page
    page.get_by_label("Class").wait_for()
    for tab in ("Make", "Complete", "Surprise", "Codes", "Runs"):
        page.get_by_role("tab", name=tab).click()
        page.wait_for_timeout(300)
        controls = page.locator("button:visible, input:visible, select:visible")
        for control in controls.all():
            named = control.evaluate(
                "one => [one.innerText, one.ariaLabel, one.labels?.[0]?.innerText].some(Boolean)"
                " || one.querySelector('img')?.alt"
            )
            explained = control.get_attribute("title") or control.get_attribute("aria-describedby")
            html = control.evaluate("one => one.outerHTML")
            assert named, html
            assert explained, html


@pytest.mark.parametrize("tab", ["Make", "Complete", "Surprise", "Codes", "Runs"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_a_phone_in_dark_and_light(run, runs, visit, tab, scheme):
    make_prior(runs / "prior", MAPS)
    opened = visit(viewport=PHONE, color_scheme=scheme)
    page = opened.page
    page.get_by_label("the painted map").wait_for()
    page.get_by_role("tab", name=tab).click()
    page.wait_for_timeout(500)
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    back = page.evaluate("getComputedStyle(document.body).backgroundColor")
    brightness = sum(map(int, re.findall(r"\d+", back)[:3])) / 3
    assert (brightness < 64) == (scheme == "dark")
    opened.screenshot(f"phone_{tab.lower()}_{scheme}")


def test_a_studio_that_ended_is_said(run, visit, address):
    opened = visit()
    page = opened.page
    board(page, 2).wait_for()
    page.route("**/api/**", lambda route: route.abort())
    page.get_by_role("alert").get_by_text("the studio does not answer").wait_for()
    opened.wrong = [wrong for wrong in opened.wrong if "ERR_FAILED" not in wrong]


def test_two_tabs_work_beside_each_other(run, visit):
    first, second = visit().page, visit().page
    for page in (first, second):
        board(page, 2).wait_for()
        page.get_by_text("Most-used first").wait_for()
    assert pixels(first, 0) == pixels(second, 0)
    started = time.monotonic()
    board(first, 0).click(position={"x": 30, "y": 30})
    board(second, 0).click(position={"x": 90, "y": 90})
    first.get_by_text("row 1, column 1,").wait_for()
    second.get_by_text(re.compile("row [23], column [23],")).wait_for()
    assert time.monotonic() - started < 15


def test_the_command_serves_the_page_and_ends_with_its_signal(run, runs, browser):
    command = [sys.executable, "-m", "smalti", "studio", str(runs), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, encoding="utf-8") as studio:
        address = next(line for line in studio.stdout if "?token=" in line).split()[4]
        opened = Opened(browser, address)
        board(opened.page, 2).wait_for()
        assert opened.wrong == []
        opened.context.close()
        studio.send_signal(signal.SIGTERM)
        assert studio.wait(20) == 143
