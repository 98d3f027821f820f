"""The command `smalti reproduce`."""

import logging

from smalti.reproduce import dry_run
from smalti.reproduce.dry_run import RunEstimate


def test_a_plan_tells_once_what_the_data_of_all_runs_lack(call, here, monkeypatch):
    """Each run opens its data, and all of them skip the same images."""

    def estimate(*_arguments):
        for name in ("one", "two"):
            logging.getLogger("smalti.data").warning("skipped image a.png: it is broken")
            logging.getLogger("smalti.data").warning("of %s alone", name)
            yield RunEstimate(name, False, False, 1, 1.0, 1, 1, True)

    monkeypatch.setattr(dry_run, "estimate", estimate)
    monkeypatch.setattr(dry_run, "plan_anyway", lambda *_arguments: ([], []))
    said = call("reproduce", "orderings", "--dry-run", "--seeds", "0").err.splitlines()
    assert said == ["skipped image a.png: it is broken", "of one alone", "of two alone"]
