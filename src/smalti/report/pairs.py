"""The page of pairs: images beside their nearest training images."""

import html
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from smalti.files import atomic_folder
from smalti.report.html import document, figure, table
from smalti.sampling.sheet import contact_sheet


@dataclass(frozen=True, slots=True)
class Pair:
    """An image and its nearest training image."""

    image: Image.Image
    training: Image.Image
    caption: str
    """What both are, and their distance."""


@dataclass(frozen=True, slots=True)
class PairRow:
    """Pairs of one kind of images."""

    name: str
    """Of their files: a word."""
    heading: str
    pairs: Sequence[Pair]


def write_pairs(
    folder: Path, title: str, warning: str | None, facts: dict[str, str], rows: Sequence[PairRow]
) -> Path:
    """Write the page and its pictures into a folder, and return the page; an older one is replaced.

    Args:
        folder: of the page.
        title: of the page.
        warning: what speaks for memorisation; None if nothing does.
        facts: values by name, for a table.
        rows: the pairs.

    Raises:
        InputError: the folder cannot be written.
    """
    with atomic_folder(folder) as temporary:
        body = "\n".join(_body(temporary, title, warning, facts, rows))
        (temporary / "index.html").write_text(document(title, body), encoding="utf-8")
    return folder / "index.html"


def _body(
    folder: Path, title: str, warning: str | None, facts: dict[str, str], rows: Sequence[PairRow]
) -> Iterator[str]:
    yield f"<h1>{html.escape(title)}</h1>"
    if warning is None:
        yield '<p class="good">Nothing speaks for memorisation.</p>'
    else:
        yield f'<div class="bad"><strong>{html.escape(warning)}</strong></div>'
    yield table(facts)
    for row in rows:
        yield f"<h2>{html.escape(row.heading)}</h2>"
        for number, pair in enumerate(row.pairs):
            file = f"{row.name}_{number:03}.png"
            contact_sheet([pair.image, pair.training], columns=2).save(folder / file)
            yield figure(file, pair.caption)
