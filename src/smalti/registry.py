"""Looks classes up by name; the package has no other dynamic lookup."""

import difflib
from collections.abc import Callable, Iterable, Iterator
from typing import Generic, Protocol, TypeVar

from smalti.config import InputError

T = TypeVar("T")


MOST_LISTED = 20  # names in a message; ImageNet's thousand classes would fill the screen


def unknown_name(what: str, name: str, known: Iterable[str]) -> InputError:
    """Make the error for an unknown name, with the nearest known name and the first of all."""
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.4)
    hint = f"; did you mean {near[0]!r}?" if near else "."
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
