"""Rows of shards: the right ones, of checked files."""

import os

import numpy as np
import pytest
from safetensors.numpy import load_file

from smalti.codes import read
from smalti.codes.encode import encode_shard
from smalti.codes.manifest import join
from smalti.codes.order import Row
from smalti.codes.read import CodeShards
from smalti.config import InputError


@pytest.fixture
def folder(new_job, photos):
    """Codes of seven pictures of two classes in three shards, two views of each."""
    job, shards = new_job(photos, flip=True, classes=True, shard_images=3)
    for shard in shards:
        encode_shard(job, shard)
    join(job.folder)
    return job.folder


def test_rows_have_the_codes_of_their_view_and_their_labels(folder, monkeypatch):
    monkeypatch.setattr(read, "MOST_OPEN", 1)
    shards = CodeShards(folder)
    rows = shards.rows([Row(2, 1), Row(0, 2), Row(2, 0)], [1, 0, 0])
    third, first = (load_file(folder / f"shard-0000{number}.safetensors") for number in (2, 0))
    expected = [third["codes_1"][1], first["codes_0"][2], third["codes_0"][0]]
    assert np.array_equal(rows.codes.numpy(), np.stack(expected))
    assert rows.labels.tolist() == [third["labels"][1], first["labels"][2], third["labels"][0]]


def test_a_damaged_shard_is_found_when_it_is_used(folder):
    path = folder / "shard-00001.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    shards = CodeShards(folder)
    shards.rows([Row(0, 0)], [0])
    with pytest.raises(InputError, match=r"shard-00001.safetensors is damaged; delete it and"):
        shards.rows([Row(0, 0), Row(1, 0)], [0, 0])


def test_a_shard_cut_short_is_found_when_it_is_used(folder):
    os.truncate(folder / "shard-00001.safetensors", 100)
    with pytest.raises(InputError, match=r"shard-00001.safetensors is cut short: it has 100 by"):
        CodeShards(folder).rows([Row(1, 0)], [0])
