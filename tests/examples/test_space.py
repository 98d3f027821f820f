"""The page for a Space, with a stand-in for gradio that takes the same words."""

import inspect
import runpy
import sys
import tomllib
from pathlib import Path
from types import ModuleType

import pytest
import yaml
from PIL import Image

from helpers.studio import MAPS, make_prior
from smalti.conditions.class_label import ClassLabelConfig
from smalti.sampling.pipeline import Pipeline

PROJECT = Path(__file__).resolve().parents[2]
SPACE = PROJECT / "examples" / "space"
# The first parameters of gradio 6.31, in order, and keywords; all that the page may use.
PARAMETERS = {
    "Blocks": "*, title",
    "Row": "",
    "Column": "",
    "Markdown": "value",
    "Dropdown": "choices, *, value, label",
    "File": "value=None, *, type, label",
    "Number": "value, *, label, minimum, maximum, precision",
    "Slider": "minimum, maximum, *, value, step, label, visible=True",
    "Button": "value, *, variant",
    "Gallery": "value=None, *, format, label, columns",
}


class Component:
    """What a page is made of, whose listeners can be called."""

    def __init__(self, kind: str, given: dict[str, object]) -> None:
        self.kind, self.given = kind, given

    def __enter__(self) -> "Component":
        return self

    def __exit__(self, *error: object) -> None: ...

    def click(self, fn, inputs, outputs) -> None:
        self.listener = (fn, inputs, outputs)


class Error(Exception):
    def __init__(self, message: str, *, print_exception: bool) -> None:
        super().__init__(message)


def standing_in(made: list[Component]) -> ModuleType:
    """A module with the names of gradio, which keeps the components that are made."""
    gradio = ModuleType("gradio")
    gradio.Error = Error
    for kind, parameters in PARAMETERS.items():
        signature = inspect.signature(eval(f"lambda {parameters}: 0"))

        def make(*values, kind=kind, signature=signature, **options) -> Component:
            made.append(Component(kind, signature.bind(*values, **options).arguments))
            return made[-1]

        setattr(gradio, kind, make)
    return gradio


class Page:
    """The page for a prior."""

    def __init__(self, prior: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.made: list[Component] = []
        monkeypatch.setitem(sys.modules, "gradio", standing_in(self.made))
        monkeypatch.setenv("MODEL", str(prior))
        runpy.run_path(str(SPACE / "app.py"))
        (button,) = self.of("Button")
        self.fn, self.inputs, self.output = button.listener

    def of(self, kind: str) -> list[Component]:
        return [one for one in self.made if one.kind == kind]


def test_pictures_of_a_class_are_made_as_in_python(tmp_path, monkeypatch):
    prior = make_prior(tmp_path / "prior", ClassLabelConfig(class_names=("cat", "dog")))
    page = Page(prior, monkeypatch)
    assert page.of("Dropdown")[0].given["choices"] == ["all in turn", "cat", "dog"]
    assert [one.kind for one in page.inputs] == ["Number", "Slider", "Slider", "Slider", "Dropdown"]
    assert page.output.kind == "Gallery"
    pipeline = Pipeline.from_pretrained(prior)
    for asked, condition in (("dog", "dog"), ("all in turn", None)):
        expected = pipeline.sample(4, 3, condition, temperature=0.5, top_k=5, progress=False)
        made = page.fn(3, 0.5, 5.0, 1.0, asked)
        assert [one.tobytes() for one in made] == [one.tobytes() for one in expected]


def test_a_map_is_given_as_a_file(tmp_path, monkeypatch):
    page = Page(make_prior(tmp_path / "prior", MAPS), monkeypatch)
    assert page.of("File")[0].given == {"type": "filepath", "label": "Segmentation"}
    map_file = tmp_path / "map.png"
    Image.new("L", (8, 8), 2).save(map_file)
    assert [one.size for one in page.fn(0, 1.0, 100, 1.0, str(map_file))] == [(8, 8)] * 4


def test_what_cannot_be_made_is_told_to_the_visitor(tmp_path, monkeypatch):
    page = Page(make_prior(tmp_path / "prior", MAPS), monkeypatch)
    wrong = {"large": (512, 512), "odd": (9, 8)}
    for name, size in wrong.items():
        Image.new("L", size).save(tmp_path / f"{name}.png")
    (tmp_path / "text.png").write_text("no picture", encoding="utf-8")
    for file, told in {
        None: "Choose a file",
        "large.png": "too large here",
        "odd.png": "multiple",
        "text.png": "not a JPEG, PNG",
    }.items():
        with pytest.raises(Error, match=told):
            page.fn(None, 1.0, 100, 1.0, file and str(tmp_path / file))


def test_without_conditions_nothing_is_asked_for(tmp_path, monkeypatch):
    page = Page(make_prior(tmp_path / "prior"), monkeypatch)
    assert not page.of("Dropdown") + page.of("File")
    assert page.of("Slider")[-1].given["visible"] is False
    assert len(page.fn(None, 1.0, 100, 1.0)) == 4


def test_the_space_installs_what_the_package_needs():
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    listed = (SPACE / "requirements.txt").read_text(encoding="utf-8").split()
    assert listed == project["dependencies"]


def test_the_head_of_the_readme_names_the_page():
    text = (SPACE / "README.md").read_text(encoding="utf-8")
    head = yaml.safe_load(text.split("---\n")[1])
    assert head["sdk"] == "gradio"
    assert (SPACE / head["app_file"]).is_file()
