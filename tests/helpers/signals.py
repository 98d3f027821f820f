"""What tests of signals need of the system."""

import sys

import pytest

from smalti.cluster import REQUEUE_SIGNAL

needs_sent_signals = pytest.mark.skipif(
    sys.platform == "win32", reason="Windows ends a process to which a signal is sent"
)
needs_requeue_signal = pytest.mark.skipif(
    REQUEUE_SIGNAL is None, reason="this system has no SIGUSR1"
)
