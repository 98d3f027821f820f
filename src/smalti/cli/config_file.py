"""Reads a file of options into nested plain data without repetitions."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from smalti.cli.options import underscored
from smalti.config import InputError
from smalti.paths import expand
from smalti.plain_data import read_yaml

MAX_CONFIG_BYTES = 2**20  # a config is a page; a larger file is something else


def read_config_file(file: str) -> dict[str, Any]:
    """Read the content of a config file; `a.b: 1` is the same as `a: {b: 1}`, and `a-b` as `a_b`.

    Raises:
        InputError: it is missing, too large or not plain YAML, or has an option twice.
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
    return _with_blocks(content, f"config {path}")


def _with_blocks(content: Mapping[Any, Any], where: str) -> dict[str, Any]:
    """Write each dotted key of a config as a block, and hyphens in keys as underscores.

    Raises:
        InputError: a key stands there in both spellings, or a dotted key beside its block, so that
            their order would matter.
    """
    keys = [underscored(str(key)) for key in content]
    twice = next((key for key in keys if keys.count(key) > 1), None)
    if twice is not None:
        raise InputError(f"{where}: {twice!r} stands there twice, with hyphens and underscores")
    blocks: dict[str, Any] = {}
    for key, value in zip(keys, content.values(), strict=True):
        dotted = next((other for other in keys if other.startswith(f"{key}.")), None)
        if dotted is not None:
            raise InputError(f"{where}: {dotted!r} stands beside {key!r}; write it inside")
        inside = _with_blocks(value, where) if isinstance(value, dict) else value
        merge(blocks, nest(key, inside))
    return blocks


def nest(name: str, value: Any) -> dict[str, Any]:
    """Nest a value under a dotted name: `a.b` and 3 give {a: {b: 3}}."""
    for part in reversed(name.split(".")):
        value = {part: value}
    assert isinstance(value, dict)
    return value


def merge(into: dict[str, Any], values: Mapping[str, Any]) -> None:
    """Add values to a block, and those of blocks in it to its own; later ones win."""
    for key, value in values.items():
        if isinstance(value, dict) and isinstance(into.get(key), dict):
            merge(into[key], value)
        else:
            into[key] = value
