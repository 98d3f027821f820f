"""Lock of a run folder: one process at a time trains in it, also if several machines share it.

RUN/.run.lock   locked by the system while the process lives; empty
RUN/run.lock    who holds the run; its modification time is renewed every few seconds

The system's lock ends with its process, whatever ends that, but need not reach other machines. A
process of another machine is alive while its file keeps changing. Whether it changes is watched, so
that the machines' clocks may differ.
"""

import contextlib
import json
import logging
import os
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path

from smalti.config import InputError
from smalti.files import atomic_file, disk_errors, json_text, system_lock
from smalti.training.log import METRICS_FILE, say

HOLDER_FILE = "run.lock"
SYSTEM_FILE = ".run.lock"
LOCK_FILES = frozenset({HOLDER_FILE, SYSTEM_FILE})

BEAT_SECONDS = 10.0
"""Seconds after which the holder renews the time of its file, again and again."""
SILENCE_SECONDS = 90.0
"""Seconds without a change of the file after which its process counts as dead: nine beats, since a
busy server may answer late and a client may show what it read some seconds before."""
SETTLE_SECONDS = 2.0
"""Seconds after which each of two machines that take over at once sees which was the later one."""
POLL_SECONDS = 1.0
BOOT_FILE = Path("/proc/sys/kernel/random/boot_id")

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Holder:
    """The process that holds a run."""

    host: str
    pid: int
    boot: str = ""
    """Identity of the machine's present start, the same for all of its containers; empty if it is
    not known."""
    has_system_lock: bool = True
    """Whether the process takes the system's lock; earlier versions of this program do not."""

    @classmethod
    def this_process(cls) -> "Holder":
        """The holder that stands for this process."""
        try:
            boot = BOOT_FILE.read_text(encoding="ascii").strip()
        except OSError:
            boot = ""
        return cls(socket.gethostname(), os.getpid(), boot)

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}"

    def shares_locks(self) -> bool:
        """Whether the system's locks reach from this process to that one."""
        here = Holder.this_process()
        return self.host == here.host or (self.boot != "" and self.boot == here.boot)


def read_holder(folder: Path) -> Holder | None:
    """The process whose file is in a run folder, which may have ended; None without a file."""
    try:
        text = (folder / HOLDER_FILE).read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return None
    try:
        return Holder(**json.loads(text))
    except (ValueError, TypeError):  # an earlier version's, or one cut short
        host, _, number = text.partition(" ")
        pid = int(number) if number.isdecimal() else 0
        return Holder(host or "an unknown machine", pid, has_system_lock=False)


def shows_life(folder: Path) -> bool:
    """Whether a process holds a run folder and has renewed its file lately, by this clock."""
    try:
        silent = time.time() - (folder / HOLDER_FILE).stat().st_mtime
    except OSError:
        return False
    return silent < SILENCE_SECONDS


@contextlib.contextmanager
def hold_run(folder: Path) -> Iterator[Holder | None]:
    """Hold a run folder, so that no other process trains in it.

    Yields:
        The process that held it before and has ended without letting go, or None.

    Raises:
        InputError: another process trains there, or the folder cannot be written.
    """
    with system_lock(folder / SYSTEM_FILE) as is_ours:
        with disk_errors(folder / HOLDER_FILE):
            ended = _take(folder, is_ours)
        try:
            with _heartbeat(folder):
                yield ended
        finally:
            with contextlib.suppress(OSError):  # the disk may be gone
                if read_holder(folder) == Holder.this_process():
                    (folder / HOLDER_FILE).unlink()


def check_held(folder: Path) -> None:
    """Refuse to write after another process has taken over, for example during a suspension.

    Raises:
        InputError: another process holds the run; the message names it.
    """
    try:
        holder = read_holder(folder)
    except OSError:  # saving will tell
        return
    if holder not in (None, Holder.this_process()):
        raise InputError(
            f"{folder} was taken over by {holder}, since this process gave no sign of life for "
            f"{SILENCE_SECONDS:.0f} s; it ends here, and leaves the run to the other one"
        )


def _take(folder: Path, is_ours: bool | None) -> Holder | None:
    """Become the holder; returns a dead former one. `is_ours` is the result of `system_lock`."""
    holder = read_holder(folder)
    if holder is None:
        if is_ours is False:
            raise _in_use(folder)
        try:
            _create(folder)
        except FileExistsError:
            raise _in_use(folder) from None
        return None
    if is_ours is not None and holder.shares_locks():
        if not is_ours or _runs_unlocked(holder):
            raise _in_use(folder)
        settle_seconds = 0.0
    else:
        _watch(folder, holder)
        settle_seconds = SETTLE_SECONDS
    with atomic_file(folder / HOLDER_FILE) as temporary:
        temporary.write_text(_in_json(), encoding="utf-8")
    time.sleep(settle_seconds)
    if read_holder(folder) != Holder.this_process():
        raise _in_use(folder)
    say(f"{folder}: {holder} ended without letting go of it; taking over")
    return holder


def _runs_unlocked(holder: Holder) -> bool:
    """Whether a process of this machine that takes no system lock is alive."""
    if holder.has_system_lock or os.name != "posix" or not holder.pid:
        return False
    try:
        os.kill(holder.pid, 0)  # asks only, but on Windows it would end the process
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _watch(folder: Path, holder: Holder) -> None:
    """Return when the holder's file has not changed for long; refuse the run if it changes."""
    say(
        f"{folder} is held by {holder}, {_last_beat(folder)}; watching for {SILENCE_SECONDS:.0f} s "
        "whether it still runs"
    )
    before = _signs_of_life(folder)
    end = time.monotonic() + SILENCE_SECONDS
    while time.monotonic() < end:
        time.sleep(POLL_SECONDS)
        if _signs_of_life(folder) != before:
            raise _in_use(folder)


def _signs_of_life(folder: Path) -> list[tuple[int, int]]:
    """Time and size of each file that the holder of a run changes."""
    found = []
    for name in (HOLDER_FILE, METRICS_FILE):  # earlier versions change the second one only
        with contextlib.suppress(FileNotFoundError), (folder / name).open("rb") as file:
            # Opened: a network's file system may tell a closed file's state from memory.
            status = os.fstat(file.fileno())
            found.append((status.st_mtime_ns, status.st_size))
    return found


def _in_use(folder: Path) -> InputError:
    holder = read_holder(folder)
    who = "another process" if holder is None else f"{holder}, {_last_beat(folder)},"
    return InputError(
        f"{folder} is in use: {who} trains there; wait for its end, stop it (Ctrl-C saves), or "
        "choose another --out"
    )


def _last_beat(folder: Path) -> str:
    try:
        seconds = (folder / HOLDER_FILE).stat().st_mtime
    except OSError:
        return "just begun or ended"
    return f"last heard of at {datetime.fromtimestamp(seconds):%Y-%m-%d %H:%M:%S}"


def _create(folder: Path) -> None:
    """Write the holder's file if there is none; of several processes one succeeds."""
    path = folder / HOLDER_FILE
    with path.open("x", encoding="utf-8") as file:
        try:
            file.write(_in_json())
            file.flush()
        except OSError:  # an empty file would stand for a holder
            path.unlink(missing_ok=True)
            raise


def _in_json() -> str:
    return json_text(asdict(Holder.this_process())) + "\n"


@contextlib.contextmanager
def _heartbeat(folder: Path) -> Iterator[None]:
    """Context in which a thread renews the holder's file; it draws no random numbers."""
    stopped = threading.Event()
    thread = threading.Thread(target=_beat, args=(folder, stopped), name="heartbeat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stopped.set()
        thread.join(timeout=BEAT_SECONDS)  # it may wait for a server that is gone


def _beat(folder: Path, stopped: threading.Event) -> None:
    is_warned = False
    while not stopped.wait(BEAT_SECONDS):
        try:
            _renew(folder)
            is_warned = False
        except OSError as error:
            if not is_warned:
                log.warning(
                    "cannot renew %s (%s); training goes on, but a process of another machine may "
                    "take it for dead",
                    folder / HOLDER_FILE,
                    error.strerror,
                )
            is_warned = True


def _renew(folder: Path) -> None:
    holder = read_holder(folder)
    if holder is None:  # somebody deleted it
        _create(folder)
    elif holder == Holder.this_process():
        os.utime(folder / HOLDER_FILE)  # writes nothing: it works on a full disk
