"""Pictures are made, completed and scored in a real browser; see `test_browser`."""

import math
import re
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch
from PIL import Image

from helpers.studio import MAPS, SPATIAL, make_prior
from smalti.conditions.class_label import ClassLabelConfig
from smalti.conditions.maps import EdgesConfig, SegmentationConfig
from smalti.content import EdgesContent, LabelsContent
from smalti.ranges import from_pil
from smalti.sampling.completion import Margins, complete
from smalti.sampling.pipeline import Pipeline
from smalti.sampling.scoring import score_codes
from smalti.studio.worker import Job, Worker

pytestmark = pytest.mark.browser


@pytest.fixture
def worker() -> Iterator[Worker]:
    """A worker with as much room as the command gives."""
    made = Worker(torch.device("cpu"))
    yield made
    made.close()


@contextmanager
def drawing_stands_still() -> Iterator[None]:
    """Jobs go no further than their first progress, until they are given up."""
    tell = Job.tell

    def told(job: Job, event: str, data: object = None) -> None:
        tell(job, event, data)
        if event == "progress":
            job.cancelled.wait(20)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Job, "tell", told)
        yield


def wait_until_drawn(page) -> None:
    page.locator(".stage .drawn button:enabled").first.wait_for()


def downloaded(page, name: str, number: int, path, panel=None):
    """The picture that a button of the page, or of one of its panels, saves."""
    with page.expect_download() as started:
        (panel or page).get_by_role("button", name=name).nth(number).click()
    started.value.save_as(path)
    with Image.open(path) as picture:
        picture.load()
        return picture


def test_a_map_is_painted_and_pictures_are_made_as_the_command_makes_them(runs, visit, tmp_path):
    make_prior(runs / "prior", MAPS)
    opened = visit()
    page = opened.page
    painted = page.get_by_label("the painted map")
    painted.wait_for()
    page.get_by_label("class 4", exact=True).click()
    page.locator("#panel-make").get_by_label("Tool").select_option("fill an area")
    painted.click(position={"x": 5, "y": 5})
    page.locator("#panel-make").get_by_label("Tool").select_option("brush")
    page.get_by_label("class 2", exact=True).click()
    page.locator("#panel-make").get_by_label("Brush").fill("3")
    box = painted.bounding_box()
    page.mouse.move(box["x"] + 8, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] - 8, box["y"] + box["height"] / 2, steps=4)
    page.mouse.up()
    labels = downloaded(page, "save PNG", 0, tmp_path / "segmentation.png")
    assert {*labels.tobytes()} == {2, 4}  # and nothing between: the brush does not smooth
    page.locator("#panel-make").get_by_label("Seed").fill("7")
    page.get_by_role("button", name="make four").click()
    wait_until_drawn(page)
    page.get_by_text(re.compile("smalti sample .*prior -n 4 --seed 7 --condition segm")).wait_for()
    expected = Pipeline.from_pretrained(runs / "prior").sample(
        4, 7, str(tmp_path / "segmentation.png"), progress=False
    )
    for number in (0, 3):
        found = downloaded(page, "download", number, tmp_path / "made.png")
        assert found.tobytes() == expected[number].tobytes()
    page.get_by_role("button", name="keep").first.click()
    opened.screenshot("make")
    page.locator("#panel-make").get_by_role("button", name="another four").click()
    page.get_by_text("--seed 8").wait_for()
    wait_until_drawn(page)
    assert page.locator(".kept .drawn").count() == 1
    page.locator("#panel-make").get_by_role("button", name="undo").click()
    after = downloaded(page, "save PNG", 0, tmp_path / "undone.png")
    assert {*after.tobytes()} == {4}


def test_a_loaded_map_is_fitted_anew_to_another_size(runs, visit, tmp_path):
    make_prior(runs / "prior", MAPS)
    labels = Image.new("L", (32, 8), 1)
    labels.paste(3, (24, 0, 32, 8))
    labels.save(tmp_path / "map.png")
    page = visit().page
    page.get_by_label("Label map").set_input_files(tmp_path / "map.png")
    page.get_by_text("reading the label map").wait_for(state="hidden")
    width = page.locator("#panel-make").get_by_label("Width")
    width.fill("32")
    width.press("Tab")
    page.get_by_text("--size 8x32").wait_for()
    page.get_by_text("reading the label map").wait_for(state="hidden")
    fitted = downloaded(page, "save PNG", 0, tmp_path / "fitted.png")
    assert fitted.tobytes() == labels.tobytes()


def test_classes_of_the_map_are_called_by_their_names(runs, visit):
    names = ("sky", "road", "car", "tree", "house", "fence")
    content = LabelsContent(classes=6, class_names=names)
    make_prior(runs / "prior", SegmentationConfig(content=content, **SPATIAL))
    page = visit().page
    page.get_by_label("car, class 2", exact=True).click()
    page.get_by_text("Car, class 2 of 0 to 5").wait_for()


def test_the_keyboard_goes_on_where_it_was(runs, visit):
    make_prior(runs / "prior", ClassLabelConfig(class_names=("cat", "dog")))
    page = visit().page
    start = page.get_by_role("button", name="make four")
    start.focus()
    page.keyboard.press("Enter")
    wait_until_drawn(page)
    assert start.evaluate("one => one === document.activeElement")
    with drawing_stands_still():
        page.keyboard.press("Enter")
        page.get_by_text(re.compile("drawing: [1-9]")).wait_for()
        page.keyboard.press("Enter")  # on the button that cancels
        page.get_by_text("drawing: given up").wait_for()


def test_a_map_is_painted_by_keyboard_and_loaded(runs, visit, tmp_path):
    make_prior(runs / "prior", MAPS)
    page = visit().page
    painted = page.get_by_label("the painted map")
    painted.wait_for()
    page.get_by_label("class 5", exact=True).click()
    page.locator("#panel-make").get_by_label("Brush").fill("1")
    painted.focus()
    for key in ("ArrowLeft", "ArrowUp", " "):
        page.keyboard.press(key)
    labels = downloaded(page, "save PNG", 0, tmp_path / "one.png")
    assert [at for at, label in enumerate(labels.tobytes()) if label == 5] == [3 * 8 + 3]
    Image.new("L", (30, 20), 3).save(tmp_path / "map.png")
    page.get_by_label("Label map").set_input_files(tmp_path / "map.png")
    page.get_by_text("reading the label map").wait_for(state="hidden")
    page.locator("#panel-make").get_by_label("Tool").select_option("pick a class")
    painted.click()
    page.get_by_text("Class 3 of").wait_for()


def test_a_map_that_is_still_read_is_drawn_from(runs, visit, monkeypatch, tmp_path):
    make_prior(runs / "prior", MAPS)
    page = visit().page
    page.get_by_label("the painted map").wait_for()
    Image.new("L", (30, 20), 3).save(tmp_path / "map.png")
    tell = Job.tell

    def told(job: Job, event: str, data: object = None) -> None:
        tell(job, event, data)
        if event == "started":
            job.cancelled.wait(0.5)

    monkeypatch.setattr(Job, "tell", told)
    page.get_by_label("Label map").set_input_files(tmp_path / "map.png")
    page.get_by_role("button", name="make four").click()
    wait_until_drawn(page)
    labels = downloaded(page, "save PNG", 0, tmp_path / "drawn.png")
    assert {*labels.tobytes()} == {3}


def test_drawing_is_given_up(runs, visit):
    make_prior(runs / "prior", ClassLabelConfig(class_names=("cat", "dog")))
    page = visit().page
    page.get_by_label("Class").select_option("dog")
    page.locator("#panel-make").get_by_label("Height").fill("96")
    page.locator("#panel-make").get_by_label("Width").fill("96")
    with drawing_stands_still():
        page.get_by_role("button", name="make four").click()
        page.get_by_text(re.compile(r"drawing: [1-9]\d* of 9,?216")).wait_for()
        page.get_by_role("button", name="cancel").click()
        page.get_by_text("drawing: given up").wait_for()
    page.locator("#panel-make").get_by_label("Height").fill("8")
    page.locator("#panel-make").get_by_label("Width").fill("8")
    page.get_by_role("button", name="make four").click()
    wait_until_drawn(page)


def test_edges_come_from_a_photograph(runs, visit, tmp_path):
    make_prior(runs / "prior", EdgesConfig(content=EdgesContent(), **SPATIAL))
    Image.radial_gradient("L").convert("RGB").resize((60, 40)).save(tmp_path / "photo.png")
    page = visit().page
    page.get_by_role("button", name="make four").click()
    page.get_by_text("choose a file for: edges").wait_for()
    page.get_by_label("Edges").set_input_files(tmp_path / "photo.png")
    page.get_by_alt_text("the condition edges").wait_for()
    page.get_by_role("button", name="make four").click()
    wait_until_drawn(page)


def test_a_wrong_value_is_said_where_it_stands(runs, visit):
    make_prior(runs / "prior")
    page = visit().page
    page.locator("#panel-make").get_by_label("Height").fill("9")
    page.get_by_role("button", name="make four").click()
    assert (
        page.locator("#panel-make")
        .get_by_label("Height")
        .evaluate("one => one === document.activeElement")
    )
    page.locator("#panel-make").get_by_label("Height").fill("8")
    page.locator("#panel-make").get_by_label("Seed").fill("")  # is not taken for 0
    page.get_by_role("button", name="make four").click()
    page.wait_for_function("document.activeElement.labels?.[0]?.innerText === 'Seed'")
    assert page.locator(".stage canvas").count() == 0


def test_a_part_that_was_rubbed_out_is_completed(runs, visit, tmp_path):
    make_prior(runs / "prior")
    photo = Image.radial_gradient("L").convert("RGB").resize((80, 60))
    photo.save(tmp_path / "own.png")
    opened = visit()
    page = opened.page
    page.get_by_role("tab", name="Complete").click()
    panel = page.locator("#panel-complete")
    panel.get_by_label("Photograph", exact=True).set_input_files(tmp_path / "own.png")
    canvas = panel.get_by_label("the photograph", exact=True)
    canvas.wait_for()
    assert panel.get_by_role("button", name="complete", exact=True).is_disabled()
    box = canvas.bounding_box()
    panel.get_by_label("Brush").fill("1")
    canvas.click(position={"x": box["width"] * 0.55, "y": box["height"] * 0.55})
    mask = downloaded(page, "save mask.png", 0, tmp_path / "mask.png", panel)
    white = [at for at, one in enumerate(mask.convert("L").tobytes()) if one]
    assert [(at // 10, at % 10) for at in white] == [(4, 4), (4, 5), (5, 4), (5, 5)]  # one code
    panel.get_by_label("Grow top").fill("9999")
    panel.get_by_label("Grow top").press("Tab")
    assert panel.get_by_label("Grow top").input_value() == "512"
    panel.get_by_label("Grow top").fill("-3")
    panel.get_by_label("Grow right").fill("3")
    panel.get_by_label("Grow right").press("Tab")
    assert panel.get_by_label("Grow right").input_value() == "4"
    command = panel.locator(".command code")
    assert command.inner_text().endswith(
        "prior photo.png --mask mask.png --extend right=4 --paste 8 -n 4"
    )
    ready = downloaded(page, "save photo.png", 0, tmp_path / "photo.png", panel)
    panel.get_by_role("button", name="complete", exact=True).click()
    panel.locator(".drawn button:enabled").first.wait_for()
    missing = torch.zeros(8, 10, dtype=torch.bool)
    missing[4:6, 4:6] = True
    expected = complete(
        Pipeline.from_pretrained(runs / "prior"),
        ready.convert("RGB"),
        missing,
        4,
        margins=Margins(right=4),
        blend_px=8,
        progress=False,
    )
    made = downloaded(page, "download", 3, tmp_path / "made.png", panel)
    assert made.tobytes() == expected[3].tobytes()
    over = panel.locator(".compare canvas")
    before = over.evaluate("one => one.toDataURL()")
    panel.get_by_role("slider", name="Original and result").fill("100")
    assert over.evaluate("one => one.toDataURL()") != before
    opened.screenshot("complete")
    panel.get_by_role("button", name="undo").click()
    assert "--mask" not in command.inner_text()
    assert panel.get_by_role("button", name="save photo.png").count() == 1
    assert panel.get_by_role("button", name="save mask.png").count() == 0


def test_the_edges_of_a_photograph_stay_in_their_place_while_the_canvas_grows(
    runs, visit, tmp_path
):
    make_prior(runs / "prior", EdgesConfig(content=EdgesContent(), **SPATIAL))
    photo = Image.new("RGB", (16, 16), "white")
    photo.paste("black", (0, 0, 8, 16))
    photo.save(tmp_path / "own.png")
    page = visit().page
    page.get_by_role("tab", name="Complete").click()
    panel = page.locator("#panel-complete")
    panel.get_by_label("Photograph", exact=True).set_input_files(tmp_path / "own.png")
    panel.get_by_alt_text("the condition edges").wait_for()

    def columns(width: int) -> set[int]:
        """The columns of the condition that hold an edge."""
        panel.get_by_text("reading the edges").wait_for(state="hidden")
        found = downloaded(page, "save PNG", 0, tmp_path / "edges.png", panel)
        assert found.width == width
        return {at % width for at, one in enumerate(found.convert("L").tobytes()) if one}

    assert columns(8) <= {3, 4}
    panel.get_by_label("Grow right").fill("12")
    panel.get_by_label("Grow right").press("Tab")
    page.wait_for_function(
        "document.querySelector('#panel-complete img.condition').naturalWidth === 20"
    )
    assert columns(20) in ({3}, {4}, {3, 4})


def test_a_photograph_is_large_enough_for_both_priors(runs, visit, tmp_path):
    make_prior(runs / "first")
    make_prior(runs / "second", side=6)
    Image.radial_gradient("L").convert("RGB").resize((80, 60)).save(tmp_path / "own.png")
    page = visit().page
    page.get_by_role("tab", name="Surprise").click()
    panel = page.locator("#panel-surprise")
    panel.get_by_label("Photograph", exact=True).set_input_files(tmp_path / "own.png")
    panel.get_by_text("--size 8x10").wait_for()
    panel.get_by_label("Beside it").select_option(label="second")
    panel.get_by_text("--size 12x16").nth(1).wait_for()
    panel.get_by_role("button", name="show surprise").click()
    panel.get_by_text("who knows nothing needs").nth(1).wait_for()


def test_two_priors_are_surprised_beside_each_other(runs, visit, tmp_path):
    make_prior(runs / "first")
    make_prior(runs / "second", ClassLabelConfig(class_names=("cat", "dog")))
    Image.radial_gradient("L").convert("RGB").resize((80, 60)).save(tmp_path / "own.png")
    opened = visit()
    page = opened.page
    page.get_by_role("tab", name="Surprise").click()
    panel = page.locator("#panel-surprise")
    panel.get_by_label("Photograph", exact=True).set_input_files(tmp_path / "own.png")
    panel.get_by_label("Beside it").select_option(label="second")
    panel.get_by_label("Class").select_option("dog")
    panel.locator(".command code").nth(1).wait_for()
    assert "--size 8x10 --condition dog" in panel.locator(".command code").nth(1).inner_text()
    panel.get_by_role("button", name="show surprise").click()
    panel.get_by_text("who knows nothing needs 4.00").nth(1).wait_for()
    photo = downloaded(page, "save photo.png", 0, tmp_path / "photo.png", panel)
    pipeline = Pipeline.from_pretrained(runs / "second")
    codes = pipeline.tokenizer.encode(from_pil(photo.convert("RGB"))[None])
    bits = score_codes(pipeline, codes, pipeline.request(1, "dog", (8, 10)).values) / math.log(2)
    panel.locator(".overlay").nth(0).click(position={"x": 3, "y": 3})
    panel.get_by_text(f"{bits[0, 0, 0]:.2f} bits with second").wait_for()
    panel.get_by_text(f"{bits.mean():.2f} bits a code;").wait_for()
    before = panel.locator("canvas.layer").first.evaluate("one => one.toDataURL()")
    opened.screenshot("surprise")
    panel.get_by_label("Colour").fill("0")
    assert panel.locator("canvas.layer").first.evaluate("one => one.toDataURL()") != before
