"""Names of the classes of label maps, from a text file beside the maps."""

import logging
import os
from collections.abc import Sequence
from pathlib import Path

from smalti.content import LabelsContent
from smalti.data.sources.base import printable

logger = logging.getLogger(__name__)

NAMES_FILE = "classes.txt"
MOST_BYTES = 2**22
"""Longer files are no names of classes."""


def read_label_names(specs: Sequence[str], content: LabelsContent) -> tuple[str, ...] | None:
    """Read the names of classes by their numbers, or None without a file that names them.

    The file is `classes.txt` in the folder of the label maps or above it. Its lines are the names
    of the numbers 0, 1, 2 and so on in the maps. A file that names more or fewer classes than there
    are is left out, and the log says so.

    Args:
        specs: what the user wrote after `--data`.
        content: what the label maps are.
    """
    for spec in specs:
        for folder in (content.part, ""):
            path = Path(spec, folder, NAMES_FILE)
            names = _lines(path)
            if names and content.shift:
                names = ("unlabelled", *names)
            if len(names) == content.classes:
                return names
            if names:
                logger.warning(
                    "%s does not name the classes of the label maps: it names %d, but there are %d",
                    printable(os.fspath(path)),
                    len(names),
                    content.classes,
                )
    return None


def _lines(path: Path) -> tuple[str, ...]:
    """The lines of a text file without the empty ones at its end; none if it cannot be read."""
    try:
        if not path.is_file() or path.stat().st_size > MOST_BYTES:
            return ()
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, ValueError):  # other people's file; its names are not needed
        return ()
    return tuple(line.strip() for line in text.rstrip().splitlines())
