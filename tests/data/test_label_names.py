"""The names of the classes of label maps are read from a text file beside them."""

import pytest

from smalti.content import LabelsContent
from smalti.data.label_names import read_label_names

NAMES = ("sky", "road", "car")


@pytest.fixture
def scenes(tmp_path):
    (tmp_path / "segmentations").mkdir()
    return tmp_path


@pytest.mark.parametrize("place", ["classes.txt", "segmentations/classes.txt"])
def test_names_are_the_lines_of_the_file(scenes, place):
    (scenes / place).write_text("sky\n road \r\ncar\n\n", encoding="utf-8-sig")
    assert read_label_names(["elsewhere", str(scenes)], LabelsContent(classes=3)) == NAMES


def test_numbers_that_are_shifted_have_the_names_of_their_files(scenes):
    (scenes / "classes.txt").write_text("sky\nroad\ncar", encoding="utf-8")
    found = read_label_names([str(scenes)], LabelsContent(classes=4, shift=True))
    assert found == ("unlabelled", *NAMES)


def test_a_file_of_other_classes_is_left_out_and_said(scenes, caplog):
    (scenes / "classes.txt").write_text("sky\nroad", encoding="utf-8")
    assert read_label_names([str(scenes)], LabelsContent(classes=3)) is None
    assert "it names 2, but there are 3" in caplog.text


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\xff"])
def test_a_file_without_names_is_left_out(scenes, content):
    (scenes / "classes.txt").write_bytes(content)
    assert read_label_names([str(scenes)], LabelsContent(classes=3)) is None


def test_without_a_file_nothing_is_named(scenes):
    assert read_label_names([str(scenes), "hf://owner/name"], LabelsContent(classes=3)) is None
