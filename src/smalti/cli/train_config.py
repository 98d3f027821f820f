"""Preset, files and options of `smalti train` -> a valid config, or one line of what is wrong."""

import argparse
import contextlib
import difflib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar

import jsonargparse
import yaml
from pydantic import BaseModel, ValidationError

from smalti.cli.config_file import read_config_file
from smalti.cli.former_spellings import present_options
from smalti.cli.tagged_unions import (
    name_and_value,
    nested_config,
    options,
    settle_unions,
    union_fields,
    union_paths,
    with_plain_mappings,
)
from smalti.cli.wording import one_line, plain_types
from smalti.config import InputError, describe
from smalti.data.config import present_transform
from smalti.paths import expand
from smalti.plain_data import read_yaml
from smalti.registry import unknown_name
from smalti.runs.config import BaseRunConfig, PriorRunConfig
from smalti.runs.folder import read_run_config

R = TypeVar("R", bound=BaseRunConfig)


def read_config(root: type[R], arguments: Sequence[str]) -> R:
    """The config of a stage: defaults, then preset, files and options, later ones winning.

    Raises:
        InputError: an option, a key or a value is not allowed.
    """
    data, rest = _take_list([*present_options(arguments)], "data")
    chosen, rest = _take_list(rest, "preset")
    condition: list[str] = []
    if root is PriorRunConfig:
        condition, rest = _take_list(rest, "condition")
    _check_options(root, rest)
    ordered = [*_tokenizer_defaults(root, rest)]
    for name in chosen:
        ordered += ["--config", str(preset_path(name, _stage(root)))]
    ordered += rest
    if data:
        ordered += ["--data", json.dumps(data)]
    if condition:
        said = [] if condition == ["none"] else condition
        ordered += ["--condition", json.dumps(said)]
    _check_files(root, ordered)
    ordered = settle_unions(list(union_fields(root)), ordered, read_config_file)
    ordered = list(_with_contents(ordered))
    parser = _parser(root)
    try:
        parsed = parser.parse_args(ordered).as_dict()
    except argparse.ArgumentError as error:
        raise InputError(one_line(str(error))) from error
    parsed.pop("config")
    try:
        return root.model_validate(parsed)
    except ValidationError as error:
        raise InputError(describe(error)) from error


def preset_path(name: str, stage: str) -> Path:
    """The file of a preset.

    Raises:
        InputError: there is none of that name for the stage.
    """
    known = {path.stem: path for path in presets() if _stage_of(path) == stage}
    if name not in known:
        raise unknown_name("preset", name, known)
    return known[name]


def presets() -> list[Path]:
    """The files of all presets."""
    folder = Path(str(resources.files("smalti") / "presets"))
    return sorted(folder.glob("*.yaml"))


def _stage_of(path: Path) -> str:
    return str(yaml.safe_load(path.read_text(encoding="utf-8"))["stage"])


def _stage(root: type[BaseRunConfig]) -> str:
    return str(root.model_fields["stage"].default)


def _parser(root: type[BaseRunConfig]) -> jsonargparse.ArgumentParser:
    stage = _stage(root)
    parser = jsonargparse.ArgumentParser(
        prog=f"smalti train {stage}",
        usage=f"smalti train {stage} --data PHOTOS [options]",
        description="Values come from the defaults, then --preset, --config and options in order.",
        formatter_class=_HelpFormatter,
        exit_on_error=False,
    )
    names = ", ".join(path.stem for path in presets() if _stage_of(path) == stage) or "none yet"
    parser.add_argument("--preset", default=argparse.SUPPRESS, help=f"one of {names}")
    parser.add_argument(
        "--dry-run",
        action="store_true",
        default=argparse.SUPPRESS,
        help="train nothing, write nothing: show parameters, sequence length, memory and time",
    )
    parser.add_argument("--config", action="config", help="YAML file with any of these options")
    parser.add_class_arguments(with_plain_mappings(root))
    return parser


class _HelpFormatter(jsonargparse.DefaultHelpFormatter):
    """Help that shows types as people write them."""

    def _expand_help(self, action: argparse.Action) -> str:
        return plain_types(super()._expand_help(action))


def _take_list(arguments: Sequence[str], name: str) -> tuple[list[str], list[str]]:
    """Split `--name a b c` off a command line.

    Returns:
        The values (empty if the option is not there), and the other arguments.
    """
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    parser.add_argument(f"--{name}", nargs="+", action="extend", default=[])
    try:
        found, rest = parser.parse_known_args(arguments)
    except argparse.ArgumentError as error:
        raise InputError(str(error)) from error
    return getattr(found, name), rest


def _tokenizer_defaults(root: type[BaseRunConfig], arguments: Sequence[str]) -> Iterator[str]:
    """A prior sees images as it did, or the run of its tokenizer or first weights, unless told."""
    if root is not PriorRunConfig:
        return
    files = [read_config_file(file) for file in _values(arguments, "config")]
    named = [str(c[name]) for c in files for name in ("vqgan", "init") if c.get(name)]
    named += [*_values(arguments, "vqgan"), *_values(arguments, "init")]
    outs = [root.model_fields["out"].default, *(str(c["out"]) for c in files if "out" in c)]
    own = [*outs, *_values(arguments, "out")][-1]
    if (read_run_config(Path(expand(own))) or {}).get("stage") == _stage(root):
        named.append(own)  # where that of its tokenizer lay may be gone
    for path in named:
        stored = read_run_config(Path(expand(path)))
        if stored and isinstance(stored.get("image"), dict):
            yield from ("--image", json.dumps(present_transform(stored["image"])))


def _check_options(root: type[BaseRunConfig], arguments: Sequence[str]) -> None:
    known = {"config", "preset", "print_config", "help", "dry-run", *option_paths(root)}
    for words in options(arguments):
        if words[0].startswith("--"):
            name, value = name_and_value(words)
            if name not in known:
                raise InputError(f"unknown option --{name}{_hint(root, name, known)}")
            with contextlib.suppress(yaml.YAMLError, RecursionError):  # its type says what is wrong
                read_yaml(value, f"--{name}")


def _check_files(root: type[BaseRunConfig], arguments: Sequence[str]) -> None:
    """Read the config files of a command line for keys that do not exist.

    Raises:
        InputError: a file is missing, too large or not a mapping, or a key is unknown or written
            twice.
    """
    known = set(option_paths(root))
    for file in _values(arguments, "config"):
        for key in _keys(read_config_file(file), known):
            if key not in known:
                raise InputError(f"{file}: unknown key {key!r}{_hint(root, key, known)}")


def _values(arguments: Sequence[str], name: str) -> Iterator[str]:
    """Values of an option, written `--name value` or `--name=value`."""
    for argument, following in zip(arguments, [*arguments, ""][1:], strict=True):
        if argument == f"--{name}" and following and not following.startswith("--"):
            yield following
        elif argument.startswith(f"--{name}="):
            yield argument.partition("=")[2]


def _hint(root: type[BaseRunConfig], name: str, known: Iterable[str]) -> str:
    """The nearest name, and where all are explained: they are too many for one line."""
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.4)
    found = f"; did you mean {near[0]!r}?" if near else "."
    return f"{found} `smalti train {_stage(root)} --help` explains all"


def _with_contents(arguments: Sequence[str]) -> Iterator[str]:
    """The command line with each config file replaced by what it says, as JSON."""
    for words in options(arguments):
        name, value = name_and_value(words)
        if name == "config" and value:
            yield from ("--config", json.dumps(read_config_file(value)))
        else:
            yield from words


def _keys(content: Mapping[str, Any], known: set[str], prefix: str = "") -> Iterator[str]:
    for key, value in content.items():
        path = f"{prefix}{key}"
        yield path
        if isinstance(value, dict) and path in known:
            yield from _keys(value, known, f"{path}.")


def option_paths(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """Dotted names of all fields of a config."""
    for name, field in model.model_fields.items():
        yield f"{prefix}{name}"
        if field.discriminator:
            yield from union_paths(field, f"{prefix}{name}.")
        elif nested := nested_config(field):
            yield from option_paths(nested, f"{prefix}{name}.")
