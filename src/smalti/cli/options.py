"""The options of a config, from its fields: dotted names, defaults and allowed values."""

import re
import types
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt, MaxLen, MinLen
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from smalti.cli.arguments import listed
from smalti.config import InputError
from smalti.plain_data import read_yaml

NULL = ("null", "none")
"""Words that people write on the command line for no value."""
NOUNS = {
    int: "a whole number",
    float: "a number",
    str: "text",
    Path: "a path",
}
PLURALS = {int: "whole numbers", float: "numbers", str: "texts"}


@dataclass(frozen=True, slots=True)
class Option:
    """A value of a config that a command line may set."""

    path: str
    """Dotted name as in config files, such as `vqgan.codebook_size`."""
    about: str
    """Description in sentences; "" if the field has no docstring."""
    alternatives: tuple[tuple[Any, tuple[Any, ...]], ...]
    """Types of the value, each with the constraints that pydantic checks."""
    default: Any
    """Default value; `...` if there is none."""
    kind: str = ""
    """The kind that has this option, if its section comes in kinds."""

    @property
    def flag(self) -> str:
        """Name on the command line, such as `--vqgan.codebook-size`."""
        return f"--{hyphened(self.path)}"

    @property
    def allowed(self) -> str:
        """Allowed values in words, such as `a whole number of at least 1, auto or null`."""
        return listed([word for one in self.alternatives for word in _in_words(*one)])

    @property
    def choices(self) -> list[str]:
        """Values that are words, such as `auto` and `null`."""
        return [word for kind, _ in self.alternatives for word in _choices(kind)]

    @property
    def is_list_of_texts(self) -> bool:
        """Whether the option takes several words, as `--data one two`."""
        return self._takes(tuple[str, ...])

    @property
    def is_text(self) -> bool:
        """Whether the value is a text, which may look like anything else."""
        return self._takes(str) or self._takes(Path)

    @property
    def is_fixed(self) -> bool:
        """Whether the option has only one possible value, as `stage`."""
        return len(self.alternatives) == 1 == len(self.choices)

    def parse(self, text: str) -> Any:
        """Parse a word of the command line into a value.

        Raises:
            InputError: the word has no meaning.
        """
        if self._takes(types.NoneType) and text in NULL:
            return None
        return text if self.is_text else parse_value(self.flag, text)

    def _takes(self, kind: Any) -> bool:
        return any(one == kind for one, _ in self.alternatives)


@dataclass(frozen=True, slots=True)
class Section:
    """A section of a config: the options below one dotted name."""

    path: str
    """Dotted name; "" is the section of the options directly in the root."""
    about: str
    members: Mapping[str, type[BaseModel]]
    """Config class of the section or, if it comes in kinds, that of each kind."""
    options: tuple[Option, ...]

    @property
    def comes_in_kinds(self) -> bool:
        """Whether the section is one of several configs, which `kind` chooses."""
        return "" not in self.members


def sections_of(root: type[BaseModel]) -> dict[str, Section]:
    """All sections of a config by dotted name; sections inside others come after them."""
    return {section.path: section for section in _sections("", "", {"": root}, {})}


def options_of(root: type[BaseModel]) -> dict[str, Option]:
    """The options of a config by dotted name; if several kinds have one, that of the first kind."""
    found: dict[str, Option] = {}
    for section in sections_of(root).values():
        for option in section.options:
            found.setdefault(option.path, option)
    return found


def members_of(field: FieldInfo) -> dict[str, type[BaseModel]]:
    """The configs that a field may hold: by kind, or one under ""; none if it is a plain value."""
    if field.discriminator:
        return {one.model_fields["kind"].default: one for one in get_args(field.annotation)}
    kind = field.annotation
    is_config = isinstance(kind, type) and issubclass(kind, BaseModel)
    return {"": kind} if is_config else {}  # type: ignore[dict-item]


def _sections(
    path: str, about: str, members: Mapping[str, type[BaseModel]], defaults: Mapping[str, Any]
) -> Iterator[Section]:
    options: list[Option] = []
    inside: list[tuple[str, FieldInfo, Any]] = []
    if "" not in members:
        kinds = Literal[tuple(members)]  # type: ignore[valid-type]
        options.append(Option(f"{path}.kind", about, ((kinds, ()),), defaults["kind"]))
    for kind, member in members.items():
        known = defaults if kind in ("", defaults.get("kind")) else {}
        for name, field in member.model_fields.items():
            default = known.get(name, ... if field.is_required() else field.default)
            below = f"{path}.{name}".lstrip(".")
            if members_of(field):
                inside.append((below, field, default))
            elif name != "kind" or kind == "":
                types_of = tuple(_alternatives(field.annotation, tuple(field.metadata)))
                about_it = field.description or ""
                options.append(Option(below, about_it, types_of, default, kind))
    yield Section(path, about, members, tuple(options))
    for below, field, default in inside:
        yield from _sections(below, field.description or "", members_of(field), dict(default))


def _alternatives(
    annotation: Any, metadata: tuple[Any, ...]
) -> Iterator[tuple[Any, tuple[Any, ...]]]:
    if get_origin(annotation) is Annotated:
        inner, *more = get_args(annotation)
        for one in more:
            metadata += tuple(one.metadata) if isinstance(one, FieldInfo) else (one,)
        yield from _alternatives(inner, metadata)
    elif get_origin(annotation) in (Union, types.UnionType):
        for one in get_args(annotation):
            yield from _alternatives(one, metadata)
    else:
        yield annotation, metadata


def _choices(kind: Any) -> list[str]:
    """The words of a type that consists of words; none for other types."""
    if get_origin(kind) is Literal:
        return [str(value) for value in get_args(kind)]
    return {bool: ["true", "false"], types.NoneType: ["null"]}.get(kind, [])


def _in_words(kind: Any, metadata: Sequence[Any]) -> list[str]:
    if get_origin(kind) is tuple:
        return [_list_in_words(get_args(kind), metadata)]
    return _choices(kind) or [NOUNS[kind] + _bounds(metadata)]


def _list_in_words(items: Sequence[Any], metadata: Sequence[Any]) -> str:
    if items[-1] is not ...:
        return "HEIGHTxWIDTH"  # the only pair in our configs
    ((kind, constraints),) = _alternatives(items[0], ())
    lengths = {type(one): one for one in metadata}
    count = f"{lengths[MinLen].min_length} or more " if MinLen in lengths else ""
    if MaxLen in lengths:
        count = f"{lengths[MinLen].min_length} to {lengths[MaxLen].max_length} "
    least: Any = next((one.ge for one in constraints if isinstance(one, Ge)), 1)
    example = "" if kind is str else f" (as [{least},{2 * least}])"
    return f"a list of {count}{PLURALS[kind]}{_bounds(constraints)}{example}"


def _bounds(metadata: Sequence[Any]) -> str:
    """The range that constraints leave, in words: ` above 0 and at most 1`."""
    given = {type(one): one for one in metadata}
    if Ge in given and Le in given:
        return f" from {given[Ge].ge} to {given[Le].le}"
    if Ge in given and Lt in given:
        return f" from {given[Ge].ge} to below {given[Lt].lt}"
    words = [(Ge, "ge", "of at least"), (Gt, "gt", "above"), (Le, "le", "at most")]
    words += [(Lt, "lt", "below")]
    said = [f"{word} {getattr(given[kind], name)}" for kind, name, word in words if kind in given]
    return " " + " and ".join(said) if said else ""


def hyphened(path: str) -> str:
    """A dotted name as it is written on the command line and in messages."""
    return path.replace("_", "-")


def underscored(name: str) -> str:
    """A dotted name as it is written in config files."""
    return name.replace("-", "_")


def shown(value: Any) -> str:
    """A value as it is written on the command line."""
    match value:
        case None:
            return "null"
        case bool():
            return str(value).lower()
        case float() if float(f"{value:g}") == value:
            return f"{value:g}"
        case list() | tuple():
            return f"[{','.join(map(shown, value))}]"
        case _:
            return str(value)


def parse_value(name: str, text: str) -> Any:
    """Parse a word that may be a number, a list or a block of options.

    Raises:
        InputError: the word has no meaning.
    """
    if not text.strip():
        raise InputError(f"{name} needs one value")
    return int(text) if re.fullmatch(r"[+-]?\d{1,99}", text) else read_yaml(text, name)
