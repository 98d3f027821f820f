"""What is done before workers start, by the way in which the system starts them."""

import multiprocessing
import subprocess
import sys

import pytest

from smalti.data import workers
from smalti.data.workers import prepare_workers


@pytest.mark.parametrize(
    ("method", "preloaded"),
    [("forkserver", [["__main__", "smalti.data.loader"]]), ("fork", []), ("spawn", [])],
)
def test_server_of_workers_imports_the_loader(monkeypatch, method, preloaded):
    told: list[list[str]] = []
    monkeypatch.setattr(multiprocessing, "get_start_method", lambda: method)
    monkeypatch.setattr(multiprocessing, "set_forkserver_preload", told.append)
    prepare_workers()
    assert told == preloaded


@pytest.mark.slow
@pytest.mark.skipif(
    "forkserver" not in multiprocessing.get_all_start_methods(), reason="has no such server"
)
def test_worker_of_such_a_server_finds_pytorch_imported():
    program = (
        "import multiprocessing, sys\n"
        "from concurrent.futures import ProcessPoolExecutor\n"
        f"from {workers.__name__} import prepare_workers\n"
        "multiprocessing.set_start_method('forkserver')\n"
        "prepare_workers()\n"
        "with ProcessPoolExecutor(1) as pool:\n"
        '    print(pool.submit(eval, \'"torch" in __import__("sys").modules\').result())\n'
    )
    command = [sys.executable, "-c", program]
    assert subprocess.check_output(command, encoding="utf-8") == "True\n"
