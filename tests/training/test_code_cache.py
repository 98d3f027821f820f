"""The cache of codes: the same codes as encoding on the fly, made anew when it must be."""

import itertools
import json
import os
import shutil
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from PIL import Image
from torch import Tensor

from smalti.codes.manifest import read_manifest
from smalti.conditions import Condition
from smalti.conditions.class_label import ClassLabel, ClassLabelConfig
from smalti.conditions.conditioning import Conditioning
from smalti.conditions.none import Unconditional, UnconditionalConfig
from smalti.config import InputError
from smalti.data.config import TransformConfig
from smalti.data.dataset import ImageDataset
from smalti.data.loader import BatchLoader
from smalti.data.sources import open_source
from smalti.files import sha256
from smalti.tokenizer.config import VQGANConfig
from smalti.tokenizer.vqgan import VQGAN
from smalti.training.prior import code_cache
from smalti.training.prior.code_batch import BatchEncoder, CodeCache
from smalti.training.prior.code_cache import ShardCache, load_or_encode
from smalti.training.prior.former_cache import FormerCache, _made_from

CPU = torch.device("cpu")
IMAGES, VIEWS = 7, 3
START = Unconditional(UnconditionalConfig())
CLASSES = ClassLabel(ClassLabelConfig(class_names=("cat", "dog")))


class CountingVQGAN(VQGAN):
    """Counts the images that it encodes."""

    images = 0

    def encode(self, images: Tensor) -> Tensor:
        self.images += len(images)
        return super().encode(images)


def new_tokenizer(seed: int = 0, codebook_size: int = 16) -> CountingVQGAN:
    config = VQGANConfig(
        channels=8, norm_groups=2, channel_multipliers=(1, 1), codebook_size=codebook_size
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return CountingVQGAN(config).eval()


def open_loader(
    photos: Path, classes: bool = True, size: int = 8, seed: int = 5, batch_size: int = 3
) -> BatchLoader:
    transform = TransformConfig(size=size, resize_px="keep")
    dataset = ImageDataset([open_source(str(photos), classes)], transform, seed)
    return BatchLoader(dataset, batch_size, seed=11, workers=0)


def open_cache(
    folder: Path,
    loader: BatchLoader,
    tokenizer: VQGAN,
    views: int = VIEWS,
    condition: Condition[Any] = START,
) -> ShardCache:
    encoder = BatchEncoder(tokenizer, Conditioning([condition]), CPU)
    cache = load_or_encode(folder, loader, encoder, views)
    assert isinstance(cache, ShardCache)
    return cache


@pytest.fixture
def photos(tmp_path) -> Path:
    root = tmp_path / "photos"
    for number in range(IMAGES):
        path = root / ("cat" if number % 2 else "dog") / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(number).integers(0, 256, (12, 14, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(path)
    return root


@pytest.fixture
def folder(tmp_path) -> Path:
    return tmp_path / "codes"


@pytest.fixture
def cache(folder, photos) -> Path:
    """A folder with the codes of all photos."""
    open_cache(folder, open_loader(photos), new_tokenizer())
    return folder


@pytest.fixture
def several_shards(monkeypatch) -> None:
    """Three shards of three, three and one images, which are encoded one by one."""
    monkeypatch.setattr(code_cache, "LEAST_IMAGES", 3)
    monkeypatch.setattr("smalti.tokenizer.base.ENCODED_PIXELS", 8 * 8)


def of_view(cache: ShardCache, view: int) -> Tensor:
    """Codes of all images in a view."""
    rows = [cache.row(number) for number in range(IMAGES)]
    return cache.shards.rows(rows, [view] * IMAGES).codes


# The same as on the fly


@pytest.mark.parametrize(("batch_size", "steps"), [(3, 6), (10, 2)])
def test_batches_equal_encoding_on_the_fly(folder, photos, batch_size, steps):
    """Three epochs of two batches; and two batches that each reach into the next epoch."""
    loader, tokenizer = open_loader(photos, batch_size=batch_size), new_tokenizer()
    cache = open_cache(folder, loader, tokenizer, condition=CLASSES)
    cached = itertools.islice(cache.batches(0), steps)
    on_the_fly = itertools.islice(loader.batches(0), steps)
    for batch, expected in zip(cached, on_the_fly, strict=True):
        assert torch.equal(batch.codes, tokenizer.encode(expected.images))
        assert torch.equal(batch.conditions["class"], expected.labels)
        assert [key.rpartition("photos/")[2] for key in expected.keys] == list(batch.keys)


def test_images_are_encoded_in_batches_of_their_own_size(folder, photos, monkeypatch):
    """Whatever the batch of the training is, so that runs with one cache agree on its codes."""
    monkeypatch.setattr("smalti.tokenizer.base.ENCODED_PIXELS", 2 * 8 * 8)
    tokenizer = new_tokenizer()
    sizes = []
    tokenizer.encoder.register_forward_pre_hook(lambda _, inputs: sizes.append(len(inputs[0])))
    open_cache(folder, open_loader(photos, batch_size=3), tokenizer, views=1)
    assert sizes == [2, 2, 2, 1]


def test_views_are_different_crops(cache, photos):
    codes = open_cache(cache, open_loader(photos), new_tokenizer())
    assert not torch.equal(of_view(codes, 0), of_view(codes, 1))


def test_epochs_take_turns_with_the_views(cache, photos):
    loader, tokenizer = open_loader(photos), new_tokenizer()
    codes = open_cache(cache, loader, tokenizer)
    for epoch in range(2 * VIEWS + 1):
        step = 2 * epoch  # its first batch
        batch = next(codes.batches(step))
        numbers = [draw.number for draw in loader.draws(step)]
        assert torch.equal(batch.codes, of_view(codes, epoch % VIEWS)[numbers])


def test_batches_go_on_from_any_step(cache, photos):
    codes = open_cache(cache, open_loader(photos), new_tokenizer())
    from_start = list(itertools.islice(codes.batches(0), 6))
    later = list(itertools.islice(codes.batches(4), 2))
    for batch, expected in zip(later, from_start[4:], strict=True):
        assert batch.keys == expected.keys
        assert torch.equal(batch.codes, expected.codes)


def test_condition_that_the_data_lacks_is_named(folder, photos):
    loader = open_loader(photos, classes=False)
    with pytest.raises(InputError, match="the condition 'class' is missing"):
        open_cache(folder, loader, new_tokenizer(), condition=CLASSES)
    assert not list(folder.glob("shard-*"))


@pytest.mark.parametrize(
    ("codebook_size", "dtype"), [(2**16, torch.uint16), (2**16 + 1, torch.int32)]
)
def test_codes_are_stored_in_as_few_bytes_as_they_need(folder, photos, codebook_size, dtype):
    tokenizer = new_tokenizer(codebook_size=codebook_size)
    codes = open_cache(folder, open_loader(photos), tokenizer, views=1)
    stored = safetensors.torch.load_file(folder / "shard-00000.safetensors")["codes_0"]
    assert stored.dtype == dtype
    assert torch.equal(of_view(codes, 0), stored.to(torch.int64))


# When it is made anew


def test_nothing_is_encoded_twice(cache, photos):
    tokenizer = new_tokenizer()
    open_cache(cache, open_loader(photos), tokenizer)
    assert tokenizer.images == 0


def test_another_batch_size_changes_no_code(cache, photos):
    tokenizer = new_tokenizer()
    open_cache(cache, open_loader(photos, batch_size=2), tokenizer)
    assert tokenizer.images == 0


def test_moved_photos_are_the_same_photos(cache, photos, tmp_path):
    shutil.move(photos, tmp_path / "moved")
    tokenizer = new_tokenizer()
    open_cache(cache, open_loader(tmp_path / "moved"), tokenizer)
    assert tokenizer.images == 0


@pytest.mark.parametrize(
    "changed", [{"size": 10}, {"seed": 6}, {"classes": False}], ids=["size", "seed", "classes"]
)
def test_another_transform_seed_or_use_of_classes_encodes_anew(cache, photos, changed):
    tokenizer = new_tokenizer()
    open_cache(cache, open_loader(photos, **changed), tokenizer)
    assert tokenizer.images == VIEWS * IMAGES


def test_another_tokenizer_encodes_anew(cache, photos):
    tokenizer = new_tokenizer(seed=1)
    open_cache(cache, open_loader(photos), tokenizer)
    assert tokenizer.images == VIEWS * IMAGES


def test_another_number_of_views_encodes_anew(cache, photos):
    tokenizer = new_tokenizer()
    open_cache(cache, open_loader(photos), tokenizer, views=1)
    assert tokenizer.images == IMAGES
    assert len(read_manifest(cache).encoding.views) == 1


def test_added_image_encodes_anew(cache, photos):
    shutil.copy(photos / "dog" / "0.png", photos / "dog" / "new.png")
    tokenizer = new_tokenizer()
    open_cache(cache, open_loader(photos), tokenizer)
    assert tokenizer.images == VIEWS * (IMAGES + 1)


def test_replaced_image_encodes_anew(cache, photos):
    path = photos / "dog" / "0.png"
    os.utime(path, ns=(1, 1))
    tokenizer = new_tokenizer()
    open_cache(cache, open_loader(photos), tokenizer)
    assert tokenizer.images == VIEWS * IMAGES


def test_encoding_goes_on_where_it_was_broken_off(folder, photos, several_shards, monkeypatch):
    class StoppedVQGAN(CountingVQGAN):
        def encode(self, images: Tensor) -> Tensor:
            if self.images == 4 * VIEWS:
                raise KeyboardInterrupt
            return super().encode(images)

    stopped = new_tokenizer()
    stopped.__class__ = StoppedVQGAN
    with pytest.raises(KeyboardInterrupt):
        open_cache(folder, open_loader(photos), stopped)
    assert not (folder / "manifest.json").exists()
    tokenizer = new_tokenizer()
    codes = open_cache(folder, open_loader(photos), tokenizer)
    assert tokenizer.images == VIEWS * (IMAGES - 3)
    assert read_manifest(folder).images == IMAGES
    shutil.rmtree(folder)
    expected = of_view(open_cache(folder, open_loader(photos), new_tokenizer()), 1)
    assert torch.equal(of_view(codes, 1), expected)


def test_each_process_encodes_its_share(folder, photos, several_shards, monkeypatch):
    monkeypatch.setattr(code_cache, "world_size", lambda: 2)
    tokenizer = new_tokenizer()
    with pytest.raises(InputError, match="lacks 1 shard of 3, missing or cut short: shard-00001"):
        open_cache(folder, open_loader(photos), tokenizer)
    assert tokenizer.images == VIEWS * 4


def test_a_deleted_shard_alone_is_made_again(folder, photos, several_shards):
    open_cache(folder, open_loader(photos), new_tokenizer())
    (folder / "shard-00001.safetensors").unlink()
    tokenizer = new_tokenizer()
    open_cache(folder, open_loader(photos), tokenizer)
    assert tokenizer.images == VIEWS * 3


def test_a_broken_image_has_the_codes_of_the_next(folder, photos):
    (photos / "cat" / "1.png").write_bytes(b"no picture")
    codes = open_cache(folder, open_loader(photos), new_tokenizer(), condition=CLASSES)
    loader = open_loader(photos)
    for epoch in range(VIEWS):
        images = [loader.dataset.sample(number, epoch).image for number in range(IMAGES)]
        assert torch.equal(of_view(codes, epoch), new_tokenizer().encode(torch.stack(images)))
    assert read_manifest(folder).left_out == 0


def test_runs_that_share_a_folder_encode_one_after_the_other(folder, photos, monkeypatch):
    monkeypatch.setattr(time, "sleep", lambda _: None)  # of the one that waits
    begun, go_on = threading.Event(), threading.Event()

    class SlowVQGAN(CountingVQGAN):
        def encode(self, images: Tensor) -> Tensor:
            begun.set()
            assert go_on.wait(30)
            return super().encode(images)

    slow, other = new_tokenizer(), new_tokenizer()
    slow.__class__ = SlowVQGAN
    runs = [
        threading.Thread(target=open_cache, args=(folder, open_loader(photos), tokenizer))
        for tokenizer in (slow, other)
    ]
    runs[0].start()
    assert begun.wait(30)
    runs[1].start()
    runs[1].join(timeout=0.1)
    go_on.set()
    for run in runs:
        run.join()
    assert (slow.images, other.images) == (VIEWS * IMAGES, 0)
    assert [path.name for path in folder.parent.glob(".*")] == []


# Damage


def test_damaged_shard_is_named_when_it_is_read(cache, photos):
    path = cache / "shard-00000.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    codes = open_cache(cache, open_loader(photos), new_tokenizer())
    with pytest.raises(
        InputError, match=r"shard-00000.safetensors is damaged; delete it and start"
    ):
        next(codes.batches(0))


def test_a_damaged_manifest_is_written_anew(cache, photos):
    path = cache / "manifest.json"
    path.write_text(path.read_text(encoding="utf-8")[:50], encoding="utf-8")
    tokenizer = new_tokenizer()
    open_cache(cache, open_loader(photos), tokenizer)
    assert tokenizer.images == 0


def test_codes_of_smalti_encode_are_refused_and_left_alone(folder, cache, photos):
    path = folder / "encoding.json"
    encoding = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(encoding | {"data": None}), encoding="utf-8")
    with pytest.raises(InputError, match=r"codes holds codes of smalti encode; --codes .*codes"):
        open_cache(folder, open_loader(photos), new_tokenizer(1))
    assert read_manifest(folder).images == IMAGES


def test_folder_with_other_files_is_refused_and_left_alone(folder, photos):
    folder.mkdir()
    (folder / "thesis.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(InputError, match=r"codes is not empty and not a cache of codes"):
        open_cache(folder, open_loader(photos), new_tokenizer())
    assert [path.name for path in folder.iterdir()] == ["thesis.txt"]


# Codes of former versions


@pytest.fixture
def former(cache, photos, tmp_path) -> Path:
    """The codes of all photos and their classes, as former versions wrote them."""
    folder, loader, tokenizer = tmp_path / "former", open_loader(photos), new_tokenizer()
    codes = open_cache(cache, loader, tokenizer)
    labels = torch.tensor([loader.dataset.label(number) for number in range(IMAGES)])
    folder.mkdir()
    for view in range(VIEWS):
        tensors = {"codes": of_view(codes, view).to(torch.uint16)}
        tensors["condition.class"] = labels.to(torch.int32)
        safetensors.torch.save_file(tensors, folder / f"view_{view:03d}.safetensors")
    encoder = BatchEncoder(tokenizer, Conditioning([CLASSES]), CPU)
    write_former_manifest(folder, _made_from(loader, encoder, VIEWS))
    return folder


def write_former_manifest(folder: Path, made_from: dict[str, object]) -> None:
    hashes = {path.name: sha256(path) for path in folder.glob("view_*")}
    manifest = {"made_from": made_from, "sha256": hashes}
    (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")


def open_former(former: Path, photos: Path, tokenizer: VQGAN) -> CodeCache:
    encoder = BatchEncoder(tokenizer, Conditioning([CLASSES]), CPU)
    return load_or_encode(former, open_loader(photos), encoder, VIEWS)


def test_a_run_goes_on_with_codes_of_a_former_version(former, folder, photos):
    tokenizer = new_tokenizer()
    cache = open_former(former, photos, tokenizer)
    assert isinstance(cache, FormerCache)
    assert tokenizer.images == 0
    expected = open_cache(folder, open_loader(photos), new_tokenizer(), condition=CLASSES)
    for step in range(6):
        batch, other = next(cache.batches(step)), next(expected.batches(step))
        assert batch.keys == other.keys
        assert torch.equal(batch.codes, other.codes)
        assert torch.equal(batch.conditions["class"], other.conditions["class"])


def test_former_codes_of_another_tokenizer_are_replaced(former, photos):
    assert isinstance(open_former(former, photos, new_tokenizer(1)), ShardCache)
    assert not list(former.glob("view_*"))


def test_a_damaged_former_view_is_named(former, photos):
    (former / "view_001.safetensors").write_bytes(b"")
    with pytest.raises(InputError, match=r"view_001.safetensors is damaged or missing; delete"):
        open_former(former, photos, new_tokenizer())


def test_a_former_code_outside_the_codebook_is_named(former, photos):
    path = former / "view_001.safetensors"
    tensors = safetensors.torch.load_file(path)
    tensors["codes"] = torch.full_like(tensors["codes"].int(), 16).to(torch.uint16)
    safetensors.torch.save_file(tensors, path)
    made_from = json.loads((former / "manifest.json").read_text(encoding="utf-8"))["made_from"]
    write_former_manifest(former, made_from)
    with pytest.raises(InputError, match=r"view_001\.safetensors has code 16, but .* has 16"):
        open_former(former, photos, new_tokenizer())
