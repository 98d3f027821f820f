"""Codes as data sets of torch: of images that are encoded now, and of shards."""

import multiprocessing
import pickle

import pytest
import torch
from torch.utils.data import DataLoader

from smalti.codes.datasets import CodeSample, ImageCodes, ShardCodes
from smalti.codes.encode import encode_shard
from smalti.codes.manifest import join
from smalti.codes.picture_codes import encode_pictures
from smalti.errors import InputError
from smalti.tokenizer.vqgan import VQGAN

CPUS = multiprocessing.get_context("fork")


@pytest.fixture
def shards(new_job, photos):
    """Codes of seven pictures of two classes in three shards, two views of each."""
    job, planned = new_job(photos, flip=True, classes=True, shard_images=3)
    for shard in planned:
        encode_shard(job, shard)
    join(job.folder)
    return job.folder


def test_images_have_their_codes_and_classes(photos, tokenizer):
    dataset = ImageCodes(tokenizer, photos, size=(8, 12), classes=True)
    expected = encode_pictures(tokenizer, photos, size=(8, 12))
    assert len(dataset) == len(expected) == 7
    assert all(torch.equal(dataset[n].codes, one.codes) for n, one in enumerate(expected))
    assert [one.label for one in dataset] == [0] * 4 + [1] * 3
    assert dataset.class_names == ("cat", "dog")
    assert dataset[-1].key.endswith("dog/6.png")


@pytest.mark.parametrize("workers", [0, 2])
def test_a_loader_collates_batches_that_are_encoded_together(
    photos, tokenizer, monkeypatch, workers
):
    together = []
    encode = VQGAN.encode
    monkeypatch.setattr(
        VQGAN, "encode", lambda self, images: together.append(len(images)) or encode(self, images)
    )
    dataset = ImageCodes(tokenizer, [photos / "cat", str(photos / "dog")], size=8)
    context = CPUS if workers else None
    batches = list(
        DataLoader(dataset, batch_size=3, num_workers=workers, multiprocessing_context=context)
    )
    assert [batch.codes.shape for batch in batches] == [(3, 4, 4), (3, 4, 4), (1, 4, 4)]
    assert isinstance(batches[0], CodeSample)
    assert batches[0].label.tolist() == [-1] * 3
    assert [key[-5:] for batch in batches for key in batch.key] == [f"{n}.png" for n in range(7)]
    assert together == ([] if workers else [3, 3, 1])


def test_a_broken_image_is_replaced_by_the_next(tars, tokenizer, caplog):
    dataset = ImageCodes(tokenizer, tars, size=8)
    assert len(dataset) == 9
    assert torch.equal(dataset[6].codes, dataset[7].codes)
    assert "6.png" in caplog.text


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"size": 9}, "size 9x9: both sides must be multiples of 2"),
        ({"size": 64}, "smaller than the crop of 64x64"),
        ({"size": 8, "data": "nowhere"}, "'nowhere' does not exist"),
    ],
)
def test_what_cannot_be_encoded_is_refused(photos, tokenizer, options, words):
    with pytest.raises(InputError, match=words):
        ImageCodes(tokenizer, **{"data": photos} | options)[0]


def test_shards_are_read_by_place(shards, photos, tokenizer):
    dataset = ShardCodes(shards)
    assert len(dataset) == 7
    assert (dataset.codebook_size, dataset.grid, dataset.views) == (16, (4, 4), 2)
    assert dataset.class_names == ("cat", "dog")
    keys = [dataset[place].key for place in range(7)]
    assert sorted(keys) == [f"cat/{n}.png" for n in range(4)] + [f"dog/{n}.png" for n in (4, 5, 6)]
    for place in range(-1, 7):
        sample = dataset[place]
        assert sample.label == (sample.key < "dog") ^ 1
        mirrored = ShardCodes(shards, view=1)[place]
        assert mirrored.key == sample.key
        assert not torch.equal(mirrored.codes, sample.codes)
    with pytest.raises(IndexError, match="item 7 of 7"):
        dataset[7]


@pytest.mark.parametrize("workers", [0, 2])
def test_a_loader_reads_shards(shards, workers):
    dataset = ShardCodes(shards)
    context = CPUS if workers else None
    loader = DataLoader(dataset, batch_size=4, num_workers=workers, multiprocessing_context=context)
    batches = list(loader)
    assert [batch.codes.shape for batch in batches] == [(4, 4, 4), (3, 4, 4)]
    assert batches[0].codes.dtype == torch.int64
    expected = torch.stack([dataset[place].codes for place in range(7)])
    assert torch.equal(torch.cat([batch.codes for batch in batches]), expected)


def test_shards_go_to_workers_that_are_started_anew(shards):
    dataset = ShardCodes(shards)
    first = dataset[0]
    again = pickle.loads(pickle.dumps(dataset))[0]
    assert torch.equal(first.codes, again.codes)
    assert first[1:] == again[1:]


def test_a_view_that_is_not_there_is_refused(shards):
    with pytest.raises(InputError, match=r"view is 2, but .* has 2 views, counted from 0"):
        ShardCodes(shards, view=2)
