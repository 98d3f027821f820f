"""Codes that are written in another format and back are the same files."""

import itertools
import tarfile

import pytest

from smalti.codes.convert import convert_shard, open_conversion
from smalti.codes.encode import encode_shard
from smalti.codes.manifest import begin_folder, join
from smalti.codes.shard_files import add_member
from smalti.config import InputError

FORMATS = ("safetensors", "parquet", "tar")


def convert(source, folder, file_format) -> None:
    conversion = open_conversion(source, folder, file_format)
    begin_folder(folder, conversion.encoding)
    for number in range(conversion.encoding.shards):
        convert_shard(conversion, number)
    join(folder)


def files(folder) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize(("first", "second"), [*itertools.permutations(FORMATS, 2)])
def test_there_and_back_gives_the_same_files(new_job, photos, tmp_path, first, second):
    job, shards = new_job(
        photos, flip=True, classes=True, file_format=first, conditions=["coordinates", "class"]
    )
    for shard in shards:
        encode_shard(job, shard)
    join(job.folder)
    convert(job.folder, tmp_path / "other", second)
    convert(tmp_path / "other", tmp_path / "back", first)
    assert files(tmp_path / "back") == files(job.folder)


@pytest.mark.parametrize("file_format", ["parquet", "tar"])
def test_a_shard_without_images_is_converted(new_job, tars, tmp_path, file_format):
    with tarfile.open(tars / "0.tar", "w") as tar:
        add_member(tar, "0.png", b"no picture")
    job, shards = new_job(tars, flip=True)
    for shard in shards:
        encode_shard(job, shard)
    join(job.folder)
    convert(job.folder, tmp_path / "other", file_format)
    convert(tmp_path / "other", tmp_path / "back", "safetensors")
    assert files(tmp_path / "back") == files(job.folder)


def test_a_finished_shard_of_other_images_is_refused(new_job, photos, tmp_path):
    job, shards = new_job(photos)
    for shard in shards:
        encode_shard(job, shard)
    join(job.folder)
    conversion = open_conversion(job.folder, tmp_path / "new", "tar")
    begin_folder(tmp_path / "new", conversion.encoding)
    record = convert_shard(conversion, 0)
    path = tmp_path / "new" / "shard-00000.json"
    path.write_text(
        record.model_copy(update={"names_sha256": "other"}).model_dump_json(), encoding="utf-8"
    )
    with pytest.raises(InputError, match="made of other images"):
        convert_shard(conversion, 0)
