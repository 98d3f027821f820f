"""YAML and JSON as plain data: nothing that was written is lost."""

import pytest

from smalti.config import InputError
from smalti.plain_data import read_json, read_yaml


def test_plain_data_of_both():
    expected = {"a": {"b": [1, 2.5, None, "x"]}, "c": True}
    assert read_yaml("a: {b: [1, 2.5, null, x]}\nc: true", "here") == expected
    assert read_json('{"a": {"b": [1, 2.5, null, "x"]}, "c": true}', "here") == expected


def test_the_same_key_in_two_blocks_is_no_repeat():
    assert read_yaml("a: {x: 1}\nb: {x: 2}", "here") == {"a": {"x": 1}, "b": {"x": 2}}
    assert read_json('[{"x": 1}, {"x": 2}]', "here") == [{"x": 1}, {"x": 2}]


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("training: {steps: 7}\nseed: 1\ntraining: {batch: 3}", "'training' is written twice"),
        (
            "training:\n  steps: 7\n  steps: 8",
            r"'training.steps' is written twice \(lines 2 and 3\)",
        ),
        ("a: [{b: 1, b: 2}]", "'a.b' is written twice"),
        ("x: 1\n'x': 2", "'x' is written twice"),
    ],
)
def test_key_written_twice_in_yaml_is_named(text, key):
    with pytest.raises(InputError, match=f"^here: {key}"):
        read_yaml(text, "here")


@pytest.mark.parametrize("text", ['{"a": 1, "a": 2}', '[{"b": {"c": 0, "a": 1, "a": 1}}]'])
def test_key_written_twice_in_json_is_named(text):
    with pytest.raises(InputError, match=r"^here: 'a' is written twice"):
        read_json(text, "here")


def test_aliases_of_aliases_are_looked_at_once():
    levels = ["a0: &a0 [x]"]
    levels += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 30)]
    assert len(read_yaml("\n".join(levels), "here")) == 30


def test_utf_16_is_known_by_its_mark():
    assert read_yaml("a: ä".encode("utf-16"), "here") == {"a": "ä"}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("seed: [", "here cannot be read as YAML: 'seed: ['; perhaps a bracket, a quote"),
        ("a: {b: 1\nc: 2\n", "here, line 2, cannot be read as YAML: 'c: 2'; perhaps"),
        ("a: 1\nb: 'x\n\n", 'here, line 2, cannot be read as YAML: "b: \'x"; perhaps'),
        ("a:\n\tb: 1", "here, line 2, cannot be read as YAML: 'b: 1'; indent with spaces"),
        ("a: !!python/name:os.system", "only plain texts, numbers, lists and blocks are read"),
        ("a: 2026-13-45", "here cannot be read as YAML: 'a: 2026-13-45'"),
        ("[" * 5000, "here cannot be read as YAML"),
        (b"a: \xff", "here is not UTF-8 text; save it as UTF-8"),
    ],
)
def test_what_is_not_plain_yaml_is_shown_with_its_line(text, words):
    with pytest.raises(InputError) as error:
        read_yaml(text, "here")
    assert str(error.value).startswith(words) or str(error.value).endswith(words)
    assert "token" not in str(error.value)


def test_no_document_is_nothing_and_two_are_an_error():
    assert read_yaml("", "here") is None
    with pytest.raises(InputError, match=r"^here, line 2, cannot be read as YAML: '---'"):
        read_yaml("a: 1\n---\nb: 2", "here")
