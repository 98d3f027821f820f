"""Names to classes."""

import pytest

from smalti.config import Config, InputError
from smalti.registry import Registry, nearest, unknown_name


@pytest.fixture
def shapes() -> Registry[object]:
    registry: Registry[object] = Registry("shape")
    registry.register("square")(int)
    registry.register("circle")(float)
    return registry


def test_a_registered_class_is_found_by_its_name(shapes):
    assert shapes["square"] is int
    assert list(shapes) == ["square", "circle"]


def test_decorator_gives_the_class_back(shapes):
    @shapes.register("triangle")
    class Triangle:
        pass

    assert shapes["triangle"] is Triangle
    assert Triangle.__name__ == "Triangle"


def test_a_name_is_taken_once_only(shapes):
    with pytest.raises(AssertionError, match="two shapes are called 'square'"):
        shapes.register("square")(str)


def test_unknown_name_tells_the_nearest_and_all(shapes):
    with pytest.raises(InputError) as error:
        shapes["sqare"]
    text = str(error.value)
    assert text == "unknown shape 'sqare'; did you mean 'square'? Known: circle, square"


def test_a_name_like_none_of_them_gets_no_suggestion():
    text = str(unknown_name("preset", "zzz", ["faces"]))
    assert "did you mean" not in text
    assert "Known: faces" in text


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("--temp", "--temperature"),
        ("--Top_K", "--top-k"),
        ("--total-steps", "--training.total-steps"),
        ("--size", "--image.size"),
        ("--image.siez", "--image.size"),
        ("--keep", None),
        ("--foo", None),
        ("cat", None),
        ("--steps", None),
        ("z", None),
    ],
)
def test_nearest_name_is_the_only_one_with_it_inside_or_a_similar_one(name, near):
    known = [
        "--temperature",
        "--top-k",
        "--top-p",
        "--training.total-steps",
        "--training.log-steps",
    ]
    assert nearest(name, [*known, "--image.size", "--image.sizes", "oxcart"]) == near


def test_only_the_first_of_many_names_are_listed():
    text = str(unknown_name("class", "c5000", (f"c{number:03}" for number in range(1000))))
    assert text.endswith("c018, c019, ... (1000 in all)")


def test_config_is_built_by_the_class_of_its_kind(shapes):
    class PairConfig(Config):
        kind: str = "pair"

    shapes.register("pair")(lambda config, side: (config, side))
    config = PairConfig()
    assert shapes.build(config, 3) == (config, 3)
    with pytest.raises(InputError, match="unknown shape 'sqare'; did you mean 'square'"):
        shapes.build(PairConfig(kind="sqare"))
