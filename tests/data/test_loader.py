"""Batches: the same whatever the workers and wherever a run starts."""

import itertools
import logging
import multiprocessing
import os
import pickle
import shutil
from collections import namedtuple
from collections.abc import Generator
from multiprocessing.reduction import ForkingPickler
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from helpers.signals import needs_sent_signals
from smalti.cluster import STOP_SIGNALS
from smalti.config import InputError
from smalti.data import loader as loader_module
from smalti.data.config import TransformConfig
from smalti.data.dataset import ImageDataset
from smalti.data.loader import BatchLoader, Drawn, _ignore_stop_signals, _Reader
from smalti.data.sources.folder import FolderSource
from smalti.types import Batch

CROP = TransformConfig(size=8, resize_px="keep")


def make_loader(root: Path, batch_size: int = 4, workers: int = 0, seed: int = 0) -> BatchLoader:
    dataset = ImageDataset([FolderSource(str(root), classes=False)], CROP, seed)
    return BatchLoader(dataset, batch_size, seed, workers)


def take(batches: Generator[Batch, None, None], count: int) -> list[Batch]:
    taken = list(itertools.islice(batches, count))
    batches.close()
    return taken


def keys(batches: list[Batch]) -> list[str]:
    return [key for batch in batches for key in batch.keys]


def assert_same(first: list[Batch], second: list[Batch]) -> None:
    assert keys(first) == keys(second)
    for one, other in zip(first, second, strict=True):
        assert torch.equal(one.images, other.images)


def test_workers_change_no_batch(many_photos: Path) -> None:
    expected = take(make_loader(many_photos, workers=0).batches(0), 12)
    assert_same(take(make_loader(many_photos, workers=2).batches(0), 12), expected)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
@given(start=st.integers(0, 30), batch_size=st.integers(1, 17))
def test_batch_of_a_step_is_the_same_wherever_reading_starts(
    photos: Path, start: int, batch_size: int
) -> None:
    loader = make_loader(photos, batch_size)
    straight = take(loader.batches(0), start + 2)
    assert_same(take(make_loader(photos, batch_size).batches(start), 2), straight[start:])


def test_start_in_the_middle_with_workers(many_photos: Path) -> None:
    expected = take(make_loader(many_photos).batches(0), 16)[13:]
    assert_same(take(make_loader(many_photos, workers=2).batches(13), 3), expected)


def test_epoch_holds_each_image_at_most_once_and_drops_the_rest(many_photos: Path) -> None:
    loader = make_loader(many_photos, batch_size=12)
    batches = take(loader.batches(0), 6)
    first, second = keys(batches[:3]), keys(batches[3:])
    assert len(set(first)) == len(set(second)) == 36
    assert first != second


def test_data_set_smaller_than_a_batch_goes_round(photos: Path) -> None:
    loader = make_loader(photos, batch_size=8)
    read = keys(take(loader.batches(0), 3))
    assert len(read) == 24
    for start in range(0, 24, 6):
        assert len(set(read[start : start + 6])) == 6


def test_seed_changes_the_batches(many_photos: Path) -> None:
    first, second = (take(make_loader(many_photos, seed=n).batches(0), 1) for n in (0, 1))
    assert keys(first) != keys(second)


@pytest.mark.parametrize("workers", [0, 2])
def test_evaluation_reads_each_image_once_in_order(many_photos: Path, workers: int) -> None:
    loader = make_loader(many_photos, batch_size=16, workers=workers)
    batches = list(loader.evaluation_batches())
    assert [len(batch.keys) for batch in batches] == [16, 16, 8]
    assert keys(batches) == [str(many_photos / f"{number:02}.png") for number in range(40)]
    expected = loader.dataset.load_center(17).sample
    assert expected is not None
    assert torch.equal(batches[1].images[1], expected.image)


def test_augmented_batches_are_the_samples_of_an_epoch_in_order(photos: Path) -> None:
    loader = make_loader(photos)
    batches = list(loader.augmented_batches(range(1, 6), [3, 0], batch_size=4))
    assert [len(batch.keys) for batch in batches] == [4, 1, 4, 1]
    images = torch.cat([batch.images for batch in batches])
    expected = [
        loader.dataset.sample(index, epoch).image for epoch in (3, 0) for index in range(1, 6)
    ]
    assert torch.equal(images, torch.stack(expected))


def test_workers_that_read_for_the_code_cache_end_well(photos: Path) -> None:
    batches = make_loader(photos, workers=2).augmented_batches(range(6), [0], batch_size=4)
    next(batches)
    workers = multiprocessing.active_children()
    assert len(list(batches)) == 1
    assert [worker.exitcode for worker in workers] == [0, 0]


def test_labels_are_stacked_and_absent_without_classes(photos: Path) -> None:
    source = FolderSource(str(photos), classes=True)
    loader = BatchLoader(ImageDataset([source], CROP, 0), 6, 0, 0)
    (batch,) = loader.evaluation_batches()
    assert batch.labels is not None
    assert batch.labels.dtype == torch.int64
    assert batch.labels.tolist() == [0, 0, 0, 1, 1, 1]
    (without,) = make_loader(photos, batch_size=6).evaluation_batches()
    assert without.labels is None


@pytest.mark.parametrize("workers", [0, 2])
def test_broken_images_are_reported_to_the_main_process(
    many_photos: Path, workers: int, caplog: pytest.LogCaptureFixture
) -> None:
    (many_photos / "07.png").write_bytes(b"text")
    loader = make_loader(many_photos, batch_size=40, workers=workers)
    with caplog.at_level(logging.WARNING):
        (batch,) = take(loader.batches(0), 1)
    assert len(batch.keys) == 40
    assert str(many_photos / "07.png") not in batch.keys
    assert list(loader.dataset.broken) == [str(many_photos / "07.png")]
    assert caplog.text.count("07.png") == 1


def test_evaluation_leaves_broken_images_out(photos: Path) -> None:
    for number in (1, 3):  # the whole first batch of two
        (photos / f"cat/{number}.png").write_bytes(b"")
    loader = make_loader(photos, batch_size=2)
    assert [len(batch.keys) for batch in loader.evaluation_batches()] == [2, 2]
    assert len(loader.dataset.broken) == 2


@pytest.mark.parametrize("workers", [0, 1])
def test_too_small_image_stops_with_one_line(many_photos: Path, workers: int) -> None:
    source = FolderSource(str(many_photos), classes=False)
    dataset = ImageDataset([source], TransformConfig(size=99), 0)
    batches = BatchLoader(dataset, 2, 0, workers).batches(0)
    with pytest.raises(InputError, match=r"^\S+\.png is 16x20 pixels, smaller than [^\n]*$"):
        next(batches)


def test_all_broken_stops_with_one_line_from_a_worker(photos: Path) -> None:
    for path in photos.rglob("*.png"):
        path.write_bytes(b"text")
    with pytest.raises(InputError, match=r"^all 6 images are broken, as [^\n]*$"):
        next(make_loader(photos, workers=1).batches(0))


def test_closing_the_iterator_ends_its_workers(many_photos: Path) -> None:
    batches = make_loader(many_photos, workers=2).batches(0)
    next(batches)
    assert len(multiprocessing.active_children()) == 2
    batches.close()
    assert multiprocessing.active_children() == []


def test_workers_that_do_not_fit_into_shared_memory_are_refused(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a container, where PyTorch would wait for their batches for ever."""
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(loader_module, "SHARED_MEMORY", tmp_path)
    dataset = ImageDataset([FolderSource(str(photos), False)], TransformConfig(size=256), 0)
    loader = BatchLoader(dataset, 16, 0, workers=2)
    for free, is_enough in ((2 * 2 * 12 * 2**20, True), (32 * 2**20, False)):
        monkeypatch.setattr(shutil, "disk_usage", lambda _, free=free: usage(2**40, 0, free))
        if is_enough:
            loader.check_workers()
    with pytest.raises(InputError, match=r"workers is 2, whose batches take 48 MiB .* has 32 MiB"):
        next(loader.batches(0))


@needs_sent_signals
@pytest.mark.parametrize("stop", STOP_SIGNALS)
def test_workers_leave_stop_signals_to_the_main_process(many_photos: Path, stop: int) -> None:
    batches = make_loader(many_photos, workers=2).batches(0)
    read = [next(batches), next(batches)]  # one from each worker: both are up
    for worker in multiprocessing.active_children():
        assert worker.pid is not None
        os.kill(worker.pid, stop)
    read += take(batches, 10)
    assert_same(read, take(make_loader(many_photos).batches(0), 12))


def test_reader_reaches_workers_that_are_not_forked(photos: Path) -> None:
    """On macOS and Windows a worker starts anew, and what it needs is sent to it."""
    reader, job = _Reader(make_loader(photos).dataset), [Drawn(1, 0), Drawn(2, None)]
    sent = [pickle.loads(ForkingPickler.dumps(what)) for what in (reader, _ignore_stop_signals)]
    assert sent[1] is _ignore_stop_signals
    assert torch.equal(sent[0][job].batch.images, reader[job].batch.images)


@pytest.mark.slow
def test_workers_that_are_not_forked_read_the_same_batches(photos: Path) -> None:
    before = multiprocessing.get_start_method()
    multiprocessing.set_start_method("spawn", force=True)
    try:
        read = take(make_loader(photos, workers=1).batches(0), 3)
    finally:
        multiprocessing.set_start_method(before, force=True)
    assert_same(read, take(make_loader(photos).batches(0), 3))


@pytest.mark.parametrize("workers", [0, 1])
def test_global_random_state_is_left_alone(photos: Path, workers: int) -> None:
    state = torch.get_rng_state()
    take(make_loader(photos, workers=workers).batches(0), 1)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize(("batch_size", "workers"), [(0, 0), (-1, 0), (1, -1)])
def test_numbers_out_of_range_are_an_error(photos: Path, batch_size: int, workers: int) -> None:
    with pytest.raises(InputError, match="allowed are"):
        make_loader(photos, batch_size, workers)


# Training processes


def be_one_of(monkeypatch: pytest.MonkeyPatch, world_size: int, rank: int) -> None:
    monkeypatch.setattr(loader_module, "world_size", lambda: world_size)
    monkeypatch.setattr(loader_module, "rank", lambda: rank)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
@given(
    world_size=st.integers(2, 4),
    parts=st.integers(1, 3),
    size=st.integers(1, 3),
    step=st.integers(0, 30),
)
def test_processes_divide_each_part_of_a_batch_by_rank(
    photos: Path, world_size: int, parts: int, size: int, step: int
) -> None:
    dataset = make_loader(photos).dataset
    shares = []
    with pytest.MonkeyPatch.context() as patch:
        for rank in range(world_size):
            be_one_of(patch, world_size, rank)
            loader = BatchLoader(dataset, world_size * parts * size, 0, 0, parts)
            shares.append(loader.share_of_draws(step))
    pieces = [
        share[start : start + size] for start in range(0, parts * size, size) for share in shares
    ]
    assert list(itertools.chain(*pieces)) == loader.draws(step)


def test_process_reads_its_share_and_no_more(
    many_photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = keys(take(make_loader(many_photos, batch_size=6).batches(2), 1))
    be_one_of(monkeypatch, world_size=3, rank=1)
    assert keys(take(make_loader(many_photos, batch_size=6).batches(2), 1)) == whole[2:4]


def test_batch_that_does_not_divide_is_an_error(
    photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    be_one_of(monkeypatch, world_size=4, rank=0)
    loader = make_loader(photos, batch_size=6)
    with pytest.raises(InputError, match=r"batch-size is 6; .* allowed are multiples of 4"):
        loader.batches(0)


def test_one_process_may_evaluate_batches_that_do_not_divide(
    photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = keys(list(make_loader(photos, batch_size=3).evaluation_batches()))
    be_one_of(monkeypatch, world_size=4, rank=0)
    assert keys(list(make_loader(photos, batch_size=3).evaluation_batches())) == whole


@pytest.mark.gpu
def test_pinned_batches_are_the_same(many_photos: Path) -> None:
    dataset = make_loader(many_photos).dataset
    pinned = take(BatchLoader(dataset, 4, 0, workers=1, pin_memory=True).batches(0), 3)
    assert all(batch.images.is_pinned() for batch in pinned)
    assert_same(pinned, take(make_loader(many_photos).batches(0), 3))
