import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from smalti.config import InputError
from smalti.evaluation.batch_file import BatchFile
from smalti.ranges import to_uint8


@pytest.fixture
def pictures() -> np.ndarray:
    return np.arange(5 * 2 * 4 * 3, dtype=np.uint8).reshape(5, 2, 4, 3)


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_images_come_in_batches_in_their_order(tmp_path, pictures, save):
    path = tmp_path / "batch.npz"
    save(path, pictures, np.arange(5))  # arr_1 are the classes
    file = BatchFile(path)
    assert (file.count, file.height_px, file.width_px) == (5, 2, 4)
    batches = list(file.batches(2))
    assert [tuple(batch.shape) for batch in batches] == [(2, 3, 2, 4), (2, 3, 2, 4), (1, 3, 2, 4)]
    images = torch.cat(batches)
    assert images[0, 0, 0, 0] == -1.0
    assert np.array_equal(to_uint8(images).permute(0, 2, 3, 1).numpy(), pictures)


def test_a_batch_at_a_time_is_read(tmp_path, pictures, monkeypatch):
    path = tmp_path / "batch.npz"
    np.savez(path, pictures)
    read = []
    original = zipfile.ZipExtFile.read

    def counted(self, size: int = -1) -> bytes:
        read.append(size)
        return original(self, size)

    monkeypatch.setattr(zipfile.ZipExtFile, "read", counted)
    next(BatchFile(path).batches(2))
    assert max(read) <= max(2 * 2 * 4 * 3, 128)
    assert -1 not in read


def cut(path: Path) -> None:
    np.savez(path, np.zeros((9, 8, 8, 3), np.uint8))
    path.write_bytes(path.read_bytes()[:900])


def of_objects(path: Path) -> None:
    np.savez(path, np.array([{}, {}], dtype=object))


def of_one_array(path: Path) -> None:
    with path.open("wb") as file:
        np.save(file, np.zeros(3))


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (lambda path: None, "does not exist"),
        (lambda path: path.write_bytes(b"PK no zip"), "damaged, or no .npz file"),
        (of_one_array, "damaged, or no .npz file"),
        (cut, "damaged, or no .npz file"),
        (lambda path: np.savez(path, mu=np.zeros(3)), "holds no images: there is no arr_0"),
        (
            lambda path: np.savez(path, np.zeros((2, 4, 4, 3))),
            r"uint8, not \(2, 4, 4, 3\) of float",
        ),
        (lambda path: np.savez(path, np.zeros((2, 3, 4, 4), np.uint8)), r"not \(2, 3, 4, 4\) of u"),
        (lambda path: np.savez(path, np.zeros((0, 4, 4, 3), np.uint8)), r"not \(0, 4, 4, 3\)"),
        (of_objects, r"must be images .* not \(2,\) of object"),
        (
            lambda path: np.savez(path, np.asfortranarray(np.zeros((2, 4, 4, 3), np.uint8))),
            "stored by columns",
        ),
    ],
)
def test_what_holds_no_images_is_one_line(tmp_path, write, message):
    path = tmp_path / "file.npz"
    write(path)
    with pytest.raises(InputError, match=message):
        BatchFile(path)


def test_fewer_images_than_are_told_are_one_line(tmp_path, pictures):
    path = tmp_path / "short.npz"
    np.savez(tmp_path / "whole.npz", pictures)
    with zipfile.ZipFile(tmp_path / "whole.npz") as whole, zipfile.ZipFile(path, "w") as short:
        short.writestr("arr_0.npy", whole.read("arr_0.npy")[:-30])
    with pytest.raises(InputError, match="is damaged"):
        list(BatchFile(path).batches(2))
