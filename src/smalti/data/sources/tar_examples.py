"""Groups the members of a tar that belong together: the examples of WebDataset.

By its convention a key ends at the first dot of a file's name: `0001.jpg`, `0001.cls` and
`0001.seg.png` are one example. Yet `22.01.png` and `22.02.png` are two pictures. So a picture
belongs to another picture only if its name is that picture's name and more words, not numbers.
"""

import posixpath
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from smalti.data.sources.base import is_image_name

LABEL_SUFFIX = ".cls"
INFO_SUFFIX = ".json"
IMAGE_WORDS = ("image", "img", "rgb", "photo")
"""Words that only say that a file is a picture: `0001.image.png` is that of the example 0001."""


class Member(NamedTuple):
    """Name and place of a file inside its shard."""

    name: str
    offset: int
    size: int


@dataclass(slots=True)
class Example:
    """The members of one example that matter here."""

    image: Member | None = None
    label: Member | None = None
    info: Member | None = None


@dataclass(slots=True)
class Grouped:
    """The examples of a shard, and the pictures that belong to no example."""

    examples: list[Example] = field(default_factory=list)
    """The examples, in the order of their first members."""
    beside: list[str] = field(default_factory=list)
    """Names of pictures that belong to the picture of an example, such as its map."""
    further: list[str] = field(default_factory=list)
    """Names of further pictures of an example, which already has one."""


def group_members(members: Iterable[Member]) -> Grouped:
    """Group the members of a shard into examples; hidden files are left out."""
    visible = [member for member in members if not posixpath.basename(member.name).startswith(".")]
    keys = {_image_key(member.name) for member in visible if is_image_name(member.name)}
    grouped = Grouped()
    examples: dict[str, Example] = {}
    for member in visible:
        if not is_image_name(member.name):
            _add_file(examples, member, keys)
        elif _goes_with_another(_image_key(member.name), keys):
            grouped.beside.append(member.name)
        else:
            example = examples.setdefault(_image_key(member.name), Example())
            if example.image is not None:
                grouped.further.append(member.name)
            example.image = example.image or member
    grouped.examples = _with_common_files(examples)
    return grouped


def _add_file(examples: dict[str, Example], member: Member, keys: set[str]) -> None:
    """Add a file that is no picture to the example of its picture, or to a new example."""
    stem, _ = posixpath.splitext(member.name)
    key = next((start for start in _starts(member.name) if start in keys), stem)
    example = examples.setdefault(key, Example())
    suffix = member.name.removeprefix(key).lower()
    if suffix == LABEL_SUFFIX:
        example.label = example.label or member
    elif suffix == INFO_SUFFIX:
        example.info = example.info or member


def _with_common_files(examples: dict[str, Example]) -> list[Example]:
    """Give common files to the examples: `scene.cls` labels `scene.0.png` and `scene.1.png`."""
    lent = set()
    for key, example in examples.items():
        for start in _starts(key):
            other = examples.get(start)
            if example.image is not None and other is not None and other.image is None:
                example.label = example.label or other.label
                example.info = example.info or other.info
                lent.add(start)
    return [example for key, example in examples.items() if key not in lent]


def _image_key(name: str) -> str:
    """A picture's name without its ending, and without a word that only says that it is one."""
    key = posixpath.splitext(name)[0]
    start, word = posixpath.splitext(key)
    return start if word[1:].lower() in IMAGE_WORDS else key


def _goes_with_another(key: str, keys: set[str]) -> bool:
    """Whether the picture of a key is another one's map: the rest of its name is words."""
    for start in _starts(key):
        rest = key.removeprefix(start).split(".")[1:]
        if start in keys and not any(word.isdecimal() for word in rest):
            return True
    return False


def _starts(name: str) -> Iterator[str]:
    """The beginnings of a file's name up to each of its dots, the longest first."""
    folder, base = posixpath.split(name)
    while "." in base:
        base = base.rpartition(".")[0]
        yield posixpath.join(folder, base)
