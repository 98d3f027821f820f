"""Hub data sets, with the library's download replaced: nothing here opens a connection."""

import sys
from pathlib import Path
from typing import Any

import pytest

from smalti.config import InputError
from smalti.data.decode import BrokenImageError
from smalti.data.sources import open_source
from smalti.data.sources.hub import HubSource

datasets = pytest.importorskip("datasets")
pa = pytest.importorskip("pyarrow")


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch, encode: Any) -> list[tuple[str, str]]:
    """Replace the download by a table of three images; returns what was asked for."""
    asked: list[tuple[str, str]] = []
    features = datasets.Features(
        {"picture": datasets.Image(), "label": datasets.ClassLabel(names=["cat", "dog"])}
    )

    def load_dataset(name: str, split: str) -> Any:
        asked.append((name, split))
        cells = [{"bytes": encode(number), "path": None} for number in range(3)]
        return datasets.Dataset.from_dict({"picture": cells, "label": [1, 0, 1]}, features)

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    return asked


@pytest.mark.parametrize(
    ("spec", "expected"),
    [("owner/name", ("owner/name", "train")), ("owner/name:test", ("owner/name", "test"))],
)
def test_spec_gives_name_and_split(
    loaded: list[tuple[str, str]], spec: str, expected: tuple[str, str]
) -> None:
    source = open_source(spec, classes=False)
    assert isinstance(source, HubSource)
    assert loaded == [expected]
    assert source.own_name(2) == f"{':'.join(expected)}:2"


def test_images_and_classes_are_read(loaded: Any, encode: Any) -> None:
    source = open_source("owner/name", classes=True)
    assert source.class_names == ("cat", "dog")
    images = [source.read(index) for index in range(len(source))]
    assert [image.content for image in images] == [encode(0), encode(1), encode(2)]
    assert [image.label for image in images] == [1, 0, 1]
    assert images[2].key == "owner/name:2"


def test_fingerprint_is_that_of_the_loaded_table(loaded: Any) -> None:
    first, second = (open_source("owner/name", classes=False) for _ in range(2))
    assert first.fingerprint() == second.fingerprint()


def test_unreachable_hub_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def load_dataset(name: str, split: str) -> Any:
        raise ConnectionError("no route\nto host")

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    with pytest.raises(
        InputError, match=r"owner/name is not a path here, and .* split train: no route to"
    ):
        open_source("owner/name", classes=False)


def test_missing_library_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(InputError, match=r"pip install 'smalti\[data\]'"):
        open_source("owner/name", classes=False)


def test_table_without_images_lists_its_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    table = datasets.Dataset.from_dict({"text": ["a"]})
    monkeypatch.setattr(datasets, "load_dataset", lambda name, split: table)
    with pytest.raises(InputError, match="no column of images; it has text"):
        open_source("owner/name", classes=False)


def test_path_below_an_existing_folder_is_not_looked_up(
    loaded: list[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").mkdir()
    with pytest.raises(InputError, match="'photos/train' does not exist"):
        open_source("photos/train", classes=False)
    assert loaded == []


def test_maps_and_poses_are_columns_beside_the_images(
    monkeypatch: pytest.MonkeyPatch, encode: Any
) -> None:
    features = datasets.Features(
        {
            "picture": datasets.Image(),
            "segmentation": datasets.Image(),
            "keypoints": datasets.Value("string"),
        }
    )
    cells = [[{"bytes": encode(number), "path": None}] for number in range(2)]
    columns = {"picture": cells[0], "segmentation": cells[1], "keypoints": ["{}"]}
    table = datasets.Dataset.from_dict(columns, features)
    monkeypatch.setattr(datasets, "load_dataset", lambda name, split: table)
    parts = ("images", "segmentations", "keypoints")
    sources = [open_source("owner/name", False, part) for part in parts]
    assert [source.content(0) for source in sources] == [encode(0), encode(1), b"{}"]
    assert all(set(source.parts) == set(parts) for source in sources)
    with pytest.raises(InputError, match="owner/name has no column of depths; it has picture"):
        open_source("owner/name", False, "depths")


def test_maps_of_other_names_are_no_photographs(
    monkeypatch: pytest.MonkeyPatch, encode: Any
) -> None:
    names = ["annotation", "photo"]
    features = datasets.Features({name: datasets.Image() for name in names})
    cells = [[{"bytes": encode(number), "path": None}] for number in range(2)]
    table = datasets.Dataset.from_dict(dict(zip(names, cells, strict=True)), features)
    monkeypatch.setattr(datasets, "load_dataset", lambda name, split: table)
    assert open_source("owner/name", False).content(0) == encode(1)
    assert open_source("owner/name", False, "segmentations").content(0) == encode(0)


def open_labels(monkeypatch: pytest.MonkeyPatch, encode: Any, labels: list[Any], kind: Any) -> Any:
    features = datasets.Features({"image": datasets.Image(), "label": kind})
    cells = [{"bytes": encode(number), "path": None} for number in range(len(labels))]
    table = datasets.Dataset.from_dict({"image": cells, "label": labels}, features)
    monkeypatch.setattr(datasets, "load_dataset", lambda name, split: table)
    return open_source("owner/name", classes=True)


@pytest.mark.parametrize(
    ("labels", "kind", "names"),
    [
        (["dog", "cat"], "string", ("cat", "dog")),
        ([1.0, 0.0], "float32", ("0", "1")),
        ([True, False], "bool", ("false", "true")),
    ],
)
def test_labels_of_any_kind_of_column_are_classes(
    monkeypatch: pytest.MonkeyPatch, encode: Any, labels: list[Any], kind: str, names: Any
) -> None:
    source = open_labels(monkeypatch, encode, labels, datasets.Value(kind))
    assert source.class_names == names
    assert [source.label(0), source.label(1)] == [1, 0]


def test_labels_that_are_no_classes_are_named(monkeypatch: pytest.MonkeyPatch, encode: Any) -> None:
    with pytest.raises(InputError, match=r"column 'label' of owner/name holds .*; a class is one"):
        open_labels(monkeypatch, encode, [[0, 1]], datasets.Sequence(datasets.Value("int64")))
    with pytest.raises(InputError, match="image 1 of owner/name has no class"):
        open_labels(monkeypatch, encode, [0, None], datasets.Value("int64"))


def test_row_without_an_image_is_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    features = datasets.Features({"image": datasets.Image()})
    cells = pa.array([None, {"bytes": None, "path": None}], features.arrow_schema.types[0])
    info = datasets.DatasetInfo(features=features)
    table = datasets.Dataset(datasets.table.InMemoryTable(pa.table({"image": cells})), info)
    monkeypatch.setattr(datasets, "load_dataset", lambda name, split: table)
    source = open_source("owner/name", False)
    for index in range(2):
        with pytest.raises(BrokenImageError, match="the row has no image"):
            source.read(index)
