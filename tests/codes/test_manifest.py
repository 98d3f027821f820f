"""The manifest: what it counts, and which folders it refuses."""

import json

import pytest

from smalti.codes.encode import encode_shard
from smalti.codes.manifest import begin_folder, join, read_manifest
from smalti.config import InputError
from smalti.files import sha256
from smalti.shard_folder import MANIFEST_FILE, record_path


@pytest.fixture
def encoded(new_job, tars):
    """A job whose shards are all made."""
    job, shards = new_job(tars)
    for shard in shards:
        encode_shard(job, shard)
    return job


def test_it_counts_images_and_hashes_files(encoded):
    manifest = join(encoded.folder)
    assert (manifest.images, manifest.left_out) == (8, 1)
    assert [shard.images for shard in manifest.shards] == [3, 2, 3]
    for shard in manifest.shards:
        path = encoded.folder / shard.file
        assert (path.stat().st_size, sha256(path)) == (shard.bytes, shard.sha256)
    assert read_manifest(encoded.folder) == manifest
    assert manifest.encoding.grid == (4, 4)


def test_a_missing_shard_is_named(encoded):
    record_path(encoded.folder, 1).unlink()
    with pytest.raises(InputError, match="lacks 1 shard of 3, missing or cut short: shard-00001"):
        join(encoded.folder)
    assert not (encoded.folder / MANIFEST_FILE).exists()


def test_codes_of_two_models_are_refused(encoded):
    path = record_path(encoded.folder, 1)
    record = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(record | {"tokenizer": "f00"}), encoding="utf-8")
    with pytest.raises(InputError, match=r"shard-00001.safetensors was made by another model"):
        join(encoded.folder)


def test_another_version_is_refused(encoded):
    join(encoded.folder)
    path = encoded.folder / MANIFEST_FILE
    manifest = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(manifest | {"version": 2}), encoding="utf-8")
    with pytest.raises(InputError, match="is of version 2; this smalti reads version 1"):
        read_manifest(encoded.folder)


def test_an_unfinished_folder_says_how_to_finish_it(encoded):
    with pytest.raises(InputError, match=r"is not finished; smalti encode --join --out .*codes"):
        read_manifest(encoded.folder)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"tokenizer": "f00"}, "holds codes of another model"),
        ({"size": (8, 16)}, "codes made with size 8x8, not 8x16"),
        ({"views": ()}, "codes with other views"),
    ],
)
def test_a_folder_holds_codes_of_one_kind(encoded, change, words):
    with pytest.raises(InputError, match=words):
        begin_folder(encoded.folder, encoded.encoding.model_copy(update=change))


def test_a_folder_of_other_files_is_refused(encoded, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").touch()
    with pytest.raises(InputError, match="mine is not empty and holds no codes"):
        begin_folder(tmp_path / "mine", encoded.encoding)
