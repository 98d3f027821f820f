"""The start of processes that read data beside the one that computes."""

import multiprocessing

PRELOADED = ["__main__", "smalti.data.loader"]
"""Modules that the server imports from which workers are forked; the first is Python's default."""


def prepare_workers() -> None:
    """Let the server from which workers are forked import PyTorch once, for all of them.

    From Python 3.14 on, such a server is the default on Linux, and workers start anew with every
    evaluation. Where workers are forked from this process, or are not forked, nothing is done.
    """
    if multiprocessing.get_start_method() == "forkserver":
        multiprocessing.set_forkserver_preload(PRELOADED)
