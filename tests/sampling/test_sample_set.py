"""Large sets of samples: what a shard holds, that workers agree, and that finished ones stay."""

import io
import json
import os
import tarfile

import pytest
import torch
from PIL import Image, ImageChops

from smalti.conditions.class_label import ClassLabelConfig
from smalti.config import InputError
from smalti.prior.build import build_prior
from smalti.prior.gpt.config import GPT2Config
from smalti.sampling.config import SamplingConfig
from smalti.sampling.pipeline import Pipeline
from smalti.sampling.prior_model import PriorModelConfig
from smalti.sampling.sample_set import (
    SAMPLES,
    SampleJob,
    join_samples,
    sample_set,
    sample_shard,
)
from smalti.shard_folder import MANIFEST_FILE
from smalti.tokenizer.config import VQGANConfig
from smalti.tokenizer.vqgan import VQGAN

K, HEIGHT, WIDTH = 16, 3, 4  # a window of 6x8 pixels: f = 2


@pytest.fixture
def pipeline() -> Pipeline:
    """A prior of three classes."""
    config = PriorModelConfig(
        prior=GPT2Config(layers=1, heads=2, width=16, dropout=0),
        vocab_size=K + 4,
        max_length=HEIGHT * WIDTH,
        codebook_size=K,
        conditioners=(ClassLabelConfig(class_names=("cat", "dog", "pig")),),
        condition_drop=0.1,
        grid_height=HEIGHT,
        grid_width=WIDTH,
    )
    prior = build_prior(config.prior, config.sizes)
    with torch.no_grad():
        for weight in prior.parameters():
            weight.copy_(torch.randn(weight.shape) * 0.5)
    vqgan = VQGAN(VQGANConfig(codebook_size=K, channel_multipliers=(1, 1)))
    return Pipeline(vqgan.eval(), prior.eval(), config)


@pytest.fixture
def new_job(tmp_path, pipeline):
    """Plans a set of seven images in shards of three, drawn two at a time."""

    def make(name="set", condition=None, **options):
        samples = sample_set(pipeline, 7, 5, condition, shard_images=3, **options)
        folder = tmp_path / name
        SAMPLES.begin(folder, samples)
        return SampleJob(folder, samples, pipeline, condition, batch_size=2)

    return make


def contents(job, number):
    with tarfile.open(job.folder / f"shard-{number:05d}.tar") as tar:
        return {one.name: tar.extractfile(one).read() for one in tar}


def test_a_set_holds_the_images_of_the_pipeline(new_job):
    job = new_job()
    records = [sample_shard(job, number) for number in range(3)]
    assert [record.images for record in records] == [3, 3, 1]
    members = contents(job, 0) | contents(job, 1) | contents(job, 2)
    assert [name for name in members if name.endswith("png")] == [f"{n:09d}.png" for n in range(7)]
    assert [members[f"{n:09d}.cls"] for n in range(7)] == [b"0", b"1", b"2", b"0", b"1", b"2", b"0"]
    pictures = job.pipeline.sample(7, 5, progress=False)
    for number, picture in enumerate(pictures):
        stored = Image.open(io.BytesIO(members[f"{number:09d}.png"]))
        difference = ImageChops.difference(stored, picture).getextrema()
        assert max(high for _, high in difference) <= 1  # other batches round differently


def test_conditions_are_taken_in_turn_over_all_shards(new_job):
    job = new_job(condition=["pig", "cat"])
    for number in (2, 1):
        sample_shard(job, number)
    members = contents(job, 1) | contents(job, 2)
    assert [members[f"{n:09d}.cls"] for n in (3, 4, 5, 6)] == [b"0", b"2", b"0", b"2"]
    values = job.pipeline.request(3, ["pig", "cat"], first=3).values["class"]
    assert torch.equal(values, torch.tensor([0, 2, 0]))


def test_a_shard_is_the_same_whoever_draws_it(new_job):
    one, other = new_job("one"), new_job("other")
    for number in (0, 1, 2):
        sample_shard(one, number)
    for number in (2, 0, 1):
        sample_shard(other, number)
    assert join_samples(one.folder) == join_samples(other.folder)
    assert contents(one, 1) == contents(other, 1)
    assert contents(one, 1).keys().isdisjoint(contents(one, 2))


def test_a_finished_shard_stays_and_one_cut_short_is_drawn_again(new_job):
    job = new_job()
    made, drawn = sample_shard(job, 0), []
    assert sample_shard(job, 0, drawn.append) == made
    assert not drawn
    os.truncate(job.folder / made.file, 100)
    with pytest.raises(InputError, match="lacks 3 shards of 3, missing or cut short: shard-00000"):
        join_samples(job.folder)
    assert sample_shard(job, 0, drawn.append) == made
    assert drawn == [2, 1]


def test_a_shard_with_the_content_of_another_has_another_hash(new_job):
    job = new_job()
    names = job.samples.names
    first, second = (job.folder / sample_shard(job, number).file for number in (0, 1))
    sample_shard(job, 2)
    SAMPLES.check_hashes(job.folder, job.samples, names)
    assert first.stat().st_size == second.stat().st_size
    second.write_bytes(first.read_bytes())
    with pytest.raises(InputError, match=r"1 shard of 3 with another hash .*: shard-00001.tar;"):
        SAMPLES.check_hashes(job.folder, job.samples, names)


def test_a_manifest_of_another_version_is_not_replaced(new_job):
    job = new_job()
    for number in range(3):
        sample_shard(job, number)
    join_samples(job.folder)
    path = job.folder / MANIFEST_FILE
    other = json.dumps(json.loads(path.read_text(encoding="utf-8")) | {"version": 2})
    path.write_text(other, encoding="utf-8")
    for write in (new_job, lambda: join_samples(job.folder)):
        with pytest.raises(InputError, match=r"manifest.json is of version 2; this smalti reads"):
            write()
    assert path.read_text(encoding="utf-8") == other


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"config": SamplingConfig(temperature=0.5)}, "made with temperature 1.0, not 0.5"),
        ({"condition": ["pig"]}, "with other conditions"),
    ],
)
def test_a_folder_holds_samples_of_one_kind(new_job, options, words):
    new_job()
    with pytest.raises(InputError, match=words):
        new_job(**options)
