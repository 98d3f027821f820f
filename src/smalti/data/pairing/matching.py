"""Matches the images of a source with the files of a kind, by the names of their scenes."""

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from smalti.config import InputError
from smalti.data.sources.base import ImageSource, RawImage, listed, printable
from smalti.data.sources.parts import scene

MOST_NAMED = 3
"""Most names in a line of the log."""


def open_beside(images: ImageSource, part: str) -> ImageSource:
    """Open the folder or column `part` of a data set that lies beside its images.

    Raises:
        InputError: the data set has no such folder or column.
    """
    if part not in images.parts:
        there = ", ".join(sorted(images.parts)) or "images alone"
        raise InputError(
            f"{printable(images.spec)} has no {part} beside its images but {there}; needed are a "
            f"folder {part}/ beside images/, or a column"
        )
    return type(images)(images.spec, False, part)


class Partners:
    """Files of one kind by the name of their scene; of two of one scene the first counts."""

    def __init__(self, source: ImageSource) -> None:
        self.source = source
        self._positions: dict[str, int] = {}
        for index in range(len(source)):
            self._positions.setdefault(scene(source, index), index)

    def scenes(self) -> Iterable[str]:
        """Names of all scenes that have a file."""
        return self._positions.keys()

    def __contains__(self, name: str) -> bool:
        return name in self._positions

    def read(self, name: str) -> RawImage:
        """Read the file of a scene.

        Raises:
            BrokenImageError: it cannot be read.
        """
        return self.source.read(self._positions[name])


@dataclass(frozen=True, slots=True)
class Pairing:
    """Which images have their file of one kind."""

    images: int
    """Number of all images."""
    missing: Sequence[str]
    """Scenes of the images without a file."""
    alone: Sequence[str]
    """Scenes of the files without an image."""

    @property
    def matched(self) -> int:
        """Number of images that have their file."""
        return self.images - len(self.missing)

    def __add__(self, other: "Pairing") -> "Pairing":
        return Pairing(
            self.images + other.images,
            [*self.missing, *other.missing],
            [*self.alone, *other.alone],
        )

    def __str__(self) -> str:
        """One line with the numbers of images and the first names of those left out."""
        line = f"{self.matched} of {self.images} images"
        if self.missing:
            line += f", none for {listed(self.missing, MOST_NAMED)}"
        if self.alone:
            line += f"; without an image: {listed(self.alone, MOST_NAMED)}"
        return f"{line}; {self.alike}" if self.alike else line

    @property
    def alike(self) -> str:
        """Text about names that look the same and differ, in ASCII; empty without such names."""
        alone = {_folded(name): name for name in self.alone}
        alike = [name for name in self.missing if _folded(name) in alone]
        if not alike:
            return ""
        one, other = alike[0], alone[_folded(alike[0])]
        return f"{len(alike)} of these only look alike, as {one!a} and {other!a}"


def match(images: ImageSource, partners: Partners) -> Pairing:
    """Compare the scenes of images with those of a kind's files."""
    scenes = [scene(images, index) for index in range(len(images))]
    known = set(scenes)
    return Pairing(
        images=len(scenes),
        missing=[name for name in scenes if name not in partners],
        alone=[name for name in partners.scenes() if name not in known],
    )


def describe(pairings: Mapping[str, Pairing]) -> str:
    """One line that tells the pairings by kind."""
    return "; ".join(f"{kind}: {pairing}" for kind, pairing in pairings.items())


def _folded(name: str) -> str:
    """A name without what people overlook: capitals, spaces and forms of a letter."""
    return "".join(unicodedata.normalize("NFKC", name).casefold().split())
