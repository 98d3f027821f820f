"""Tests notice each change of `mutants.toml`; `run.py` beside it makes them."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

HERE = Path(__file__).parent
TESTS, PACKAGE = HERE.parent, HERE.parents[1] / "src" / "smalti"
MUTANTS = tomllib.loads((HERE / "mutants.toml").read_text(encoding="utf-8"))["mutant"]
PLACES = sorted({"".join(mutant["file"].partition("/")[:2]) for mutant in MUTANTS})
"""The folders of the changed files, such as `cli/`, and the files that lie in none."""


def test_each_change_is_of_one_place_in_the_code_and_names_tests():
    for mutant in MUTANTS:
        code = (PACKAGE / mutant["file"]).read_text(encoding="utf-8")
        assert code.count(mutant["old"]) == 1, mutant
        assert mutant["new"] != mutant["old"], mutant
        assert mutant["tests"], mutant
        for test in mutant["tests"]:
            assert (TESTS / test.partition("::")[0]).is_file(), mutant


@pytest.mark.slow
@pytest.mark.parametrize("place", PLACES)
def test_each_change_is_noticed(place):
    command = [sys.executable, str(HERE / "run.py"), place]
    run = subprocess.run(command, capture_output=True, text=True, check=False, encoding="utf-8")
    assert run.returncode == 0, run.stdout + run.stderr
