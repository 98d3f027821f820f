"""Preset, files and options of `smalti train` -> a valid config, or one line of what is wrong."""

import argparse
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from importlib.resources import files
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeVar

import jsonargparse
import yaml
from pydantic import BaseModel, ValidationError

from smalti.cli.arguments import take_list
from smalti.registry import unknown_name
from smalti.runs import PriorRunConfig, RunConfig, read_run_config
from smalti.types import InputError, describe

MAX_CONFIG_BYTES = 2**20  # a config is a page; a larger file is something else

R = TypeVar("R", bound=RunConfig)


def read_config(root: type[R], arguments: Sequence[str]) -> R:
    """The config of a stage: defaults, then preset, files and options, later ones winning.

    Raises:
        InputError: an option, a key or a value is not allowed.
    """
    data, rest = take_list(arguments, "data")
    presets, rest = take_list(rest, "preset")
    _check_options(root, rest)
    ordered = [*_tokenizer_defaults(root, rest)]
    for name in presets:
        ordered += ["--config", str(preset_path(name, _stage(root)))]
    ordered += rest
    if data:
        ordered += ["--data", json.dumps(data)]
    _check_files(root, ordered)
    parser = _parser(root)
    try:
        parsed = parser.parse_args(ordered).as_dict()
    except argparse.ArgumentError as error:
        raise InputError(_tidy(str(error))) from error
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
        raise unknown_name(f"preset for stage {stage!r}", name, known)
    return known[name]


def presets() -> list[Path]:
    """The files of all presets."""
    folder = Path(str(files("smalti") / "presets"))
    return sorted(folder.glob("*.yaml"))


def _stage_of(path: Path) -> str:
    return str(yaml.safe_load(path.read_text())["stage"])


def _stage(root: type[RunConfig]) -> str:
    return str(root.model_fields["stage"].default)


def _parser(root: type[RunConfig]) -> jsonargparse.ArgumentParser:
    parser = jsonargparse.ArgumentParser(
        prog=f"smalti train {_stage(root)}",
        description="Values come from the defaults, then --preset, --config and options in order.",
        epilog="presets: " + ", ".join(p.stem for p in presets() if _stage_of(p) == _stage(root)),
        exit_on_error=False,
    )
    parser.add_argument("--config", action="config", help="YAML file with any of these options")
    parser.add_class_arguments(root)
    return parser


def _tokenizer_defaults(root: type[RunConfig], arguments: Sequence[str]) -> Iterator[str]:
    """A prior sees images as its tokenizer's run did, unless told otherwise."""
    if root is not PriorRunConfig:
        return
    for option, value in zip(arguments, [*arguments[1:], ""], strict=True):
        path = value if option == "--vqgan" else option.removeprefix("--vqgan=")
        if path in (option, ""):
            continue
        stored = read_run_config(Path(path))
        if stored and isinstance(stored.get("image"), dict):
            yield from ("--image", json.dumps(stored["image"]))


def _check_options(root: type[RunConfig], arguments: Sequence[str]) -> None:
    known = {"config", "preset", "print_config", "help", *_paths(root)}
    for argument in arguments:
        if argument.startswith("--"):
            name = argument[2:].split("=", 1)[0]
            if name not in known:
                raise unknown_name("option", name, known)


def _check_files(root: type[RunConfig], arguments: Sequence[str]) -> None:
    """Read the config files of a command line for keys that do not exist.

    Raises:
        InputError: a file is missing, too large or not a mapping, or a key is unknown.
    """
    known = set(_paths(root))
    for option, value in pairwise(arguments):
        if option == "--config":
            for key in _keys(_read_yaml(Path(value)), known):
                if key not in known:
                    error = unknown_name("key", key, known)
                    raise InputError(f"{value}: {error}")


def _read_yaml(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise InputError(f"config {path} does not exist")
    if path.stat().st_size > MAX_CONFIG_BYTES:
        raise InputError(f"config {path} is larger than {MAX_CONFIG_BYTES} bytes")
    try:
        content = yaml.safe_load(path.read_text())
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"config {path} is not plain YAML: {error}") from error
    if not isinstance(content, dict):
        raise InputError(f"config {path} must be a mapping of options to values")
    return content


def _keys(content: Mapping[str, Any], known: set[str], prefix: str = "") -> Iterator[str]:
    for key, value in content.items():
        path = f"{prefix}{key}"
        yield path
        if isinstance(value, dict) and path in known:
            yield from _keys(value, known, f"{path}.")


def _paths(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """Dotted names of all fields of a config."""
    for name, field in model.model_fields.items():
        yield f"{prefix}{name}"
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from _paths(field.annotation, f"{prefix}{name}.")


def _tidy(message: str) -> str:
    """One line of several: the option, what is wrong, the value."""
    message = re.sub(r"For further information visit \S+?\. ", "", message)
    message = re.sub(r"\d+ validation errors? for \S+( int\S*)?\s*", "", message)
    message = re.sub(r"\[type=.*?input_type=\w+\]", "", message, flags=re.DOTALL)
    message = re.sub(r'Parser key "([^"]*)":', r"\1:", message)
    return " ".join(message.split())
