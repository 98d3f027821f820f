"""The script that runs all benchmarks."""

import importlib.util
import json
from pathlib import Path
from types import ModuleType

import pytest

RUN_ALL = Path(__file__).parents[1] / "benchmarks" / "run_all.py"


@pytest.fixture(scope="module")
def run_all() -> ModuleType:
    spec = importlib.util.spec_from_file_location("run_all", RUN_ALL)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


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
