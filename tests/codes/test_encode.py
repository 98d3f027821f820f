"""Shards of codes: what is in them, in each format, and that a finished one is left alone."""

import io
import json
import os
import tarfile

import numpy as np
import pyarrow.parquet
import pytest
import torch
from safetensors.torch import load_file

from smalti.codes.encode import encode_shard, views_of
from smalti.codes.manifest import join
from smalti.codes.plan import Part, parse_part
from smalti.config import InputError


def keys_of(tensors: dict[str, torch.Tensor]) -> list[str]:
    text, ends = bytes(tensors["keys"].tolist()), tensors["key_ends"].tolist()
    return [text[start:end].decode() for start, end in zip([0, *ends], ends, strict=False)]


def test_a_shard_has_keys_labels_and_codes_of_each_image(new_job, photos, tokenizer):
    job, shards = new_job(photos, classes=True)
    encode_shard(job, shards[0])
    tensors = load_file(job.folder / "shard-00000.safetensors")
    images = [job.loader.dataset.load_center(number).sample.image for number in range(7)]
    assert torch.equal(tensors["codes_0"].long(), tokenizer.encode(torch.stack(images)))
    assert tensors["codes_0"].dtype == torch.uint16
    assert tensors["labels"].tolist() == [0, 0, 0, 0, 1, 1, 1]
    assert keys_of(tensors) == [f"cat/{n}.png" for n in range(4)] + [
        f"dog/{n}.png" for n in range(4, 7)
    ]


def test_views_are_crops_of_epochs_and_their_mirror_images(new_job, photos, tokenizer):
    job, shards = new_job(photos, crops=2, flip=True)
    encode_shard(job, shards[0])
    tensors = load_file(job.folder / "shard-00000.safetensors")
    for number, view in enumerate(views_of(2, flip=True)):
        crops = [job.loader.dataset.sample(index, view.crop).image for index in range(7)]
        images = torch.stack(crops)
        expected = tokenizer.encode(images.flip(-1) if view.flip else images)
        assert torch.equal(tensors[f"codes_{number}"].long(), expected)
    assert not torch.equal(tensors["codes_0"], tensors["codes_2"])


def test_conditions_are_columns_of_the_same_views(new_job, photos, tokenizer):
    """A mirrored crop has the low resolution of a mirrored image, and other coordinates."""
    kinds = ["low_resolution", "coordinates"]
    job, shards = new_job(photos, crops=2, flip=True, conditions=kinds)
    encode_shard(job, shards[0])
    tensors = load_file(job.folder / "shard-00000.safetensors")
    for number, view in enumerate(views_of(2, flip=True)):
        samples = [job.loader.dataset.sample(index, view.crop) for index in range(7)]
        small = torch.stack([sample.conditions["low_resolution"] for sample in samples])
        expected = tokenizer.encode(small.flip(-1) if view.flip else small)
        assert torch.equal(tensors[f"low_resolution_{number}"].long(), expected)
        places = torch.stack([sample.conditions["coordinates"] for sample in samples])
        if view.flip:
            left = (6 * places[:, 1]).round()  # of 6 pixels of room
            places = torch.stack([places[:, 0], (6 - left) / 6], 1)
        # Pictures of 10x14 pixels have room for 2x4 places of a crop of 8x8 by cells of 2x2.
        expected = (places * torch.tensor([1, 3])).round()
        assert torch.equal(tensors[f"coordinates_{number}"], expected.to(torch.uint16))
    assert not torch.equal(tensors["coordinates_0"], tensors["coordinates_2"])


def test_images_without_a_map_are_in_no_shard(new_job, photos):
    (photos.parent / "data").mkdir()
    photos.rename(photos.parent / "data" / "images")
    for number in (1, 2, 5, 6):
        folder = "cat" if number < 4 else "dog"
        path = photos.parent / "data" / "keypoints" / folder / f"{number}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"keypoints": [5.0, 5.0, 1.0] * 17}), encoding="utf-8")
    data = photos.parent / "data"
    job, shards = new_job(data, conditions=["keypoints"], shard_images=2)
    tensors = [load_file(job.folder / encode_shard(job, shard).file) for shard in shards]
    keys = [key for shard in tensors for key in keys_of(shard)]
    assert keys == [f"images/{name}.png" for name in ("cat/1", "dog/5", "cat/2", "dog/6")]
    assert tensors[0]["keypoints_0"].dtype == torch.float32


def test_broken_images_are_left_out_of_all_columns(new_job, tars):
    job, shards = new_job(tars, crops=2)
    record = encode_shard(job, shards[2])
    tensors = load_file(job.folder / record.file)
    assert (record.images, record.left_out, record.source) == (3, 1, "2.tar")
    assert keys_of(tensors) == ["2.tar/5.png", "2.tar/7.png", "2.tar/8.png"]
    assert tensors["codes_0"].shape == tensors["codes_1"].shape == (3, 4, 4)


def test_parquet_and_tar_hold_the_same_as_safetensors(new_job, photos, tmp_path):
    job, shards = new_job(photos, flip=True, classes=True)
    encode_shard(job, shards[0])
    tensors = load_file(job.folder / "shard-00000.safetensors")
    job.folder.rename(tmp_path / "first")
    job, shards = new_job(photos, flip=True, classes=True, file_format="parquet")
    encode_shard(job, shards[0])
    table = pyarrow.parquet.read_table(job.folder / "shard-00000.parquet")
    rows = np.array(table["codes_1"].to_pylist()).reshape(7, 4, 4)
    assert np.array_equal(rows, tensors["codes_1"].numpy())
    assert table["codes_1"].type.value_type == "uint16"
    assert table["key"].to_pylist() == keys_of(tensors)
    assert table["label"].to_pylist() == tensors["labels"].tolist()
    assert json.loads(table.schema.metadata[b"smalti-codes"])["grid"] == [4, 4]
    job.folder.rename(tmp_path / "second")
    job, shards = new_job(photos, flip=True, classes=True, file_format="tar")
    encode_shard(job, shards[0])
    with tarfile.open(job.folder / "shard-00000.tar") as tar:
        content = {one.name: tar.extractfile(one).read() for one in tar}
    codes = np.load(io.BytesIO(content["000000006.codes_1.npy"]))
    assert np.array_equal(codes, tensors["codes_1"][6].numpy())
    assert content["000000006.cls"] == b"1"
    assert json.loads(content["000000006.json"])["key"] == "dog/6.png"


def test_a_finished_shard_is_not_made_again(new_job, tars):
    job, shards = new_job(tars)
    made = encode_shard(job, shards[0])
    before = (job.folder / made.file).stat().st_ino
    encoded = []
    assert encode_shard(job, shards[0], encoded.append) == made
    assert not encoded
    assert (job.folder / made.file).stat().st_ino == before


def test_a_shard_cut_short_is_made_again(new_job, tars):
    job, shards = new_job(tars)
    made = encode_shard(job, shards[0])
    os.truncate(job.folder / made.file, 100)
    with pytest.raises(InputError, match="lacks 3 shards of 3, missing or cut short: shard-00000"):
        join(job.folder)
    encoded = []
    assert encode_shard(job, shards[0], encoded.append) == made
    assert sum(encoded) == 3


def test_a_shard_of_other_images_is_refused(new_job, tars):
    job, shards = new_job(tars)
    encode_shard(job, shards[0])
    (tars / "0.tar").rename(tars / "3.tar")
    changed, shards = new_job(tars)
    with pytest.raises(InputError, match=r"shard-00000.* other images than the data has now"):
        encode_shard(changed, shards[0])


def test_a_tar_is_a_shard_and_may_be_divided(new_job, tars, tmp_path):
    shards = new_job(tars)[1]
    assert [list(shard.images) for shard in shards] == [[0, 1, 2], [3, 4], [5, 6, 7, 8]]
    (tmp_path / "codes").rename(tmp_path / "first")
    shards = new_job(tars, shard_images=3)[1]
    assert [list(shard.images) for shard in shards] == [[0, 1, 2], [3, 4], [5, 6, 7], [8]]
    assert [shard.number for shard in shards] == [0, 1, 2, 3]


def test_images_of_their_own_files_are_dealt_out_like_cards(new_job, photos):
    shards = new_job(photos, shard_images=3)[1]
    assert [list(shard.images) for shard in shards] == [[0, 3, 6], [1, 4], [2, 5]]


@pytest.mark.parametrize(("machines", "processes"), [(1, 1), (3, 1), (1, 4), (2, 3)])
def test_each_shard_belongs_to_one_worker(machines, processes):
    shards = list(range(17))
    dealt = [
        shard
        for machine in range(1, machines + 1)
        for rank in range(processes)
        for shard in parse_part(f"{machine}/{machines}").divided(rank, processes).of(shards)
    ]
    assert sorted(dealt) == shards
    assert Part(0, 1).of(shards) == shards
