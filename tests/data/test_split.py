"""Which images are held out: by their own names, whichever folder above them was named."""

import hashlib
import unicodedata
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from smalti.content import LabelsContent, RGBContent
from smalti.data.config import TransformConfig
from smalti.data.dataset import ImageDataset
from smalti.data.sources import open_source
from smalti.data.split import OwnNames, SceneNames, held_out_images, split_held_out

LABELS = LabelsContent(classes=4)


def dataset_of(*specs: Path | str, content: Any = None) -> ImageDataset:
    content = content or RGBContent()
    sources = [open_source(str(spec), classes=False, part=content.part) for spec in specs]
    return ImageDataset(sources, TransformConfig(size=8), seed=0, content=content)


def write(root: Path, *names: str) -> Path:
    """Files that no test decodes."""
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"")
    return root


def held_out(dataset: ImageDataset, fraction: float = 0.3) -> set[str]:
    """Own names of the held-out images."""
    part = split_held_out(dataset, fraction).held_out
    assert part is not None
    return set(part.own_names())


# Own names


def test_roots_above_and_below_and_maps_hold_out_the_same(tmp_path: Path) -> None:
    names = [f"{n:03}" for n in range(40)]
    scenes = write(tmp_path / "scenes", *(f"images/{name}.jpg" for name in names))
    write(scenes, *(f"segmentations/{name}.png" for name in names))
    expected = held_out(dataset_of(scenes))
    assert 4 <= len(expected) <= 20
    assert held_out(dataset_of(scenes / "images")) == expected
    assert held_out(dataset_of(tmp_path)) == expected
    assert held_out(dataset_of(scenes, content=LABELS)) == expected
    assert held_out(dataset_of(scenes / "segmentations", content=LABELS)) == expected
    assert held_out(dataset_of(scenes / "images", scenes / "images")) == expected


def test_names_with_one_accent_written_in_two_ways_are_one(tmp_path: Path) -> None:
    names = [f"été {n}.png" for n in range(40)]
    mac = write(tmp_path / "mac", *(unicodedata.normalize("NFD", name) for name in names))
    assert held_out(dataset_of(write(tmp_path / "linux", *names))) == held_out(dataset_of(mac))


@pytest.mark.parametrize("part", ["images/", ""], ids=["folder_of_a_part", "none"])
def test_where_all_names_are_alike_their_folders_tell(tmp_path: Path, part: str) -> None:
    folders = [f"shot{n}" for n in range(40)]
    write(tmp_path / "a", *(f"{folder}/{part}frame.png" for folder in folders))
    dataset = dataset_of(tmp_path / "a")
    split = split_held_out(dataset, 0.3)
    assert split.rule == OwnNames(2)
    assert split.held_out is not None
    assert 4 <= len(split.held_out) <= 20
    assert set(split.held_out.own_names(2)) <= {f"{folder}/frame" for folder in folders}
    above = split_held_out(dataset_of(tmp_path), 0.3)
    assert above.rule == OwnNames(2)
    assert above.held_out is not None
    assert len(above.held_out) == len(split.held_out)


def test_names_need_not_all_differ(tmp_path: Path) -> None:
    """Images of one name in two classes are on one side."""
    names = [f"{folder}/{n}.png" for folder in ("cat", "dog") for n in range(30)]
    dataset = dataset_of(write(tmp_path, *names))
    split = split_held_out(dataset, 0.3)
    assert split.rule == OwnNames(1)
    assert split.held_out is not None
    found = list(split.held_out.own_names())
    assert sorted(found) == sorted([*set(found), *set(found)])


def test_one_name_of_most_images_is_too_much_alike(tmp_path: Path) -> None:
    """Two hundred names are enough, but not if nine of ten images have one of them."""
    names = [f"{n}.png" for n in range(200)] + [f"shot{n}/frame.png" for n in range(1800)]
    assert OwnNames.fitting(dataset_of(write(tmp_path, *names))) == OwnNames(2)


def test_a_hundred_names_are_enough(tmp_path: Path) -> None:
    names = [f"shot{shot}/{n}.png" for shot in range(10) for n in range(100)]
    assert OwnNames.fitting(dataset_of(write(tmp_path / "a", *names))) == OwnNames(1)
    names = [f"shot{shot}/{n}.png" for shot in range(20) for n in range(50)]
    assert OwnNames.fitting(dataset_of(write(tmp_path / "b", *names))) == OwnNames(2)


def test_folders_of_one_frame_each_are_told_apart(tmp_path: Path) -> None:
    roots = [write(tmp_path / f"shot{n}", "frame.png") for n in range(40)]
    split = split_held_out(dataset_of(*roots), 0.3)
    assert split.held_out is not None
    assert 4 <= len(split.held_out) <= 20


def test_a_file_that_is_listed_again_and_again_is_not_on_both_sides(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("a.png\n" * 30, encoding="utf-8")
    assert split_held_out(dataset_of(tmp_path / "list.txt"), 0.3).held_out is None


@pytest.mark.parametrize("fraction", [1e-9, 1 - 1e-9])
def test_all_images_of_a_name_are_on_one_side(tmp_path: Path, fraction: float) -> None:
    names = [f"{folder}/{n}.png" for folder in ("cat", "dog") for n in range(30)]
    split = split_held_out(dataset_of(write(tmp_path, *names)), fraction)
    assert split.held_out is not None
    assert sorted((len(split.train), len(split.held_out))) == [2, 58]


def test_rows_of_a_table_go_by_file_and_number(tmp_path: Path, write_parquet: Any) -> None:
    (tmp_path / "table").mkdir()
    write_parquet(tmp_path / "table" / "a.parquet", [b"image"] * 40)
    assert list(dataset_of(tmp_path / "table").own_names())[7] == "a.parquet:7"
    expected = held_out(dataset_of(tmp_path / "table"))
    assert held_out(dataset_of(tmp_path / "table" / "a.parquet")) == expected


def test_members_of_tars_go_by_their_names(tmp_path: Path, write_tar: Any) -> None:
    names = [f"{n:03}.png" for n in range(40)]
    write_tar(tmp_path / "a.tar", {f"x/images/{name}": b"image" for name in names})
    folder = write(tmp_path / "folder", *names)
    assert held_out(dataset_of(tmp_path / "a.tar")) == held_out(dataset_of(folder))


def test_rule_that_a_run_wrote_down_is_kept(tmp_path: Path) -> None:
    """Whatever images came later."""
    names = [f"shot{n}/{n}.png" for n in range(40)]
    dataset = dataset_of(write(tmp_path, *names))
    assert split_held_out(dataset, 0.3).rule == OwnNames(1)
    kept = split_held_out(dataset, 0.3, OwnNames(2))
    assert kept.rule == OwnNames(2)
    assert kept.held_out is not None
    hashes = [hash_of(f"shot{n}/{n}") for n in range(40)]
    assert len(kept.held_out) == sum(number < 0.3 * 2**48 for number in hashes)


# The rule of older runs


def hash_of(name: str) -> int:
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=6).digest())


def former(names: list[str], fraction: float) -> list[bool]:
    places = np.array([hash_of(name) / 2**48 for name in names])
    chosen = places < fraction
    chosen[places.argmin()], chosen[places.argmax()] = True, False
    return chosen.tolist()


@pytest.mark.parametrize("fraction", [1e-9, 0.05, 0.5, 1 - 1e-9])
def test_former_rule_goes_by_the_whole_path(tmp_path: Path, fraction: float) -> None:
    names = sorted(f"{folder}/é{n:02}.png" for folder in ("cat", "dog") for n in range(15))
    dataset = dataset_of(write(tmp_path, *(unicodedata.normalize("NFD", name) for name in names)))
    paths = [dataset.name(index) for index in range(len(dataset))]
    assert unicodedata.is_normalized("NFD", paths[0])
    assert held_out_images(dataset, fraction, SceneNames()).tolist() == former(paths, fraction)


def test_former_rule_leaves_out_part_and_suffix_beside_maps(tmp_path: Path) -> None:
    names = [f"{n:02}" for n in range(30)]
    write(tmp_path, *(f"x/images/{name}.jpg" for name in names))
    write(tmp_path, *(f"x/segmentations/{name}.png" for name in names))
    expected = former([f"x/{name}" for name in names], 0.3)
    for content in (None, LABELS):
        dataset = dataset_of(tmp_path, content=content)
        assert held_out_images(dataset, 0.3, SceneNames()).tolist() == expected
