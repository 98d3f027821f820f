"""The paired data of a data set: it is matched with the images and read with them.

H, W: size of the crop in pixels.
"""

import hashlib
import os
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from PIL import Image
from torch import Tensor

from smalti.config import InputError
from smalti.content import ContentConfig
from smalti.data.config import TransformConfig
from smalti.data.decode import PixelSize
from smalti.data.pairing.base import FilePair, MadePair, Paired
from smalti.data.pairing.matching import Pairing, Partners, match
from smalti.data.sources.base import ImageSource, RawImage, printable
from smalti.data.sources.parts import scene
from smalti.data.transforms import Crop
from smalti.data.upright import how_map_lies


class _Files(NamedTuple):
    """The files of one kind."""

    pair: FilePair[Any]
    partners: Sequence[Partners]
    """The files of each source of images."""


class Companions:
    """The paired data, of several kinds, of some sources of images.

    Raises:
        InputError: a kind is given twice or cannot be made of such images, its files are missing,
            or no image of a source has all its files.
    """

    def __init__(
        self,
        sources: Sequence[ImageSource],
        paired: Sequence[Paired],
        content: ContentConfig,
        transform: TransformConfig,
    ) -> None:
        kinds = [pair.kind for pair in paired]
        if len(set(kinds)) < len(kinds):
            raise InputError(f"paired data is {', '.join(kinds)}; give each kind once")
        self._made = [pair for pair in paired if isinstance(pair, MadePair)]
        for pair in self._made:
            pair.check(content, transform)
        files = [
            _Files(pair, [pair.partners(source) for source in sources])
            for pair in paired
            if isinstance(pair, FilePair)
        ]
        self.pairing = {pair.kind: _compared(sources, partners) for pair, partners in files}
        """For each kind, which images of the whole data set have their file."""
        complete = [_complete(number, source, files) for number, source in enumerate(sources)]
        self.positions = complete if files else None
        """For each source, the images that have all their files; None if no kind needs files."""
        scenes = [
            [scene(source, position) for position in positions]
            for source, positions in zip(sources, complete, strict=True)
        ]
        self._files = [_Files(pair.settled(partners, scenes), partners) for pair, partners in files]

    @property
    def pairs(self) -> Mapping[str, Paired]:
        """For each kind, how its data is read, completed with what only its files tell."""
        return {pair.kind: pair for pair in (*(pair for pair, _ in self._files), *self._made)}

    def read(self, source: int, name: str) -> list[tuple[FilePair[Any], RawImage]]:
        """Read the files of a scene in the source of this number, each with its pair.

        Raises:
            BrokenImageError: a file cannot be read.
        """
        return [(pair, partners[source].read(name)) for pair, partners in self._files]

    def decode(self, source: int, name: str, image: RawImage, size: PixelSize) -> Mapping[str, Any]:
        """Decode the files of a scene, by kind; arguments and errors of `read`, `decoded_over`."""
        return {
            pair.kind: decoded_over(pair, raw, image, size) for pair, raw in self.read(source, name)
        }

    def conditions(
        self, decoded: Mapping[str, Any], size: PixelSize, cropped: Image.Image, crop: Crop
    ) -> dict[str, Tensor]:
        """Make the conditions of an image, by kind.

        Args:
            decoded: the contents that `decode` returned.
            size: size of the image's whole picture.
            cropped: what `crop.cut` returned, not mirrored yet.
            crop: the crop of the image.
        """
        cut = {pair.kind: pair.cut(decoded[pair.kind], size, crop) for pair, _ in self._files}
        return cut | {pair.kind: pair.make(cropped, crop) for pair in self._made}

    def fingerprint(self) -> str:
        """A hash that changes when a file is added, removed or replaced; empty without files."""
        if not self._files:
            return ""
        digest = hashlib.sha256()
        for pair, partners in self._files:
            digest.update(pair.kind.encode())
            for files in partners:
                digest.update(files.source.fingerprint().encode())
        return digest.hexdigest()


def decoded_over(pair: FilePair[Any], raw: RawImage, image: RawImage, size: PixelSize) -> Any:
    """Decode a file of a pair, turned if need be to cover its image, whose upright size is `size`.

    Raises:
        BrokenImageError: it cannot be read.
        InputError: it is of another kind, or a map of another size than the image.
    """
    decoded = pair.decode(raw.content, raw.key)
    map_size = pair.size(decoded)
    if map_size is None or map_size == size:
        return decoded
    orientation = how_map_lies(map_size, size, image.header().orientation, raw.key, image.key)
    return pair.turned(decoded, orientation)


def _compared(sources: Sequence[ImageSource], partners: Sequence[Partners]) -> Pairing:
    first, *others = map(match, sources, partners)
    return sum(others, first)


def _complete(number: int, source: ImageSource, files: Sequence[_Files]) -> list[int]:
    """The images of a source that have all their files."""
    positions = []
    for index in range(len(source)):
        name = scene(source, index)
        if all(name in partners[number] for _, partners in files):
            positions.append(index)
    if not positions:
        raise InputError(_nothing_paired(number, source, files))
    return positions


def _nothing_paired(number: int, source: ImageSource, files: Sequence[_Files]) -> str:
    """Message for a source of which no image has all its files."""
    folders = [_folder(files.partners[number].source) for files in files]
    kinds = " and ".join(files.pair.kind for files in files)
    pairings = [match(source, files.partners[number]) for files in files]
    worst = min(pairings, key=lambda pairing: pairing.matched)
    return (
        f"no image in {_folder(source)} has its {kinds}: the names in {' and '.join(folders)} must "
        f"be those of the images; {worst}"
    )


def _folder(source: ImageSource) -> str:
    """The folder of a source's first file."""
    return os.path.dirname(source.key(0)) or printable(source.spec)
