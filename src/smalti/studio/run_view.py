"""What the tab *Runs* shows: state, health, numbers and pictures of runs, and how they differ."""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from smalti.config import InputError
from smalti.health.findings import in_words
from smalti.health.history import Line
from smalti.report.page import CODEBOOK, PICTURE, caption_of, facts_of
from smalti.runs.state import RunState, in_figures, read_config, read_run
from smalti.runs.status import status_of
from smalti.runs.stored import CONFIG_FILE
from smalti.studio.library import Entry
from smalti.training.curves import grouped_names
from smalti.training.log import METRICS_FILE

MOST_LINES = 1500
"""Lines of training steps that a page gets at once; of more it gets every second, third, ..."""
MOST_COMPARED = 4
SHOWN_GROUPS = ("train", "eval", "remedy", "change")
"""Groups of the lines that curves are drawn from."""
NOT_COMPARED = {"out"}


_Stamp = tuple[int, int]  # time and size of a file
_kept: dict[Path, tuple[list[_Stamp], RunState]] = {}
"""State of each run when its files had these stamps, since pages ask again and again."""


def open_state(entry: Entry) -> RunState:
    """The state of a run.

    Raises:
        InputError: it is gone, its config is damaged, or it is a run without steps.
    """
    entry.check_exists()
    stamps = [_stamp(entry.path / name) for name in (CONFIG_FILE, METRICS_FILE)]
    kept = _kept.get(entry.path)
    if kept is None or kept[0] != stamps:
        state = read_run(entry.path)
        if state is None:
            raise InputError(f"{entry.name} is a run without steps: it has no curves")
        _kept[entry.path] = kept = (stamps, state)
    return kept[1]


def _stamp(path: Path) -> _Stamp:
    """What changes with the content of a file."""
    try:
        status = path.stat()
    except OSError:
        return 0, 0
    return status.st_mtime_ns, status.st_size


def listed(entry: Entry) -> dict[str, object]:
    """A run in the list: its name, its stage, how it stands, and its last score."""
    shown: dict[str, object] = {"id": entry.id, "name": entry.name, "stage": entry.kind}
    if entry.kind == "pixels":
        return shown | {"state": "finished", "message": "a palette, found without steps"}
    try:
        state = open_state(entry)
    except InputError as error:
        return shown | {"state": "failed", "message": str(error)}
    status = status_of(state)
    total = state.config.training.total_steps
    return shown | {
        "state": status.kind,
        "message": status.message,
        "share": min(1.0, state.step / total),
        "is_healthy": not state.findings,
    }


def described(entry: Entry) -> dict[str, object]:
    """A run in full: health in words, facts, last scores and pictures.

    Raises:
        InputError: as `open_state`.
    """
    state = open_state(entry)
    remedies = [line for line in state.lines if line["group"] == "remedy"]
    return listed(entry) | {
        "health": in_words(state.findings),
        "remedies": [
            f"step {line['step']}: {line['change']}, because of {line['finding'].replace('_', ' ')}"
            for line in remedies
        ],
        "changes": state.changes,
        "facts": facts_of(state),
        "scored": state.scored,
        "scores": {name: in_figures(value) for name, value in state.last_evaluation().items()},
        "pictures": pictures(state),
        "groups": grouped_names(state.lines),
    }


def pictures(state: RunState) -> list[dict[str, object]]:
    """The pictures of a run, each with the steps at which it was drawn; of the codebook last."""
    steps: dict[str, list[int]] = {}
    for path in sorted((state.folder / "samples").glob("*.png")):
        match = PICTURE.fullmatch(path.name)
        if match:
            steps.setdefault(match[1], []).append(int(match[2]))
    return [
        {"name": name, "caption": caption_of(state, name), "steps": steps[name]}
        for name in sorted(steps, key=lambda name: name in CODEBOOK)
    ]


def picture_file(entry: Entry, name: str) -> Path:
    """The file of a run's picture by its name, such as `samples_00000200.png`.

    Raises:
        InputError: there is none of this name, or it leads elsewhere.
    """
    samples = (entry.path / "samples").resolve()
    if PICTURE.fullmatch(name):
        path = (samples / name).resolve()
        if path.parent == samples and path.is_file():
            return path
    raise InputError(f"{entry.name} has no picture {name!r}")


def new_lines(entry: Entry, file: str, start: int) -> dict[str, object]:
    """The lines of a run's metrics from a byte on.

    Args:
        entry: the run.
        file: which file the earlier lines were of, as told with them; empty for none.
        start: the byte after them.

    Returns:
        `lines`, and `file` and `next` for the next call. `is_new` tells that the lines replace
        those before: the file was written anew, as when a run goes on from an earlier step.
        `every` is 1 if no training line was left out.

    Raises:
        InputError: the run is gone.
    """
    entry.check_exists()
    try:
        with (entry.path / METRICS_FILE).open("rb") as metrics:
            status = os.fstat(metrics.fileno())
            now = str(status.st_ino)  # of a file that replaces another it differs
            begin = start if file == now and start <= status.st_size else 0
            metrics.seek(begin)
            text = metrics.read()
    except FileNotFoundError:
        return {"lines": [], "file": "", "next": 0, "is_new": True, "every": 1}
    whole = text[: text.rfind(b"\n") + 1]  # a line may be half written
    lines, every = _thinned(list(_shown(whole)))
    place = {"file": now, "next": begin + len(whole), "is_new": begin == 0}
    return {"lines": lines, "every": every} | place


def _shown(text: bytes) -> Iterator[Line]:
    for one in text.splitlines():
        try:
            line = json.loads(one, parse_constant=lambda _name: None)
        except ValueError:
            continue
        if isinstance(line, dict) and line.get("group") in SHOWN_GROUPS:
            yield line


def _thinned(lines: Sequence[Line]) -> tuple[list[Line], int]:
    """The lines with every n-th of those of training steps, and n."""
    training = sum(line["group"] == "train" for line in lines)
    every = -(-training // MOST_LINES) or 1
    kept, number = [], -1
    for line in lines:
        number += line["group"] == "train"
        if line["group"] != "train" or (training - 1 - number) % every == 0:
            kept.append(line)
    return kept, every


def differences(entries: Sequence[Entry]) -> list[dict[str, object]]:
    """The options in which runs differ, each with its value in every run; null is its absence.

    Raises:
        InputError: a run is gone, or its config is damaged.
    """
    configs = [_options(entry) for entry in entries]
    names = dict.fromkeys(name for config in configs for name in config)
    rows = ((name, [config.get(name) for config in configs]) for name in names)
    return [
        {"option": name.replace("_", "-"), "values": values}
        for name, values in rows
        if any(value != values[0] for value in values)
    ]


def _options(entry: Entry) -> dict[str, Any]:
    """The options of a run by their dotted names."""
    entry.check_exists()
    config = read_config(entry.path)
    if config is None:
        raise InputError(f"{entry.name} is no run")
    found = dict(_flat(config.model_dump(mode="json"), ""))
    return {name: value for name, value in found.items() if name not in NOT_COMPARED}


def _flat(values: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value
