"""Runs all benchmarks one after the other, and writes what they found into one JSON file.

    python benchmarks/run_all.py [FILE...] [--out FILE]

A benchmark that fails is named, and the next one runs. The exit status is 1 if any has failed.
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from smalti.environment import environment
from smalti.files import atomic_file, write_json

HERE = Path(__file__).parent
PEERS = ("diffusers", "transformers")


def run(script: Path) -> dict[str, Any]:
    """Run a benchmark and show what it prints; its result is the JSON of its last line."""
    print(f"\n== {script.name}", flush=True)
    start = time.perf_counter()
    lines = []
    with subprocess.Popen(
        [sys.executable, script], stdout=subprocess.PIPE, text=True, encoding="utf-8"
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            print(line, end="", flush=True)
            lines.append(line)
    outcome: dict[str, Any] = {"seconds": round(time.perf_counter() - start, 1)}
    if process.returncode:
        return outcome | {"error": f"exit status {process.returncode}"}
    try:
        return outcome | {"result": json.loads(lines[-1])}
    except (IndexError, ValueError):
        return outcome | {"error": "its last line is no JSON"}


def machine() -> dict[str, Any]:
    """The machine with versions and threads, those of the libraries compared with included."""
    found = environment()
    peers = {name: metadata.version(name) for name in PEERS}
    return found | {"libraries": found["libraries"] | peers}


def parse_arguments(words: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("scripts", type=Path, nargs="*", metavar="FILE", help="default: all")
    parser.add_argument("--out", type=Path, default=HERE / "results.json")
    return parser.parse_args(words)


def main(words: Sequence[str] | None = None) -> int:
    """Run and write; the result is the exit status."""
    arguments = parse_arguments(words)
    everything = sorted(path for path in HERE.glob("*.py") if path != Path(__file__))
    scripts = arguments.scripts or everything
    outcomes: dict[str, Any] = {}
    report = {"machine": machine(), "benchmarks": outcomes}
    for script in scripts:
        outcomes[script.stem] = run(script)
        with atomic_file(arguments.out) as temporary:  # after each: the next one takes minutes
            write_json(temporary, report)
    failed = {name: found["error"] for name, found in outcomes.items() if "error" in found}
    print(f"\n{len(scripts) - len(failed)} of {len(scripts)} benchmarks done: {arguments.out}")
    for name, error in failed.items():
        print(f"failed: {name}: {error}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
