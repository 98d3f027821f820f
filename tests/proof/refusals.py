"""Plugin of pytest that writes down each line with which a command line is refused in a test.

SMALTI_REFUSALS=FILE PYTHONPATH=tests/proof pytest -p refusals tests/cli/test_bad_input.py
"""

import contextlib
import io
import os
import sys
from collections.abc import Sequence

from smalti.cli import main as entry

REFUSED = 2  # the exit code

real_main = entry.main


def main(arguments: Sequence[str] | None = None) -> int:
    """The command, whose refusal is written down under the name of the test."""
    code, said = None, io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            code = real_main(arguments)
        return code
    except SystemExit as end:
        code = end.code
        raise
    finally:
        sys.stderr.write(said.getvalue())
        if code == REFUSED:
            test = os.environ["PYTEST_CURRENT_TEST"].rpartition(" ")[0].partition("::")[2]
            with open(os.environ["SMALTI_REFUSALS"], "a", encoding="utf-8") as file:
                file.write(f"{test}: {said.getvalue().splitlines()[-1]}\n")  # after the progress


entry.main = main  # before the tests' helpers take it
