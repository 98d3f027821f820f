"""Reads YAML and JSON that people write, as plain data.

A key that is written twice is an error: the usual readers keep the last of the two and lose the
first without a word.
"""

import json
from collections.abc import Sequence
from typing import Any

import yaml

from smalti.config import InputError


def read_yaml(text: str | bytes, where: str) -> Any:
    """Read the plain data of a YAML text; a byte order mark tells the encoding of bytes.

    Args:
        text: one YAML document; a tag that would make an object is an error.
        where: name of the text, for messages.

    Raises:
        InputError: a key is written twice in one block.
        yaml.YAMLError, UnicodeDecodeError or RecursionError: it is not plain YAML.
    """
    loader = yaml.SafeLoader(text)
    try:
        document = loader.get_single_node()
        if document is None:
            return None
        _refuse_repeats(document, where, "", set())
        return loader.construct_document(document)
    finally:
        loader.dispose()


def read_json(text: str | bytes, where: str) -> Any:
    """Read the plain data of a JSON text.

    Raises:
        InputError: a key is written twice in one object.
        ValueError or RecursionError: it is not JSON.
    """

    def mapping(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            keys = [key for key, _ in pairs]
            raise _repeated(where, next(key for key in keys if keys.count(key) > 1))
        return found

    return json.loads(text, object_pairs_hook=mapping)


def _refuse_repeats(node: yaml.Node, where: str, prefix: str, seen: set[int]) -> None:
    if id(node) in seen:  # an alias, which may stand for a block around it
        return
    seen.add(id(node))
    if isinstance(node, yaml.SequenceNode):
        for item in node.value:
            _refuse_repeats(item, where, prefix, seen)
    elif isinstance(node, yaml.MappingNode):
        lines: dict[str, int] = {}
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                continue
            line = key.start_mark.line + 1
            if key.value in lines:
                raise _repeated(where, f"{prefix}{key.value}", lines[key.value], line)
            lines[key.value] = line
            _refuse_repeats(value, where, f"{prefix}{key.value}.", seen)


def _repeated(where: str, key: str, *lines: int) -> InputError:
    place = f" (lines {' and '.join(map(str, lines))})" if len(set(lines)) > 1 else ""
    return InputError(f"{where}: {key!r} is written twice{place}; write it once")
