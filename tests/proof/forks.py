"""Run command lines of the package that Python finds, each in a fork of this process.

    python tests/proof/forks.py < LINES

LINES is JSON: for each command its words and the file for what it says. The exit codes come out, a
line each. The fork finds torch imported: most of the time of a short command goes into that.
"""

import json
import os
import runpy
import sys
from collections.abc import Sequence

import torch  # noqa: F401

import smalti

MODELS = smalti.VQGAN, smalti.Pipeline  # looked up, and so imported, here
FAILED = 70  # where not even Python's own handling of an error came to its end


def run(words: Sequence[str], log: str) -> int:
    """Exit code of a command."""
    child = os.fork()
    if child == 0:
        code = FAILED
        try:
            output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.dup2(output, 1)
            os.dup2(output, 2)
            sys.argv = ["smalti", *words]
            runpy.run_module("smalti", run_name="__main__", alter_sys=True)
            code = 0
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else int(end.code is not None)
        finally:  # whatever happens, the fork must not go on with its parent's work
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status)


if __name__ == "__main__":
    for one in json.load(sys.stdin):
        print(run(one["words"], one["log"]), flush=True)
