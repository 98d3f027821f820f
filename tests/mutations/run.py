"""Change the code at one place after the other, and see whether the tests notice.

    python tests/mutations/run.py            # every change of mutants.toml
    python tests/mutations/run.py ema.py     # those whose file or reason has one of these words

Each change is made to a copy of the package, in which only the tests that must notice run: all of
them together must fail at least once. The checkout is not touched.
"""

import os
import shutil
import signal
import sys
import tempfile
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

# What takes long to import is imported once, before the forks; one thread can be forked.
os.environ["OMP_NUM_THREADS"] = "1"
import skimage.data  # noqa: F401
import torch  # noqa: F401

TESTS = Path(__file__).resolve().parents[1]
SOURCE = TESTS.parent / "src"
LONGEST_SECONDS = 300  # of the tests of a change, which may never come to an end
NOT_RUN = 70  # an exit code that pytest has not


@dataclass(frozen=True)
class Mutant:
    """A change that would be a fault."""

    why: str
    """What is wrong then, in a line."""
    file: str
    """Below `src/smalti`."""
    old: str
    """Text that the file has exactly once."""
    new: str
    """What stands there instead."""
    tests: Sequence[str]
    """Those that must notice, below `tests`."""

    def apply(self, source: Path) -> None:
        """Make the change in a copy of the package.

        Raises:
            ValueError: the old text is not there, or more than once.
        """
        path = source / "smalti" / self.file
        text = path.read_text(encoding="utf-8")
        if text.count(self.old) != 1:
            raise ValueError(
                f"{self.file} has {self.old!r} {text.count(self.old)} times, not once: "
                "bring mutants.toml up to date"
            )
        path.write_text(text.replace(self.old, self.new), encoding="utf-8")


def read_mutants() -> list[Mutant]:
    """All changes of the list."""
    text = (Path(__file__).parent / "mutants.toml").read_text(encoding="utf-8")
    return [Mutant(**values) for values in tomllib.loads(text)["mutant"]]


def exit_code(tests: Sequence[str], source: Path, report: Path, seconds: int = 0) -> int:
    """Run tests with the package in `source`, in a fork of this process.

    Args:
        tests: below `tests`.
        source: folder of the package.
        report: file for what pytest says.
        seconds: after which the tests are ended; 0 is never.

    Returns:
        pytest's exit code, or a negative one where the tests were ended.
    """
    child = os.fork()
    if child == 0:
        code = NOT_RUN
        try:
            signal.alarm(seconds)
            code = _run_tests(tests, source, report)
        finally:  # whatever happens, the fork must not go on with its parent's work
            os._exit(code)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status)


def _run_tests(tests: Sequence[str], source: Path, report: Path) -> int:
    output = os.open(report, os.O_WRONLY | os.O_CREAT)
    os.dup2(output, 1)
    os.dup2(output, 2)
    sys.dont_write_bytecode = True
    sys.path.insert(0, str(source))
    os.environ["PYTHONPATH"] = str(source)
    os.chdir(TESTS.parent)
    options = ["-qx", "-p", "no:cacheprovider", "--assert=plain"]
    return int(pytest.main([*options, *(str(TESTS / test) for test in tests)]))


def problem_with(mutant: Mutant) -> str | None:
    """What is wrong with the tests of a change, or None where they notice it."""
    with tempfile.TemporaryDirectory() as folder:
        source, report = Path(folder) / "src", Path(folder) / "report.txt"
        shutil.copytree(SOURCE, source)
        mutant.apply(source)
        code = exit_code(mutant.tests, source, report, LONGEST_SECONDS)
        if code == pytest.ExitCode.TESTS_FAILED:
            return None
        if code == pytest.ExitCode.OK:
            return "no test noticed"
        said = report.read_text(encoding="utf-8")[-2000:]
        return f"the tests did not run to their end, exit code {code}:\n{said}"


def problem_without_changes(mutants: Sequence[Mutant]) -> str | None:
    """What is wrong with the tests where nothing is changed: a test that always fails is none."""
    tests = sorted({test for mutant in mutants for test in mutant.tests})
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.txt"
        code = exit_code(tests, SOURCE, report)
        return None if code == pytest.ExitCode.OK else report.read_text(encoding="utf-8")[-2000:]


def main(words: Sequence[str]) -> int:
    """Try the changes with one of these words, or all; returns the exit code."""
    mutants = [
        mutant
        for mutant in read_mutants()
        if not words or any(word in mutant.file or word in mutant.why for word in words)
    ]
    if not mutants:
        print(f"no change has one of these words: {' '.join(words)}")
        return 1
    if problem := problem_without_changes(mutants):
        print(f"the tests fail without any change:\n{problem}")
        return 1
    unnoticed = 0
    for mutant in mutants:
        problem = problem_with(mutant)
        unnoticed += problem is not None
        print(f"{mutant.file}: {mutant.why}: {problem or 'noticed'}", flush=True)
    print(f"{len(mutants) - unnoticed} of {len(mutants)} changes were noticed")
    return int(unnoticed > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
