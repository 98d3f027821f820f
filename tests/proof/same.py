"""Whether two versions of the package compute the same: for a change that must change nothing.

    python tests/proof/same.py versions HEAD~1       # a commit, and this checkout as it stands
    python tests/proof/same.py record BEFORE         # or step by step: on the code as it was,
    python tests/proof/same.py record AFTER          # and as it is
    python tests/proof/same.py compare BEFORE AFTER

A record is made by the command line alone, on a processor with one thread and a fixed seed, so that
any version can be asked. It holds a folder for each task of `tasks.py`, with a text for each file
that the task wrote: the numbers of metrics without times, configs and manifests as they are, the
SHA-256 of each tensor and of each picture. The runs of `tests/former` go on in a task of their own.

`--tasks` picks some (with those that they need); `--refusals` writes down the line of each refusal
in the tests of bad input too. Their words may change on purpose: these are shown, and do not count
as a change. Nor do files that only AFTER has, which are named.
"""

import argparse
import contextlib
import difflib
import hashlib
import json
import os
import shlex
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from scenes import write_data
from tasks import TASKS

HERE = Path(__file__).resolve().parent
CHECKOUT = HERE.parents[1]
FORMER = CHECKOUT / "tests" / "former" / "former.tar.xz"
RESULTS, REFUSALS = "results", "refusals.txt"
TIMES = {"seconds", "data_wait", "images_per_second"}
MOST_LINES = 12  # shown of a file that changed
NOT_COMPARED = ("tb", "report", "curves.png", "run.lock", "env.json")
"""Files and folders that hold times, or pictures of curves: it counts only that they are there."""


def environment(source: Path) -> dict[str, str]:
    """Of a process that finds the package in `source`, and computes in one thread."""
    fixed = {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    return os.environ | fixed | {"PYTHONPATH": f"{source}{os.pathsep}{HERE}"}


# A record


def record(out: Path, tree: Path, tasks: Sequence[str], refusals: bool) -> None:
    """Run tasks with the package of a checkout, and write what came out into a new folder."""
    (out / RESULTS).mkdir(parents=True)
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        write_data(work)
        with tarfile.open(FORMER) as archive:
            archive.extractall(work, filter="data")
        for task in with_needed(tasks):
            started = time.monotonic()
            outcome = run_task(task, work, tree / "src")
            for path in sorted(path for path in (work / task).rglob("*") if path.is_file()):
                inside = compared_as(path.relative_to(work))
                write(out / RESULTS / f"{inside}.txt", contents(path, inside))
            write(out / RESULTS / task / "commands.txt", outcome)
            print(f"{out}: {task} in {time.monotonic() - started:.0f} s", flush=True)
        if refusals:
            write(out / REFUSALS, refusal_lines(work, tree))


def with_needed(tasks: Sequence[str]) -> list[str]:
    """Tasks with all that come before them, in order."""
    wanted: set[str] = set()
    for name in reversed(TASKS):  # needs come before what needs them
        if name in tasks or name in wanted:
            wanted |= {name, *TASKS[name].needs}
    return [name for name in TASKS if name in wanted]


def run_task(name: str, work: Path, source: Path) -> list[str]:
    """Run the commands of a task in a folder; lines with their exit codes.

    A command that fails ends nothing, as where a version has no preset of that name: what it said
    is in the record.
    """
    commands = TASKS[name].commands
    logs = [work / f"{name}.{number}.log" for number in range(len(commands))]
    asked = [
        {"words": shlex.split(command), "log": str(log)}
        for command, log in zip(commands, logs, strict=True)
    ]
    run = subprocess.run(
        [sys.executable, str(HERE / "forks.py")],
        input=json.dumps(asked),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        cwd=work,
        env=environment(source),
        encoding="utf-8",
    )
    outcome = []
    for command, log, code in zip(commands, logs, run.stdout.split(), strict=True):
        outcome.append(f"exit code {code}: smalti {command}")
        if code != "0":
            outcome.append(log.read_text(encoding="utf-8").strip().splitlines()[-1])
    return outcome


def compared_as(inside: Path) -> Path:
    """The path of a file; of one that is not compared that of the first folder that says so."""
    places = [inside, *inside.parents][::-1]
    return next((place for place in places if place.name in NOT_COMPARED), inside)


def contents(path: Path, inside: Path) -> Iterator[str]:
    """What is compared of a file, which goes by the path `inside`."""
    if inside.name in NOT_COMPARED:
        yield "not compared"
    elif path.suffix == ".jsonl":
        for line in path.read_text(encoding="utf-8").splitlines():
            values = json.loads(line)
            step, group = values.pop("step"), values.pop("group")
            for name, value in values.items():
                if name not in TIMES:
                    yield f"step {step} {group} {name}: {json.dumps(value)}"
    elif path.suffix in (".yaml", ".json"):
        lines = path.read_text(encoding="utf-8").splitlines()
        yield from (line for line in lines if not line.strip().startswith('"seconds"'))
    elif path.suffix == ".safetensors":
        yield from tensors(path)
    else:
        yield hashlib.sha256(path.read_bytes()).hexdigest()


def tensors(path: Path) -> Iterator[str]:
    """Name, type, shape and SHA-256 of each tensor of a file, and what else its header says."""
    content = path.read_bytes()
    start = 8 + int.from_bytes(content[:8], "little")
    for name, entry in sorted(json.loads(content[8:start]).items()):
        if "data_offsets" not in entry:
            yield f"{name}: {json.dumps(entry, sort_keys=True)}"
            continue
        first, end = entry["data_offsets"]
        hashed = hashlib.sha256(content[start + first : start + end]).hexdigest()
        yield f"{name}: {entry['dtype']} {entry['shape']} {hashed}"


def refusal_lines(work: Path, tree: Path) -> Iterator[str]:
    """Each refusal in a checkout's tests of bad input, with the name of its test."""
    file, scratch = work / REFUSALS, work / "scratch"
    tests = [str(path) for path in (tree / "tests").rglob("test_bad_input.py")]
    options = ["-q", "-p", "refusals", "-p", "no:cacheprovider", f"--basetemp={scratch}"]
    subprocess.run(
        [sys.executable, "-m", "pytest", *options, *tests],
        stdout=subprocess.DEVNULL,
        check=True,
        cwd=tree,
        env=environment(tree / "src") | {"SMALTI_REFUSALS": str(file)},
    )
    yield from sorted(file.read_text(encoding="utf-8").replace(str(scratch), "").splitlines())


def write(path: Path, lines: Iterable[str]) -> None:
    """Write a text, and the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


# Two records


def compare(before: Path, after: Path) -> bool:
    """Show in what two records differ; whether all that the first one has is the same."""
    tasks = [{path.name for path in (one / RESULTS).iterdir()} for one in (before, after)]
    if tasks[0] != tasks[1]:
        print(f"not in both records, so not compared: {', '.join(sorted(tasks[0] ^ tasks[1]))}")
    is_same, new = True, []
    for name in sorted(tasks[0] & tasks[1]):
        was, now = (texts(one / RESULTS / name) for one in (before, after))
        for place, changes in differences(was, now):
            show(f"{name}/{place}", changes)
            is_same = False
        new += [f"{name}/{place}" for place in sorted(now.keys() - was.keys())]
    if new:
        print(f"only AFTER has: {', '.join(new)}")
    compare_refusals(before / REFUSALS, after / REFUSALS)
    print("nothing changed" if is_same else "changed: see above")
    return is_same


def texts(folder: Path) -> dict[str, list[str]]:
    """Lines of all files of a task, by their names."""
    paths = sorted(folder.rglob("*.txt"))
    return {
        path.relative_to(folder).as_posix().removesuffix(".txt"): path.read_text(
            encoding="utf-8"
        ).splitlines()
        for path in paths
    }


def differences(
    was: Mapping[str, Sequence[str]], now: Mapping[str, Sequence[str]]
) -> Iterator[tuple[str, Sequence[str]]]:
    """Each file of before that changed, moved or is gone, with the lines that tell."""
    for place, lines in was.items():
        if place in now:
            changes = list(difflib.unified_diff(lines, now[place], n=0, lineterm=""))[2:]
            if changes:
                yield place, [line for line in changes if not line.startswith("@@")]
        else:
            others = [other for other in now.keys() - was.keys() if now[other] == lines]
            yield place, [f"only BEFORE has it{''.join(f'; moved to {o}?' for o in others)}"]


def show(name: str, changes: Sequence[str]) -> None:
    """Print the first lines of a difference."""
    print(f"{name}:")
    for line in changes[:MOST_LINES]:
        print(f"    {line}")
    if len(changes) > MOST_LINES:
        print(f"    and {len(changes) - MOST_LINES} more lines")


def compare_refusals(before: Path, after: Path) -> None:
    """Show each refusal that is worded otherwise; their words may change on purpose."""
    if not (before.is_file() and after.is_file()):
        print("refusals: not compared, as not both records have them")
        return
    was, now = (path.read_text(encoding="utf-8").splitlines() for path in (before, after))
    for line in difflib.unified_diff(was, now, n=0, lineterm=""):
        if line[0] in "+-":
            print(f"refusals: {line}")


# Two versions


def compare_versions(base: str, tasks: Sequence[str], refusals: bool) -> bool:
    """Record a commit and this checkout, both at the same time, and compare."""
    with tempfile.TemporaryDirectory() as name, worktree(base, Path(name) / "base") as tree:
        records = Path(name) / "BEFORE", Path(name) / "AFTER"
        options = ["--tasks", *tasks, *(["--refusals"] if refusals else [])]
        command = [sys.executable, __file__, "record", *options]
        runs = [
            subprocess.Popen([*command, "--tree", str(tree), str(out)])
            for tree, out in zip((tree, CHECKOUT), records, strict=True)
        ]
        codes = [run.wait() for run in runs]
        if any(codes):
            sys.exit("a record could not be made")
        return compare(*records)


@contextlib.contextmanager
def worktree(commit: str, folder: Path) -> Iterator[Path]:
    """A checkout of a commit, for a while."""
    git = ["git", "-C", str(CHECKOUT), "worktree"]
    subprocess.run([*git, "add", "--quiet", "--detach", str(folder), commit], check=True)
    try:
        yield folder
    finally:
        subprocess.run([*git, "remove", "--force", str(folder)], check=True)


def main() -> int:
    """Read the command line and do what it says; returns the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    versions = commands.add_parser("versions", help="compare a commit with this checkout")
    versions.add_argument("base", help="the commit")
    recorded = commands.add_parser("record", help="write down what a checkout computes")
    recorded.add_argument("out", type=Path, help="a new folder")
    recorded.add_argument("--tree", type=Path, default=CHECKOUT, help="the checkout")
    compared = commands.add_parser("compare", help="compare two records")
    compared.add_argument("before", type=Path)
    compared.add_argument("after", type=Path)
    for command in (versions, recorded):
        command.add_argument(
            "--tasks", nargs="*", choices=TASKS, default=list(TASKS), metavar="TASK"
        )
        command.add_argument(
            "--refusals", action="store_true", help="of the tests of bad input too"
        )
    options = parser.parse_args()
    if options.command == "record":
        record(options.out, options.tree.resolve(), options.tasks, options.refusals)
        return 0
    if options.command == "compare":
        return int(not compare(options.before, options.after))
    return int(not compare_versions(options.base, options.tasks, options.refusals))


if __name__ == "__main__":
    sys.exit(main())
