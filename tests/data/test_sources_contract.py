"""What every kind of data set must do; a new kind is tested when it is added here."""

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from smalti.data.sources import open_source
from smalti.data.sources.base import SOURCES, ImageSource

IMAGES = 5
LABELS = [0, 1, 0, 1, 1]


class Made:
    """A data set on disk, and the files that its images lie in."""

    def __init__(self, spec: str, file: Path) -> None:
        self.spec = spec
        self.file = file


def make_folder(root: Path, encode: Any, tools: Any) -> Made:
    for number, label in enumerate(LABELS):
        path = root / f"images/{'ab'[label]}/{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encode(number))
    return Made(str(root / "images"), root / "images/a/0.png")


def make_glob(root: Path, encode: Any, tools: Any) -> Made:
    made = make_folder(root, encode, tools)
    return Made(f"{made.spec}/*/*.png", made.file)


def make_list(root: Path, encode: Any, tools: Any) -> Made:
    for number in range(IMAGES):
        (root / f"{number}.png").write_bytes(encode(number))
    lines = [f"{number}.png\t{'ab'[label]}\n" for number, label in enumerate(LABELS)]
    (root / "list.txt").write_text("".join(lines), encoding="utf-8")
    return Made(str(root / "list.txt"), root / "0.png")


def make_parquet(root: Path, encode: Any, tools: Any) -> Made:
    contents = [encode(number) for number in range(IMAGES)]
    tools["parquet"](root / "set.parquet", contents, LABELS, ["a", "b"])
    return Made(str(root / "set.parquet"), root / "set.parquet")


def make_webdataset(root: Path, encode: Any, tools: Any) -> Made:
    members = {}
    for number, label in enumerate(LABELS):
        members[f"{number}.png"] = encode(number)
        members[f"{number}.cls"] = "ab"[label].encode()
    tools["tar"](root / "set.tar", members)
    return Made(str(root / "set.tar"), root / "set.tar")


MAKERS = {
    "folder": make_folder,
    "glob": make_glob,
    "list": make_list,
    "parquet": make_parquet,
    "webdataset": make_webdataset,
}


@pytest.fixture(params=sorted(MAKERS))
def made(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    encode: Any,
    write_tar: Callable[..., None],
    write_parquet: Callable[..., None],
) -> Made:
    tools = {"tar": write_tar, "parquet": write_parquet}
    return MAKERS[request.param](tmp_path, encode, tools)


def contents(source: ImageSource) -> set[bytes]:
    return {source.read(index).content for index in range(len(source))}


def test_every_local_kind_is_covered() -> None:
    assert set(MAKERS) | {"hub"} == set(SOURCES)


def test_each_image_is_read_as_stored(made: Made, encode: Any) -> None:
    source = open_source(made.spec, classes=False)
    assert len(source) == IMAGES
    assert contents(source) == {encode(number) for number in range(IMAGES)}


def test_keys_and_names_tell_images_apart(made: Made) -> None:
    source = open_source(made.spec, classes=False)
    keys = [source.key(index) for index in range(IMAGES)]
    names = [source.name(index) for index in range(IMAGES)]
    assert len(set(keys)) == len(set(names)) == IMAGES
    assert all(key.endswith(name) for key, name in zip(keys, names, strict=True))


def test_classes_are_read_when_asked(made: Made, encode: Any) -> None:
    source = open_source(made.spec, classes=True)
    assert source.class_names == ("a", "b")
    found = {source.read(index).content: source.read(index).label for index in range(IMAGES)}
    assert found == {encode(number): label for number, label in enumerate(LABELS)}
    assert [source.label(index) for index in range(IMAGES)] == list(
        source.read(index).label for index in range(IMAGES)
    )


def test_without_classes_there_are_no_labels(made: Made) -> None:
    source = open_source(made.spec, classes=False)
    assert source.class_names is None
    assert source.read(0).label is None


def test_copy_for_another_process_reads_the_same(made: Made) -> None:
    source = open_source(made.spec, classes=True)
    source.read(0)
    copy = pickle.loads(pickle.dumps(source))
    assert [copy.read(i) for i in range(IMAGES)] == [source.read(i) for i in range(IMAGES)]


def test_fingerprint_is_that_of_the_same_files_opened_again(made: Made) -> None:
    fingerprints = {open_source(made.spec, classes).fingerprint() for classes in (True, False)}
    assert len(fingerprints) == 1


def test_fingerprint_changes_with_a_file(made: Made) -> None:
    before = open_source(made.spec, classes=False).fingerprint()
    made.file.touch()
    assert open_source(made.spec, classes=False).fingerprint() != before
