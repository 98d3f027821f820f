"""Validates values as a config; an error is one line with names and words of options."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from smalti.cli.options import Section, hyphened, options_of, sections_of, shown
from smalti.config import InputError
from smalti.registry import unknown_name

M = TypeVar("M", bound=BaseModel)
Values = dict[str, Any]

LONGEST = 200  # characters of a value in a message
NOWHERE: Mapping[str, str] = {}


def validated(root: type[M], values: Values, places: Mapping[str, str] = NOWHERE) -> M:
    """Validate values, all of which have known names, as a config.

    Args:
        root: class of the config.
        values: values of its options, by dotted name.
        places: beginnings of messages about options and sections, by dotted names, such as the
            file in which an option was set.

    Raises:
        InputError: a value is not allowed.
    """
    for section in sections_of(root).values():
        if section.comes_in_kinds:
            _check_kind(section, values, places)
    try:
        return root.model_validate(_nested(values))
    except ValidationError as error:
        raise InputError(_in_words(root, values, error, places)) from error


def _check_kind(section: Section, values: Values, places: Mapping[str, str]) -> None:
    """Refuse a kind that does not exist, and options of another kind.

    Raises:
        InputError: the kind or an option is unknown; the message lists the known ones.
    """
    prefix = f"{section.path}."
    kind = str(values[f"{prefix}kind"])
    if kind not in section.members:
        unknown = unknown_name(hyphened(f"{prefix}kind"), kind, section.members)
        raise InputError(f"{places.get(f'{prefix}kind', '')}{unknown}")
    own = [name for name in section.members[kind].model_fields if name != "kind"]
    for path in values.keys() - {f"{prefix}{name}" for name in ("kind", *own)}:
        if path.startswith(prefix):
            raise InputError(
                f"{places.get(path, '')}{hyphened(section.path)}: {kind} has no option "
                f"{hyphened(path.removeprefix(prefix))!r}; its options: "
                f"{', '.join(map(hyphened, own)) or 'none'}"
            )


def _nested(values: Values) -> Values:
    """Values in nested blocks: `a.b` and 3 are {a: {b: 3}}."""
    root: Values = {}
    for path, value in values.items():
        *blocks, name = path.split(".")
        block = root
        for one in blocks:
            block = block.setdefault(one, {})
        block[name] = value
    return root


def _in_words(
    root: type[BaseModel], values: Values, error: ValidationError, places: Mapping[str, str]
) -> str:
    """Describe in one line what is wrong with values: the option, what is allowed, the value.

    A value of an option with several types has an error for each type; only the first is named.
    """
    options = options_of(root)
    lines: dict[str, str] = {}
    for item in error.errors():
        path = _path_of(root, item["loc"])
        name = hyphened(path)
        got = f", got {_short(values[path])}" if path in values else ""
        match item["type"]:
            case "missing":
                allowed = "" if options[path].is_list_of_texts else f": {options[path].allowed}"
                line = f"--{name} is required{allowed}"
            case "value_error":
                line = f"{name}: {item['ctx']['error']}{got}".removeprefix(": ")
            case "finite_number":
                line = f"{name} must be finite{got}"
            case _:
                line = f"{name} must be {options[path].allowed}{got}"
        lines.setdefault(path, f"{places.get(path, '')}{line}")
    return "; ".join(lines.values())


def _path_of(root: type[BaseModel], location: Sequence[str | int]) -> str:
    """The option or section of pydantic's location, which also has names of kinds and types."""
    known = {*options_of(root), *sections_of(root)}
    path = ""
    for part in location:
        inside = f"{path}.{part}".lstrip(".")
        path = inside if inside in known else path
    return path


def _short(value: Any) -> str:
    text = repr(value) if isinstance(value, str | float) else shown(value)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}..."
