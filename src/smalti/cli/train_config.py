"""Reads the words of `smalti train` into a valid config, or raises one line of what is wrong.

Defaults, presets, config files and options are layers of values that are merged, later ones
winning; the result is validated once, by the config's model.
"""

import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import yaml
from pydantic import BaseModel

from smalti.cli.options import (
    hyphened,
    options_of,
    parse_value,
    sections_of,
    shown,
    underscored,
)
from smalti.cli.presets import preset_path
from smalti.cli.validation import Values, validated
from smalti.config import InputError
from smalti.paths import expand
from smalti.plain_data import read_yaml
from smalti.prior.gpt.config import of_former_file
from smalti.registry import nearest
from smalti.runs.config import ROOTS, BaseRunConfig, PriorRunConfig
from smalti.runs.stored import read_run_config

R = TypeVar("R", bound=BaseRunConfig)

SHORT = {"auto_remedy": "training.auto_remedy"}
"""Short names of options, which take no value and mean true."""
SHORT_PATHS = {"codes": "codes.data"}
"""Short names of options that take a value, which are also names of sections."""
FORMER = {"image.upscale": ("image.small", {True: "enlarge", False: "error"})}
"""Former names of options, which are still read, with their present names and values."""
MAX_CONFIG_BYTES = 2**20  # a config is a page; a larger file is something else


class Layer(NamedTuple):
    """Values that a command line, a file or a model gives to options, by dotted name."""

    values: Values
    place: str = ""
    """Beginning of messages about them, such as `config.yaml: `; "" for the command line."""


def read_config(root: type[R], arguments: Sequence[str], start: Values | None = None) -> R:
    """Read the config of a stage: defaults, then presets, files and options, later ones winning.

    Args:
        root: config class of the stage.
        arguments: words of the command line.
        start: values that count if nothing else sets them, by dotted name.

    Raises:
        InputError: an option, a key or a value is not allowed.
    """
    layers = [Layer(start or {}), *_layers(root, arguments)]
    tells_kind = any("prior.kind" in layer.values for layer in layers)
    layers = [*_of_models(root, _folded(root, layers), tells_kind), *layers]
    places: dict[str, str] = {}
    for values, place in layers:
        for path in values:
            with_sections = accumulate(path.split("."), "{}.{}".format)
            places |= dict.fromkeys(with_sections, place)
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
        name = SHORT_PATHS[name] if SHORT_PATHS.get(name) in options else name
        if not flag.startswith("--"):
            raise InputError(
                f"{flag!r} belongs to no option; what an option takes follows its name"
            )
        if name not in known | FORMER.keys():
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
            layers[-1].values[SHORT[name]] = True
        elif name in options and options[name].is_list_of_texts:
            lists.setdefault(name, []).extend(words)
        else:
            known = options.get(name)
            value = known.parse(words[0]) if known else parse_value(f"--{name}", words[0])
            layers[-1].values.update(_options_in(root, {name: value}))
    if lists.get("condition") == ["none"]:
        lists["condition"] = []
    return [*presets, *layers, Layer(lists)]


def _file(root: type[BaseRunConfig], file: str) -> Layer:
    """Read the values of a config file.

    Raises:
        InputError: it is no such file, or a key is unknown or written twice.
    """
    layer = Layer({}, f"{file}: ")
    for path, value in _options_in(root, read_config_file(file), layer.place):
        if path in layer.values:
            raise InputError(f"{layer.place}{path!r} is written twice; write it once")
        layer.values[path] = value
    return layer


def read_config_file(file: str) -> dict[Any, Any]:
    """Read the content of a config file.

    Raises:
        InputError: it is missing, too large, not plain YAML or without options.
    """
    path = Path(expand(file))
    if not path.is_file():
        what = "is no file" if path.exists() else "does not exist"
        raise InputError(f"config {path} {what}")
    if path.stat().st_size > MAX_CONFIG_BYTES:
        raise InputError(f"config {path} is larger than {MAX_CONFIG_BYTES} bytes")
    text = path.read_bytes()
    content = read_yaml(text, f"config {path}")
    # A page of aliases of aliases stands for more values than memory holds.
    if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text)):
        raise InputError(f"config {path} has an alias (*name); write its value out")
    if not isinstance(content, dict):
        raise InputError(f"config {path} must hold options, as `image.size: 64`")
    if isinstance(content.get("prior"), dict):
        content["prior"] = of_former_file(content["prior"])
    return content


def _options_in(
    root: type[BaseRunConfig], content: Mapping[Any, Any], place: str = "", prefix: str = ""
) -> Iterator[tuple[str, Any]]:
    """Dotted names and values of options in blocks; `a.b: 1` is `a: {b: 1}`, and `a-b` is `a_b`.

    Raises:
        InputError: a key is unknown or a value is wrong; the message names the nearest key.
    """
    sections, options = sections_of(root), options_of(root)
    for key, value in content.items():
        path = f"{prefix}{underscored(str(key))}"
        if path in FORMER and isinstance(value, bool):
            path, present = FORMER[path]
            value = present[value]
        if path in sections and isinstance(value, dict):
            yield from _options_in(root, value, place, f"{path}.")
        elif path in sections:
            kind = ", of which kind is one" if sections[path].comes_in_kinds else ""
            raise InputError(
                f"{place}{path} is a section of options{kind}; set those, got {shown(value)!r}"
            )
        elif path not in options:
            known = {*options, *sections} - {""}
            raise InputError(f"{place}unknown key {path!r}{_hint(root, path, known)}")
        elif isinstance(value, bool) and "true" not in options[path].choices:
            allowed = options[path].allowed  # else it would count as 1 or 0
            raise InputError(f"{place}{hyphened(path)} must be {allowed}, got {shown(value)}")
        else:
            yield path, value


def _folded(root: type[BaseRunConfig], layers: Sequence[Layer]) -> Values:
    """Merge layers into the defaults, later ones winning.

    A new kind drops the values of the former kind.
    """
    defaults = {
        name: field.default.model_dump() if isinstance(field.default, BaseModel) else field.default
        for name, field in root.model_fields.items()
        if not field.is_required()
    }
    values = dict(_options_in(root, defaults))
    in_kinds = [path for path, section in sections_of(root).items() if section.comes_in_kinds]
    for layer in layers:
        for section in in_kinds:
            former = values[f"{section}.kind"]
            if layer.values.get(f"{section}.kind", former) != former:
                values = {p: v for p, v in values.items() if not p.startswith(f"{section}.")}
        values |= layer.values
    return values


def _of_models(root: type[BaseRunConfig], values: Values, tells_kind: bool) -> list[Layer]:
    """Options of the models that a prior builds on, which are its defaults.

    Args:
        root: config class of the stage.
        values: the options without these.
        tells_kind: whether the command line or a file says of which kind the prior is.
    """
    if root is not PriorRunConfig:
        return []
    found: list[tuple[Values, Path]] = []
    for name in ("vqgan", "init", "out"):  # where the first two lay may be nothing by now
        path = Path(expand(str(values[name])))
        stored = read_run_config(path) or {} if values[name] else {}
        if "image" in stored and (name != "out" or stored["stage"] == stage_of(root)):
            found.append(({"image": stored["image"]}, path))
        if name == "out" and "kind" in stored.get("prior", {}) and not tells_kind:
            # The run may have begun when another kind was the default. A kind that is told drops
            # what presets say of another one, as it did at the beginning.
            found.append(({"prior": {"kind": stored["prior"]["kind"]}}, path))
    init = Path(expand(values["init"] or "."))
    if values["init"] and init.is_dir():
        found.append(({"prior": _shape_of(init)}, init))
    return [Layer(dict(_options_in(root, v, f"{path}: ")), f"{path}: ") for v, path in found]


def _shape_of(folder: Path) -> Values:
    """Shape of the prior of a folder, from its config; empty if the folder has no whole prior."""
    from smalti.model_folder import find_model, read_description

    with contextlib.suppress(InputError):
        shape = of_former_file(read_description(find_model(folder))["config"].get("prior", {}))
        fields = sections_of(PriorRunConfig)["prior"].members[shape.get("kind", "gpt2")]
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
