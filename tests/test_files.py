"""A crash, a full disk or a missing permission leaves the old files whole."""

import errno
import hashlib
import json
import multiprocessing
import os
import threading
from pathlib import Path

import pytest

from smalti import files
from smalti.config import InputError
from smalti.files import (
    TEMPORARY,
    atomic_file,
    atomic_folder,
    disk_errors,
    json_text,
    remove_leftovers,
    sha256,
    system_lock,
)


def entries(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*")}


def full_disk(*_: object, **__: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


# Files


def test_written_file_takes_its_place(tmp_path):
    path = tmp_path / "new" / "a.txt"
    with atomic_file(path) as temporary:
        temporary.write_text("new", encoding="utf-8")
        assert not path.exists()
        assert temporary.suffix == ".txt"
    assert path.read_text(encoding="utf-8") == "new"
    assert entries(tmp_path) == {"new", "new/a.txt"}


def test_crash_leaves_the_old_file_whole(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old", encoding="utf-8")

    def crash() -> None:
        with atomic_file(path) as temporary:
            temporary.write_text("half", encoding="utf-8")
            raise KeyError("crash")

    with pytest.raises(KeyError):
        crash()
    assert path.read_text(encoding="utf-8") == "old"
    assert entries(tmp_path) == {"a.txt"}


def test_full_disk_leaves_the_old_file_whole(tmp_path, monkeypatch):
    path = tmp_path / "a.txt"
    path.write_text("old", encoding="utf-8")
    monkeypatch.setattr(os, "fsync", full_disk)

    def write() -> None:
        with atomic_file(path) as temporary:
            temporary.write_text("new", encoding="utf-8")

    with pytest.raises(InputError, match=r"cannot write .*a\.txt: the disk is full"):
        write()
    assert path.read_text(encoding="utf-8") == "old"
    assert entries(tmp_path) == {"a.txt"}


def test_file_in_the_way_of_a_folder_is_named(tmp_path):
    (tmp_path / "a").write_text("", encoding="utf-8")

    def write() -> None:
        with atomic_file(tmp_path / "a" / "b" / "c.txt"):
            pass

    with pytest.raises(InputError, match="a part of the path is a file"):
        write()


@pytest.mark.parametrize(
    ("number", "reason"),
    [
        (errno.ENOSPC, "the disk is full"),
        (errno.EDQUOT, "quota"),
        (errno.EACCES, "no permission"),
        (errno.EROFS, "read-only"),
        (errno.ENAMETOOLONG, "too long"),
    ],
)
def test_what_the_disk_refuses_is_one_line(number, reason):
    with pytest.raises(InputError, match=f"cannot write x: .*{reason}"), disk_errors(Path("x")):
        raise OSError(number, "refused")


def test_other_errors_stay_as_they_are():
    with pytest.raises(OSError, match="broken pipe") as error, disk_errors(Path("x")):
        raise OSError(errno.EPIPE, "broken pipe")
    assert not isinstance(error.value, InputError)


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write everywhere"
)
def test_folder_without_permission_is_named(tmp_path):
    tmp_path.chmod(0o500)

    def write() -> None:
        with atomic_folder(tmp_path / "model"):
            pass

    with pytest.raises(InputError, match=r"cannot write .*model: no permission"):
        write()


# Folders


def write_folder(path: Path, text: str) -> None:
    with atomic_folder(path) as temporary:
        (temporary / "a.txt").write_text(text, encoding="utf-8")


def test_written_folder_replaces_an_older_one_whole(tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "left_over.txt").write_text("old", encoding="utf-8")
    write_folder(folder, "new")
    assert entries(tmp_path) == {"model", "model/a.txt"}
    assert (folder / "a.txt").read_text(encoding="utf-8") == "new"


def test_process_of_the_same_number_elsewhere_is_not_disturbed(tmp_path):
    """Containers that share a folder often have the same few numbers."""
    with atomic_folder(tmp_path / "model") as temporary:
        (temporary / "a.txt").write_text("whole", encoding="utf-8")
        write_folder(tmp_path / "model", "other")
        assert (temporary / "a.txt").read_text(encoding="utf-8") == "whole"
    assert (tmp_path / "model" / "a.txt").read_text(encoding="utf-8") == "whole"
    assert entries(tmp_path) == {"model", "model/a.txt"}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="starts processes by fork")
def test_processes_that_replace_the_same_folder_leave_a_whole_one(tmp_path):
    def write(number: int) -> None:
        for _ in range(50):
            write_folder(tmp_path / "model", f"{number}")

    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=write, args=(number,)) for number in range(2)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
        assert writer.exitcode == 0
    assert entries(tmp_path) == {"model", "model/a.txt"}


def test_old_folder_does_not_come_back_once_it_is_replaced(tmp_path, monkeypatch):
    """Where another process moves the new one away at once, to put its own there."""
    write_folder(tmp_path / "model", "old")
    replace_folder = files._replace_folder

    def replace_folder_then_move(new: Path, path: Path, old: Path) -> None:
        replace_folder(new, path, old)
        path.rename(tmp_path / "moved")

    monkeypatch.setattr(files, "_replace_folder", replace_folder_then_move)
    write_folder(tmp_path / "model", "new")
    assert entries(tmp_path) == {"moved", "moved/a.txt"}


def test_crash_leaves_the_old_folder_whole(tmp_path):
    folder = tmp_path / "model"
    write_folder(folder, "old")

    def crash() -> None:
        with atomic_folder(folder) as temporary:
            (temporary / "a.txt").write_text("half", encoding="utf-8")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        crash()
    assert (folder / "a.txt").read_text(encoding="utf-8") == "old"
    assert entries(tmp_path) == {"model", "model/a.txt"}


def test_full_disk_leaves_the_old_folder_whole(tmp_path, monkeypatch):
    folder = tmp_path / "model"
    write_folder(folder, "old")
    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(InputError, match=r"cannot write .*model: the disk is full"):
        write_folder(folder, "new")
    assert (folder / "a.txt").read_text(encoding="utf-8") == "old"
    assert entries(tmp_path) == {"model", "model/a.txt"}


def test_old_folder_comes_back_when_the_last_rename_fails(tmp_path, monkeypatch):
    folder = tmp_path / "model"
    write_folder(folder, "old")
    rename = Path.rename

    def failing(path: Path, target: Path) -> Path:
        if target == folder and ".old-" not in path.name:
            full_disk()
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", failing)
    with pytest.raises(InputError, match="the disk is full"):
        write_folder(folder, "new")
    assert (folder / "a.txt").read_text(encoding="utf-8") == "old"
    assert entries(tmp_path) == {"model", "model/a.txt"}


# What a killed process leaves


def leave(folder: Path, name: str, age_seconds: float = 0) -> None:
    path = folder / f"{TEMPORARY}{name}"
    path.mkdir()
    (path / "half.txt").write_text("half", encoding="utf-8")
    seconds = path.stat().st_mtime - age_seconds
    os.utime(path, (seconds, seconds))


def test_leftovers_of_an_ended_process_and_old_ones_are_removed(tmp_path):
    leave(tmp_path, "7-a1-codes")
    leave(tmp_path, "8-a1-codes", age_seconds=100)
    leave(tmp_path, "77-a1-report")
    (tmp_path / "thesis.txt").write_text("mine", encoding="utf-8")
    remove_leftovers(tmp_path, process=7, min_age_seconds=60)
    assert {path.name for path in tmp_path.iterdir()} == {".tmp-77-a1-report", "thesis.txt"}
    remove_leftovers(tmp_path)
    assert entries(tmp_path) == {"thesis.txt"}


def test_folder_that_was_moved_away_by_a_killed_process_comes_back(tmp_path, monkeypatch):
    write_folder(tmp_path / "best", "old")
    rename, killed = Path.rename, KeyboardInterrupt

    def killed_between(path: Path, target: Path) -> Path:
        if path.name == "best":
            rename(path, target)
            raise killed
        return path  # nothing is done any more

    monkeypatch.setattr(Path, "rename", killed_between)
    monkeypatch.setattr("shutil.rmtree", lambda *_, **__: None)
    with pytest.raises(killed):
        write_folder(tmp_path / "best", "new")
    monkeypatch.undo()
    assert not (tmp_path / "best").exists()
    remove_leftovers(tmp_path)
    assert (tmp_path / "best" / "a.txt").read_text(encoding="utf-8") == "old"
    assert entries(tmp_path) == {"best", "best/a.txt"}


# Locks


def test_lock_is_held_by_one_and_leaves_no_file(tmp_path):
    with system_lock(tmp_path / "lock") as first, system_lock(tmp_path / "lock") as second:
        assert (first, second) == (True, False)
    assert entries(tmp_path) == set()


def test_waiting_for_a_lock_ends_when_it_is_free(tmp_path):
    order: list[str] = []

    def wait() -> None:
        with system_lock(tmp_path / "lock", wait=True) as is_held:
            order.append(f"second: {is_held}")

    waiting = threading.Thread(target=wait)
    with system_lock(tmp_path / "lock"):
        waiting.start()
        waiting.join(timeout=0.05)
        order.append("first")
    waiting.join()
    assert order == ["first", "second: True"]


def test_hash_of_a_file(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"abc")
    assert sha256(path) == hashlib.sha256(b"abc").hexdigest()


# JSON


def test_numbers_that_json_has_no_word_for_become_null():
    value = {"a": float("nan"), "b": [1.5, float("inf"), ("x", -float("inf"))], "c": {"d": True}}
    text = json_text(value)
    assert text == '{"a": null, "b": [1.5, null, ["x", null]], "c": {"d": true}}'
    assert json.loads(json_text(value, indent=2)) == json.loads(text)
