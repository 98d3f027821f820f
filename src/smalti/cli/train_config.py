"""Reads the words of `smalti train` into a valid config, or raises one line of what is wrong.

Defaults, presets, config files and options are layers of values that are merged, later ones
winning; the result is validated once, by the config's model.
"""

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from pydantic import BaseModel

from smalti.cli.config_file import merge, nest, read_config_file
from smalti.cli.options import (
    hyphened,
    members_of,
    options_of,
    parse_value,
    sections_of,
    shown,
    underscored,
)
from smalti.cli.presets import preset_path
from smalti.cli.validation import validated
from smalti.config import InputError
from smalti.data.config import present_transform
from smalti.paths import expand
from smalti.registry import nearest
from smalti.runs.config import ROOTS, BaseRunConfig, PriorRunConfig
from smalti.runs.stored import read_run_config

R = TypeVar("R", bound=BaseRunConfig)
Values = dict[str, Any]

SHORT = {"auto_remedy": "training.auto_remedy"}
"""Short names of options, which take no value and mean true."""
FORMER = {"image.upscale"}
"""Former names of options, which are still read."""


class Layer(NamedTuple):
    """Values that a command line, a file or a model gives to options, in nested blocks."""

    values: Values
    place: str = ""
    """Beginning of messages about them, such as `config.yaml: `; "" for the command line."""


def read_config(root: type[R], arguments: Sequence[str], start: Values | None = None) -> R:
    """Read the config of a stage: defaults, then presets, files and options, later ones winning.

    Args:
        root: config class of the stage.
        arguments: words of the command line.
        start: values that count if nothing else sets them.

    Raises:
        InputError: an option, a key or a value is not allowed.
    """
    layers = [Layer(start or {}), *_layers(root, arguments)]
    layers = [*_of_models(root, _folded(root, layers)), *layers]
    places = {path: place for values, place in layers for path in _paths(values)}
    return validated(root, _folded(root, layers), places)


def words_of(
    root: type[BaseRunConfig], arguments: Sequence[str]
) -> Iterator[tuple[str, list[str]]]:
    """The options of a command line, named as in config files, each with the words of its value.

    Raises:
        InputError: an option is unknown or has no value, or a word belongs to none.
    """
    options = options_of(root)
    short = {name for name, path in SHORT.items() if path in options}
    known = {*options, *sections_of(root), *short, "config", "preset"} - {""}
    several = {"preset", *(path for path, option in options.items() if option.is_list_of_texts)}
    words = list(arguments)
    while words:
        flag, equals, value = words.pop(0).partition("=")
        name = underscored(flag.removeprefix("--"))
        if not flag.startswith("--"):
            raise InputError(
                f"{flag!r} belongs to no option; what an option takes follows its name"
            )
        if name not in known | FORMER:
            raise InputError(f"unknown option {flag}{_hint(root, name, known, '--')}")
        values = [value] if equals else []
        most = 0 if equals or name in short else len(words) if name in several else 1
        while words and len(values) < most and not words[0].startswith("--"):
            values.append(words.pop(0))
        if not values and name not in short:
            count = "at least one value" if name in several else "one value"
            raise InputError(f"{flag} needs {count}")
        yield name, values


def _layers(root: type[BaseRunConfig], arguments: Sequence[str]) -> list[Layer]:
    """Values of presets, files and options, in the order in which later ones win.

    Raises:
        InputError: as `read_config`.
    """
    options = options_of(root)
    presets: list[Layer] = []
    layers = [Layer({})]  # options between two files count as written at once
    lists: Values = {}
    for name, words in words_of(root, arguments):
        if name == "preset":
            presets += [_file(root, str(preset_path(word, stage_of(root)))) for word in words]
        elif name == "config":
            layers += [_file(root, words[0]), Layer({})]
        elif name in SHORT:
            merge(layers[-1].values, nest(SHORT[name], True))
        elif name in options and options[name].is_list_of_texts:
            lists.setdefault(name, []).extend(words)
        else:
            known = options.get(name)
            value = known.parse(words[0]) if known else parse_value(f"--{name}", words[0])
            merge(layers[-1].values, _as_today(nest(name, value)))
    if lists.get("condition") == ["none"]:
        lists["condition"] = []
    for layer in layers[::2]:
        _check_keys(root, layer)
    return [*presets, *layers, Layer(lists)]


def _file(root: type[BaseRunConfig], file: str) -> Layer:
    """Read the values of a config file, under the present names of options.

    Raises:
        InputError: it is missing or not plain YAML, or a key is unknown or written twice.
    """
    layer = Layer(_as_today(read_config_file(file)), f"{file}: ")
    _check_keys(root, layer)
    return layer


def _as_today(values: Values) -> Values:
    image = values.get("image")
    return values | {"image": present_transform(image)} if isinstance(image, dict) else values


def _paths(values: Values, prefix: str = "") -> Iterator[str]:
    """Dotted names of the options and sections that have a value."""
    for key, value in values.items():
        yield f"{prefix}{key}"
        if isinstance(value, dict):
            yield from _paths(value, f"{prefix}{key}.")


def _check_keys(root: type[BaseRunConfig], layer: Layer, prefix: str = "") -> None:
    """Refuse keys that do not exist, and values in place of a section.

    Raises:
        InputError: a key is unknown or a value is wrong; the message names the nearest key.
    """
    sections, options = sections_of(root), options_of(root)
    for key, value in layer.values.items():
        path = f"{prefix}{key}"
        if path in sections and not isinstance(value, dict):
            kind = ".kind" if sections[path].comes_in_kinds else ""
            raise InputError(
                f"{layer.place}{path} is a section of options{kind and ', of which kind is one'}; "
                f"set those, got {shown(value)!r}"
            )
        if path in sections:
            _check_keys(root, Layer(value, layer.place), f"{path}.")
        elif path not in options:
            known = {*options, *sections} - {""}
            raise InputError(f"{layer.place}unknown key {path!r}{_hint(root, path, known)}")
        elif isinstance(value, bool) and "true" not in options[path].choices:
            allowed = options[path].allowed  # else it would count as 1 or 0
            place = layer.place
            raise InputError(f"{place}{hyphened(path)} must be {allowed}, got {shown(value)}")


def _folded(root: type[BaseRunConfig], layers: Sequence[Layer]) -> Values:
    """Merge layers into the defaults, later ones winning."""
    values: Values = {}
    for name, field in root.model_fields.items():
        if not field.is_required():
            is_config = isinstance(field.default, BaseModel)
            values[name] = field.default.model_dump() if is_config else field.default
    for layer in layers:
        values = _laid_on(root, values, layer.values)
    return values


def _laid_on(model: type[BaseModel], below: Values, above: Values) -> Values:
    """Merge the values above into those below; a new kind drops the values of the former kind."""
    both = below | above
    for name in below.keys() & above.keys():
        members = members_of(model.model_fields[name])
        low, high = below[name], above[name]
        if "" in members:
            both[name] = _laid_on(members[""], low, high)
        elif members and high.get("kind", low["kind"]) == low["kind"]:
            both[name] = low | high
    return both


def _of_models(root: type[BaseRunConfig], values: Values) -> list[Layer]:
    """Options of the models that a prior builds on, which are its defaults."""
    if root is not PriorRunConfig:
        return []
    layers = []
    for name in ("vqgan", "init", "out"):  # where the first two lay may be nothing by now
        path = Path(expand(str(values[name])))
        stored = read_run_config(path) or {} if values[name] else {}
        if "image" in stored and (name != "out" or stored["stage"] == stage_of(root)):
            layers.append(Layer(_as_today({"image": stored["image"]}), f"{path}: "))
            _check_keys(root, layers[-1])
    if values["init"] and Path(expand(values["init"])).is_dir():
        layers.append(Layer({"prior": _shape_of(values["init"])}))
    return layers


def _shape_of(model: str) -> Values:
    """Shape of the prior of a folder, from its config; empty if the folder has no whole prior."""
    from smalti.model_folder import find_model, read_description

    with contextlib.suppress(InputError):
        shape = read_description(find_model(model))["config"].get("prior", {})
        fields = members_of(PriorRunConfig.model_fields["prior"])[shape.get("kind", "gpt")]
        names = fields.model_fields.keys() & shape.keys() - {"dropout"}  # it is one of training
        return {name: shape[name] for name in names}
    return {}


def _hint(root: type[BaseRunConfig], name: str, known: Iterable[str], dashes: str = "") -> str:
    """Hint at the stage that has a name, or at the nearest name and the help that explains all."""
    for stage, other in ROOTS.items():
        if SHORT.get(name, name) in {*options_of(other), *sections_of(other)}:
            return f"; it belongs to `smalti train {stage}`"
    near = nearest(name, known)
    spelled = f"--{hyphened(near)}" if dashes and near else near
    found = f"; did you mean {spelled!r}?" if near else "."
    return f"{found} `smalti train {stage_of(root)} --help all` explains all"


def stage_of(root: type[BaseRunConfig]) -> str:
    """The name of a config's stage, as in `smalti train NAME`."""
    return str(root.model_fields["stage"].default)
