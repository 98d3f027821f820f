"""Reads YAML and JSON that people write, as plain data.

A key that is written twice is an error: the usual readers keep the last of the two and lose the
first without a word.
"""

import json
from collections.abc import Sequence
from typing import Any

import yaml

from smalti.config import InputError

LONGEST = 100  # characters of a text in a message


def read_yaml(text: str | bytes, where: str) -> Any:
    """Read the plain data of a YAML text; None if it is empty.

    Args:
        text: one YAML document; bytes are UTF-8, or what their byte order mark tells.
        where: name of the text, for messages.

    Raises:
        InputError: it is not plain YAML, or a key is written twice in one block.
    """
    try:
        text = text if isinstance(text, str) else text.decode(json.detect_encoding(text))
    except UnicodeDecodeError as error:
        raise InputError(f"{where} is not UTF-8 text; save it as UTF-8") from error
    try:
        loader = yaml.SafeLoader(text)
        document = loader.get_single_node()
        if document is None:
            return None
        _refuse_repeats(document, where, "", set())
        return loader.construct_document(document)
    except InputError:
        raise
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise InputError(f"{where}{_unreadable(text, error)}") from error


def _unreadable(text: str, error: Exception) -> str:
    """Say which line of a text is not plain YAML, and what to look at."""
    if not isinstance(error, yaml.MarkedYAMLError) or error.problem_mark is None:
        return f" cannot be read as YAML: {text[:LONGEST]!r}"  # too deep, or it is no date
    mark, text = error.problem_mark, text.rstrip()
    if mark.index >= len(text):  # what is never closed is met at the end; show where it begins
        mark = error.context_mark or mark
    lines = text.splitlines() or [""]
    number = min(mark.line, len(lines) - 1)
    line = lines[number]
    look = "perhaps a bracket, a quote, the space after a colon or an indentation is missing"
    if isinstance(error, yaml.constructor.ConstructorError):
        look = "only plain texts, numbers, lists and blocks are read"
    elif "\t" in line:
        look = "indent with spaces, not with tabs"
    place = f", line {number + 1}," if len(lines) > 1 else ""
    return f"{place} cannot be read as YAML: {line.strip()[:LONGEST]!r}; {look}"


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
