"""Options of the parts of a config that come in kinds, such as `--vqgan.quantizer.kind fsq`.

jsonargparse mixes the fields of all kinds: an option of the default kind stays when the kind
changes, and an option of another kind changes it. So they are read here, and jsonargparse sees
plain mappings.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ValidationError, create_model
from pydantic.fields import FieldInfo

from smalti.cli.config_file import merge, nest
from smalti.config import Config, InputError, describe
from smalti.plain_data import read_yaml
from smalti.registry import unknown_name


@dataclass(frozen=True, slots=True)
class UnionField:
    """A field of a config that is one of several configs, told apart by their `kind`."""

    path: str
    """Dotted, from the root: `vqgan.quantizer`."""
    members: Mapping[str, type[BaseModel]]
    """The configs by kind."""
    default: BaseModel

    def choose(self, layers: Iterable[Mapping[str, Any]]) -> BaseModel:
        """The config that layers of values make of the default, later ones winning.

        Where a layer changes the kind, the values before it are gone: they are another kind's.

        Raises:
            InputError: the kind is unknown, or an option or value is not one of the kind's.
        """
        values = self.default.model_dump()
        for layer in layers:
            if layer.get("kind", values["kind"]) != values["kind"]:
                values = {}
            values |= layer
        kind = str(values["kind"])
        if kind not in self.members:
            raise unknown_name(f"{self.path}.kind", kind, self.members)
        member = self.members[kind]
        for name in values.keys() - member.model_fields.keys():
            options = ", ".join(_options_of(member)) or "none"
            raise InputError(f"{self.path}: {kind} has no option {name!r}; its options: {options}")
        try:
            return member.model_validate(values)
        except ValidationError as error:
            raise InputError(f"{self.path}.{describe(error)}") from error


def union_fields(model: type[BaseModel], prefix: str = "") -> Iterator[UnionField]:
    """All fields of a config that come in kinds, at any depth."""
    for name, field in model.model_fields.items():
        path = f"{prefix}{name}"
        if field.discriminator:
            members = {member.model_fields["kind"].default: member for member in _members(field)}
            yield UnionField(path, members, field.default)
        elif nested := nested_config(field):
            yield from union_fields(nested, f"{path}.")


def nested_config(field: FieldInfo) -> type[BaseModel] | None:
    """The config class that a field holds, if it holds one."""
    kind = field.annotation
    return kind if isinstance(kind, type) and issubclass(kind, BaseModel) else None


def union_paths(field: FieldInfo, prefix: str) -> Iterator[str]:
    """Dotted names of what may stand in a field that comes in kinds."""
    names = {name: None for member in _members(field) for name in member.model_fields}
    return (f"{prefix}{name}" for name in names)


def _members(field: FieldInfo) -> Sequence[type[BaseModel]]:
    return get_args(field.annotation)


def _options_of(member: type[BaseModel]) -> list[str]:
    return [name for name in member.model_fields if name != "kind"]


def with_plain_mappings(model: type[BaseModel]) -> type[BaseModel]:
    """A copy of a config class that takes any mapping where the original has kinds."""
    if not any(union_fields(model)):
        return model
    fields: dict[str, Any] = {}
    for name, field in model.model_fields.items():
        if field.discriminator:
            plain = FieldInfo(default=field.default.model_dump(), description=_help(field))
            fields[name] = (dict[str, Any], plain)
        elif nested := nested_config(field):
            copy = with_plain_mappings(nested)
            default = copy.model_validate(field.default.model_dump())
            fields[name] = (copy, FieldInfo(default=default, description=field.description))
        else:
            fields[name] = (field.annotation, field)
    return create_model(model.__name__, __base__=Config, __doc__=model.__doc__, **fields)


def _help(field: FieldInfo) -> str:
    kinds = []
    for member in _members(field):
        options = ", ".join(_options_of(member))
        listed = f" ({options})" if options else ""
        kinds.append(f"{member.model_fields['kind'].default}{listed}")
    return f"{field.description} Its `kind` and that kind's options, one of: {'; '.join(kinds)}"


def settle_unions(
    fields: Sequence[UnionField],
    arguments: Sequence[str],
    read_file: Callable[[str], Mapping[str, Any]],
) -> list[str]:
    """Arguments in which each field that comes in kinds is given once, whole and checked.

    Args:
        fields: of the root.
        arguments: the command line, in order.
        read_file: gives the content of a config file.

    Raises:
        InputError: the kind is unknown, or an option or value is not one of the kind's.
    """
    rest: list[str] = []
    layers: list[dict[str, Any]] = [{}]  # options between two files count as written at once
    for words in options(arguments):
        name, value = name_and_value(words)
        if name == "config" and value:
            layers += [dict(read_file(value)), {}]
        elif any(_is_within(field.path, name) or _is_within(name, field.path) for field in fields):
            merge(layers[-1], nest(name, _parse(name, value)))
        if not any(_is_within(name, field.path) for field in fields):
            rest += words
    for field in fields:
        given = [_look_up(layer, field.path) for layer in layers]
        rest += [f"--{field.path}", field.choose(given).model_dump_json()]
    return rest


def options(arguments: Sequence[str]) -> Iterator[list[str]]:
    """Each option with its value, and each other word alone."""
    words = list(arguments)
    while words:
        word = words.pop(0)
        takes_next = word.startswith("--") and "=" not in word
        if takes_next and words and not words[0].startswith("--"):
            yield [word, words.pop(0)]
        else:
            yield [word]


def name_and_value(words: Sequence[str]) -> tuple[str, str]:
    """Name and value of an option of a command line; "" where it has none."""
    name, _, value = words[0].removeprefix("--").partition("=")
    return name, words[1] if len(words) > 1 else value


def _is_within(name: str, path: str) -> bool:
    return name == path or name.startswith(f"{path}.")


def _parse(name: str, value: str) -> Any:
    try:
        return read_yaml(value, f"--{name}")
    except yaml.YAMLError as error:
        raise InputError(f"{name}: cannot be read, got {value!r}") from error


def _look_up(layer: Mapping[str, Any], path: str) -> Mapping[str, Any]:
    """What a layer says of a field: nothing, or a mapping.

    Raises:
        InputError: it is not a mapping.
    """
    value: Any = layer
    for part in path.split("."):
        if not isinstance(value, dict) or part not in value:
            return {}
        value = value[part]
    if not isinstance(value, dict):
        raise InputError(f"{path}: must be a mapping of `kind` and its options, got {value!r}")
    return value
