"""What the benchmarks share, and the script that runs all of them."""

import ast
import importlib.util
import json
import sys
import time
from argparse import Namespace
from pathlib import Path
from types import ModuleType
from unittest.mock import MagicMock

import pytest
import torch

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
WITH_CLOCK = [
    path for path in BENCHMARKS.glob("*.py") if '"--clock"' in path.read_text(encoding="utf-8")
]


def load(path: Path) -> ModuleType:
    """Load a file that is not installed."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, path.stem, module)  # where a dataclass looks for its module
        spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def run_all() -> ModuleType:
    return load(BENCHMARKS / "run_all.py")


@pytest.mark.slow  # the profiler takes seconds to start
def test_profile_has_the_share_of_each_operation_the_largest_first():
    measure = load(BENCHMARKS / "measure" / "__init__.py")
    large, small = torch.ones(300, 300), torch.ones(2)
    shares = measure.shares_of_operations(lambda: (large @ large, small + small), rounds=20)
    assert sum(shares.values()) == pytest.approx(1)
    assert list(shares.values()) == sorted(shares.values(), reverse=True)
    assert shares["aten::mm"] > shares["aten::add"] > 0


@pytest.fixture
def train_step(monkeypatch) -> ModuleType:
    """The benchmark of stage 1, without the other library, which takes seconds to import."""
    monkeypatch.setitem(sys.modules, "measure", load(BENCHMARKS / "measure" / "__init__.py"))
    monkeypatch.setitem(sys.modules, "diffusers", MagicMock())
    return load(BENCHMARKS / "train_step.py")


@pytest.mark.parametrize(("clock", "counts_waiting"), [("wall", True), ("processor", False)])
def test_clock_is_the_one_that_is_asked_for(train_step, clock, counts_waiting):
    """Who waits, as for a core that another program has, takes time of the wall alone."""
    arguments = Namespace(batch=1, device="cpu", rounds=1, clock=clock)
    timings = train_step.measure(arguments, {"waits": lambda _: time.sleep(0.05)}, 4)
    assert (timings.median("waits") > 0.045) == counts_waiting


@pytest.mark.parametrize("path", WITH_CLOCK, ids=lambda path: path.stem)
def test_each_benchmark_with_a_clock_measures_by_it(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    calls = [node for node in ast.walk(tree) if is_measuring(node)]
    assert calls
    for call in calls:
        given = [ast.unparse(word.value) for word in call.keywords if word.arg == "clock"]
        assert "clock" in "".join(given), f"{path.name}:{call.lineno} measures by another clock"


def is_measuring(node: ast.AST) -> bool:
    """Whether this is a call of `take_turns`."""
    return isinstance(node, ast.Call) and ast.unparse(node.func) == "take_turns"


def test_a_benchmark_that_fails_does_not_keep_the_next_from_running(run_all, tmp_path, capsys):
    (tmp_path / "broken.py").write_text("raise SystemExit(3)", encoding="utf-8")
    (tmp_path / "silent.py").write_text("print('nothing')", encoding="utf-8")
    (tmp_path / "good.py").write_text("print('text')\nprint('{\"ratio\": 2}')", encoding="utf-8")
    scripts = [str(tmp_path / f"{name}.py") for name in ("broken", "silent", "good")]
    out = tmp_path / "results.json"
    assert run_all.main([*scripts, "--out", str(out)]) == 1
    printed = capsys.readouterr()
    assert f"1 of 3 benchmarks done: {out}" in printed.out
    assert "failed: broken: exit status 3" in printed.err
    report = json.loads(out.read_text(encoding="utf-8"))
    assert report["benchmarks"]["good"]["result"] == {"ratio": 2}
    assert report["benchmarks"]["silent"]["error"] == "its last line is no JSON"
    assert report["machine"]["libraries"]["torch"]


def test_exit_status_is_0_if_all_are_done(run_all, tmp_path):
    (tmp_path / "good.py").write_text("print('{}')", encoding="utf-8")
    assert run_all.main([str(tmp_path / "good.py"), "--out", str(tmp_path / "out.json")]) == 0
