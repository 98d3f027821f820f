"""Names of models and data sets on the Hugging Face hub, and whether it can be reached."""

import functools
import logging
import os
import re
import socket
import threading
import urllib.parse
import urllib.request

logger = logging.getLogger(__name__)

PREFIX = "hf://"
SECONDS = 3.0
"""How long to wait for a connection; the libraries of the hub try for half a minute."""
FOLDERS_OF_OURS = {"runs", "demo"}
"""Default folders of our commands: a missing `runs/prior` is not looked for on the hub."""


def hub_name(name: str) -> str | None:
    """Name on the hub, `owner/name` and what follows it, or None if `name` is a path.

    `hf://owner/name` always means the hub. `owner/name` does so only if no `owner` exists here.
    """
    if name.startswith(PREFIX):
        return name.removeprefix(PREFIX)
    owner, separator, rest = name.partition("/")
    bare = rest.partition("@")[0]  # a revision may hold slashes
    is_one = re.fullmatch(r"\w[\w.-]*", owner) and separator and bare and "/" not in bare
    if not is_one or owner in FOLDERS_OF_OURS or os.path.lexists(owner):
        return None
    return name


@functools.cache
def announce(name: str, what: str, on_hub: str) -> None:
    """Log, once, that the hub is asked for what a user named without `hf://`."""
    if not name.startswith(PREFIX):
        logger.info(
            "%s is not here: asking the Hugging Face hub for the %s %s%s",
            name,
            what,
            PREFIX,
            on_hub,
        )


def is_reachable() -> bool:
    """Whether a connection to the hub succeeds within `SECONDS`."""
    from huggingface_hub import constants

    if constants.HF_HUB_OFFLINE:
        return False
    if urllib.request.getproxies():
        return True  # it connects for us
    address = urllib.parse.urlsplit(constants.ENDPOINT)
    port = address.port or (80 if address.scheme == "http" else 443)
    connected = threading.Event()

    def connect() -> None:
        try:
            socket.create_connection((address.hostname or "", port), SECONDS).close()
        except OSError:
            return
        connected.set()

    # Looking up the host's name knows no time limit.
    attempt = threading.Thread(target=connect, daemon=True)
    attempt.start()
    attempt.join(SECONDS)
    return connected.is_set()
