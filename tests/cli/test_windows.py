"""The commands on a system that behaves as Windows does, as far as that can be had here.

Only what is open for writing is flushed, open files are neither deleted nor replaced, folders with
open files are not renamed, asking for a process ends it, and much of POSIX is missing.
"""

import errno
import os
import shutil
import signal
import sys
from pathlib import Path

import pytest

from smalti import files

MISSING = {
    os: ("pread", "preadv", "mkfifo"),
    signal: ("SIGHUP", "SIGUSR1", "SIGUSR2", "SIGALRM", "pthread_sigmask"),
}

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="reads in /proc what is open in this process"
)


def open_paths() -> set[str]:
    """Files that this process has open, or mapped into its memory."""
    lines = Path("/proc/self/maps").read_text(encoding="utf-8").splitlines()
    found = {line.split(maxsplit=5)[-1] for line in lines}
    for number in os.listdir("/proc/self/fd"):
        try:
            found.add(os.readlink(f"/proc/self/fd/{number}"))
        except OSError:  # that of the listing itself
            continue
    return found


def refuse_if_open(*paths: os.PathLike[str] | str) -> None:
    for path in map(os.path.realpath, paths):
        for other in open_paths():
            if other == path or other.startswith(f"{path}{os.sep}"):
                raise PermissionError(errno.EACCES, f"{other} is open", path)


@pytest.fixture
def windows(monkeypatch) -> None:
    fcntl = pytest.importorskip("fcntl")
    real = {name: getattr(os, name) for name in ("fsync", "replace", "rename", "unlink")}

    def fsync(descriptor: int) -> None:
        if fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        real["fsync"](descriptor)

    def kill(*_: object) -> None:
        pytest.fail("os.kill ends the process that it asks for")

    def replace(source, target, **options) -> None:
        refuse_if_open(source, target)
        real["replace"](source, target, **options)

    def rename(source, target, **options) -> None:
        refuse_if_open(source, target)
        if os.path.exists(target):
            raise FileExistsError(errno.EEXIST, "exists", target)
        real["rename"](source, target, **options)

    def unlink(path, **options) -> None:
        if not options.get("dir_fd"):
            refuse_if_open(path)
        real["unlink"](path, **options)

    for function in (fsync, kill, replace, rename, unlink):
        monkeypatch.setattr(os, function.__name__, function)
    for module, names in MISSING.items():
        for name in names:
            monkeypatch.delattr(module, name, raising=False)
    # Otherwise it deletes below open folders instead of by path.
    monkeypatch.setattr(shutil, "_use_fd_functions", False)
    monkeypatch.setattr(files, "IS_WINDOWS", True)
    monkeypatch.setattr(files, "OPEN_FILE_SECONDS", 0.0)


def test_files_that_are_open_are_not_replaced(windows, tmp_path):
    (tmp_path / "a.txt").write_text("old", encoding="utf-8")

    def write() -> None:
        with files.atomic_file(tmp_path / "a.txt") as temporary:
            temporary.write_text("new", encoding="utf-8")

    with (
        (tmp_path / "a.txt").open(encoding="utf-8"),
        pytest.raises(files.InputError, match="or another program has it open"),
    ):
        write()
    write()
    assert (tmp_path / "a.txt").read_text(encoding="utf-8") == "new"


def test_file_that_is_open_for_a_moment_is_waited_for(windows, tmp_path, monkeypatch):
    monkeypatch.setattr(files, "OPEN_FILE_SECONDS", 30.0)
    path = tmp_path / "a.txt"
    reader = path.open("w", encoding="utf-8")
    monkeypatch.setattr(files.time, "sleep", lambda _: reader.close())
    with files.atomic_file(path) as temporary:
        temporary.write_text("new", encoding="utf-8")
    assert path.read_text(encoding="utf-8") == "new"


@pytest.mark.slow
def test_both_stages_train_save_resume_and_are_used(windows, succeed, world, here):
    shutil.copytree(world.vqgan, "vqgan")
    shutil.copytree(world.prior, "prior")
    for stage, config in (("vqgan", "vqgan/config.yaml"), ("prior", "prior/config.yaml")):
        options = ["--config", config, "--out", stage, "--training.save_steps", "1"]
        succeed("train", stage, *options, "--training.total_steps", "6")
        steps = sorted(path.name for path in Path(stage, "checkpoints").glob("step*"))
        assert steps == ["step_00000005", "step_00000006"]
        assert [path.name for path in Path(stage).rglob(f"{files.TEMPORARY}*")] == []
        succeed("inspect", stage)
    succeed("sample", "prior", "-n", "1", "--out", "samples")
    assert Path("samples/0000.png").is_file()


def test_files_are_written_again_in_place_of_the_old(windows, succeed, world, here):
    for _ in range(2):
        succeed("reconstruct", world.vqgan, world.picture, "--out", "pair.png")
        succeed("encode", world.vqgan, world.photos / "cat", "--out", "codes.safetensors")
        succeed("decode", world.vqgan, "codes.safetensors", "--out", "decoded")
        succeed("evaluate", world.vqgan, "--data", world.photos, "--out", "scores.json")
    assert len(list(Path("decoded").iterdir())) == 6
    assert [path.name for path in here.rglob(f"{files.TEMPORARY}*")] == []
