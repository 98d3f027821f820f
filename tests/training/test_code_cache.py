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
from smalti.training.prior.code_cache import (
    MANIFEST_FILE,
    BatchEncoder,
    CodeCache,
    load_or_encode,
)

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
) -> CodeCache:
    encoder = BatchEncoder(tokenizer, Conditioning([condition]), CPU)
    return load_or_encode(folder, loader, encoder, views)


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


def spoil(folder: Path, name: str, codes: Tensor) -> None:
    """Replace the codes of a view, with a manifest that vouches for them."""
    safetensors.torch.save_file({"codes": codes}, folder / name)
    manifest = json.loads((folder / MANIFEST_FILE).read_text(encoding="utf-8"))
    manifest["sha256"][name] = sha256(folder / name)
    (folder / MANIFEST_FILE).write_text(json.dumps(manifest), encoding="utf-8")


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
    views = open_cache(cache, open_loader(photos), new_tokenizer()).views
    assert len(views) == VIEWS
    assert not np.array_equal(views[0]["codes"], views[1]["codes"])


def test_epochs_take_turns_with_the_views(cache, photos):
    loader, tokenizer = open_loader(photos), new_tokenizer()
    codes = open_cache(cache, loader, tokenizer)
    for epoch in range(2 * VIEWS + 1):
        step = 2 * epoch  # its first batch
        batch = next(codes.batches(step))
        view = codes.views[epoch % VIEWS]["codes"]
        expected = [view[draw.number] for draw in loader.draws(step)]
        assert np.array_equal(batch.codes.numpy(), np.stack(expected))


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
    assert not folder.exists()


@pytest.mark.parametrize(
    ("codebook_size", "dtype"), [(2**16, torch.uint16), (2**16 + 1, torch.int32)]
)
def test_codes_are_stored_in_as_few_bytes_as_they_need(folder, photos, codebook_size, dtype):
    tokenizer = new_tokenizer(codebook_size=codebook_size)
    codes = open_cache(folder, open_loader(photos), tokenizer, views=1)
    stored = safetensors.torch.load_file(folder / "view_000.safetensors")["codes"]
    assert stored.dtype == dtype
    batch = next(codes.batches(0))
    assert batch.codes.dtype == torch.int64
    assert int(batch.codes.max()) == max(
        int(codes.views[0]["codes"][draw.number].max()) for draw in codes.loader.draws(0)
    )


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
    assert sorted(path.name for path in cache.glob("view*")) == ["view_000.safetensors"]


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


def test_encoding_that_is_broken_off_leaves_the_codes_before(cache, photos, monkeypatch):
    def stop(*_args: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(CountingVQGAN, "encode", stop)
    with pytest.raises(KeyboardInterrupt):
        open_cache(cache, open_loader(photos), new_tokenizer(seed=1))
    monkeypatch.undo()
    tokenizer = new_tokenizer()
    open_cache(cache, open_loader(photos), tokenizer)
    assert tokenizer.images == 0


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


@pytest.mark.parametrize("name", ["view_000.safetensors", "view_001.safetensors"])
def test_damaged_shard_is_named(cache, photos, name):
    data = bytearray((cache / name).read_bytes())
    data[-1] ^= 1
    (cache / name).write_bytes(data)
    with pytest.raises(InputError, match=rf"codes/{name} is damaged or missing; delete .*codes"):
        open_cache(cache, open_loader(photos), new_tokenizer())


def test_missing_shard_is_named(cache, photos):
    (cache / "view_002.safetensors").unlink()
    with pytest.raises(InputError, match=r"view_002\.safetensors is damaged or missing"):
        open_cache(cache, open_loader(photos), new_tokenizer())


def test_code_outside_the_codebook_is_named(cache, photos):
    codes = safetensors.torch.load_file(cache / "view_001.safetensors")["codes"].to(torch.int64)
    codes[2, 1, 1] = 16
    spoil(cache, "view_001.safetensors", codes.to(torch.uint16))
    with pytest.raises(InputError, match=r"view_001\.safetensors has code 16, but .* has 16"):
        open_cache(cache, open_loader(photos), new_tokenizer())


def test_manifest_cut_short_is_named(cache, photos):
    path = cache / MANIFEST_FILE
    path.write_text(path.read_text(encoding="utf-8")[:50], encoding="utf-8")
    with pytest.raises(InputError, match=r"manifest\.json is damaged: .*delete .*codes"):
        open_cache(cache, open_loader(photos), new_tokenizer())


def test_folder_with_other_files_is_refused_and_left_alone(folder, photos):
    folder.mkdir()
    (folder / "thesis.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(InputError, match=r"codes is not empty and not a cache of codes"):
        open_cache(folder, open_loader(photos), new_tokenizer())
    assert [path.name for path in folder.iterdir()] == ["thesis.txt"]
