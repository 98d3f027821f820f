"""Looks classes up by name; the package has no other dynamic lookup."""

import difflib
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Generic, Protocol, TypeVar

from smalti.errors import InputError

T = TypeVar("T")

MOST_LISTED = 20  # names in a message; ImageNet's thousand classes would fill the screen
SHORTEST_PART = 3  # letters of a part that stands for a name; fewer are in too many names
MOST_LETTERS = 2  # that a misspelling has too many or too few


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Find the known name that was meant: the only one with `name` in it, else a similar one.

    Names that begin with `name` count first, then those with it as the last part of a dotted name.
    Upper and lower case are the same, as are hyphens and underscores.
    """
    names = {_plain(one): one for one in known}
    part = _plain(name)
    if len(part) >= SHORTEST_PART:
        for form in (f"^{re.escape(part)}", rf"\.{re.escape(part)}$", re.escape(part)):
            found = [one for one in names if re.search(form, one)]
            if len(found) == 1:
                return names[found[0]]
    as_long = [one for one in names if abs(len(one) - len(part)) <= MOST_LETTERS]
    near = difflib.get_close_matches(part, as_long, n=1)
    return names[near[0]] if near else None


def _plain(name: str) -> str:
    return name.casefold().replace("_", "-").strip("-")


def unknown_name(what: str, name: str, known: Iterable[str]) -> InputError:
    """Make the error for an unknown name, with the nearest known name and the first of all."""
    names = sorted(known)
    near = nearest(name, names)
    hint = f"; did you mean {near!r}?" if near else "."
    more = f", ... ({len(names)} in all)" if len(names) > MOST_LISTED else ""
    listed = ", ".join(names[:MOST_LISTED])
    return InputError(f"unknown {what} {name!r}{hint} Known: {listed}{more}")


class HasKind(Protocol):
    """A config that names its class."""

    @property
    def kind(self) -> str:
        """Name of the class in its registry."""


class Registry(Generic[T]):
    """The classes of one kind, by the name that configs and commands use.

    Args:
        what: what the entries are, for messages ("quantizer").
    """

    def __init__(self, what: str) -> None:
        self.what = what
        self._classes: dict[str, type[T]] = {}

    def register(self, name: str) -> Callable[[type[T]], type[T]]:
        """Class decorator that adds the class under `name`."""

        def add(cls: type[T]) -> type[T]:
            assert name not in self._classes, f"two {self.what}s are called {name!r}"
            self._classes[name] = cls
            return cls

        return add

    def __getitem__(self, name: str) -> type[T]:
        if name not in self._classes:
            raise unknown_name(self.what, name, self._classes)
        return self._classes[name]

    def build(self, config: HasKind, *arguments: object) -> T:
        """What a config describes: the class of its kind, built with it and the arguments."""
        kind: Callable[..., T] = self[config.kind]
        return kind(config, *arguments)

    def __iter__(self) -> Iterator[str]:
        return iter(self._classes)
