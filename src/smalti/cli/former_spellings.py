"""Options that were renamed: read as they are called today, on the command line and in files."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import yaml

from smalti.data.config import present_transform

FORMER_OPTION = "--image.upscale"


def present_config(content: Mapping[str, Any]) -> dict[str, Any]:
    """The content of a config file with the options as they are called today."""
    image = content.get("image")
    changed = {"image": present_transform(image)} if isinstance(image, dict) else {}
    return {**content, **changed}


def present_options(arguments: Sequence[str]) -> Iterator[str]:
    """A command line with the options as they are called today."""
    words = iter(arguments)
    for word in words:
        name, equals, value = word.partition("=")
        if name != FORMER_OPTION:
            yield word
            continue
        former = {"upscale": yaml.safe_load(value if equals else next(words, "true"))}
        yield from (f"--image.{key}={value}" for key, value in present_transform(former).items())
