"""Small data sets of every kind, made on the fly."""

import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

Encode = Callable[..., bytes]


def encode_picture(
    number: int = 0, width: int = 20, height: int = 16, format: str = "PNG", **options: Any
) -> bytes:
    """An image file of noise; the number decides it."""
    pixels = np.random.default_rng(number).integers(0, 256, (height, width, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format, **options)
    return buffer.getvalue()


@pytest.fixture(scope="session")
def encode() -> Encode:
    return encode_picture


@pytest.fixture(scope="session")
def write_tar() -> Callable[[Path, dict[str, bytes]], None]:
    def write(path: Path, members: dict[str, bytes]) -> None:
        with tarfile.open(path, "w") as tar:
            for name, content in members.items():
                member = tarfile.TarInfo(name)
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))

    return write


@pytest.fixture(scope="session")
def write_parquet() -> Callable[..., None]:
    """Write images (and labels) in the Hugging Face layout, two rows a row group."""
    pa = pytest.importorskip("pyarrow")
    pq = pytest.importorskip("pyarrow.parquet")

    def write(
        path: Path,
        images: list[bytes | None],
        labels: list[Any] | None = None,
        names: list[str] | None = None,
        column: str = "image",
    ) -> None:
        struct = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
        cells = [{"bytes": content, "path": None} for content in images]
        columns = {column: pa.array(cells, struct)}
        if labels is not None:
            columns["label"] = pa.array(labels)
        table = pa.table(columns)
        if names is not None:
            features = {"label": {"names": names, "_type": "ClassLabel"}}
            metadata = json.dumps({"info": {"features": features}})
            table = table.replace_schema_metadata({"huggingface": metadata})
        pq.write_table(table, path, row_group_size=2)

    return write


@pytest.fixture
def photos(tmp_path: Path, encode: Encode) -> Path:
    """A folder with six images in two sub-folders."""
    root = tmp_path / "photos"
    for number in range(6):
        folder = root / ("cat" if number % 2 else "dog")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{number}.png").write_bytes(encode(number))
    return root


@pytest.fixture
def many_photos(tmp_path: Path, encode: Encode) -> Path:
    """A folder with forty images, without classes."""
    root = tmp_path / "many"
    root.mkdir()
    for number in range(40):
        (root / f"{number:02}.png").write_bytes(encode(number))
    return root
