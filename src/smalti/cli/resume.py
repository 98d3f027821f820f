"""`smalti resume`: go on with a run by what its own config says."""

import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from smalti.paths import expand

if TYPE_CHECKING:
    from pydantic import BaseModel
    from pydantic.fields import FieldInfo

    from smalti.runs.config import BaseRunConfig


def run(arguments: Sequence[str]) -> None:
    """Train a run that was stopped to its end, or a finished one further."""
    if not arguments or "--help" in arguments or "-h" in arguments:
        print(_help())
        raise SystemExit(0 if arguments else 2)

    from smalti.cli.train import roots, train, without_short
    from smalti.cli.train_config import read_config
    from smalti.config import InputError
    from smalti.runs.folder import CONFIG_FILE, read_run_config

    if arguments[0].startswith("-"):
        raise InputError("the run comes first: smalti resume RUN [options]")
    folder = Path(expand(arguments[0]))
    stored = read_run_config(folder)
    if stored is None or stored.get("stage") not in roots():
        raise InputError(f"{folder} is no run; give the folder of one, which has a {CONFIG_FILE}")
    root = roots()[stored["stage"]]
    changes = without_short(stored["stage"], arguments[1:])
    _check_changeable(root, changes)
    own = ["--config", str(folder / CONFIG_FILE), "--out", str(folder)]
    train(read_config(root, [*own, *changes]))


def changeable_options(root: "type[BaseRunConfig]") -> list[str]:
    """Dotted names of the options that may change when a run is resumed."""
    from smalti.cli.train_config import option_paths
    from smalti.runs.changes import CHANGEABLE, CHANGEABLE_ON_RECORD, PLACES

    changeable = (CHANGEABLE | CHANGEABLE_ON_RECORD | PLACES) - {"out"}
    return [path for path in option_paths(root) if path in changeable and _is_value(root, path)]


def _check_changeable(root: "type[BaseRunConfig]", changes: Sequence[str]) -> None:
    """Refuse options that may not change in a run that has begun.

    Raises:
        InputError: listing those that may.
    """
    from smalti.cli.tagged_unions import name_and_value, options
    from smalti.config import InputError

    allowed = changeable_options(root)
    for words in options(changes):
        name, _ = name_and_value(words)
        if words[0].startswith("--") and name not in allowed:
            listed = ", ".join(f"--{path}" for path in allowed)
            raise InputError(
                f"--{name} cannot change in a run that has begun; what may change is {listed}"
            )


def _field(root: "type[BaseModel]", path: str) -> "FieldInfo":
    """The field of a config that an option sets."""
    from smalti.cli.tagged_unions import nested_config

    name, _, rest = path.partition(".")
    field = root.model_fields[name]
    if not rest:
        return field
    nested = nested_config(field)
    assert nested is not None, f"{name} holds no other options"
    return _field(nested, rest)


def _is_value(root: "type[BaseModel]", path: str) -> bool:
    """Whether an option is a value, and not a whole block of them, as `vqgan` is in stage 1."""
    from smalti.cli.tagged_unions import nested_config

    return nested_config(_field(root, path)) is None


def _help() -> str:
    from smalti.cli.train import roots

    lines = [
        "usage: smalti resume RUN [options]",
        "",
        "Go on with a run of any stage that was stopped, by all that its config.yaml says, or",
        "train a finished one further, as with --training.total_steps 4000. Also by torchrun:",
        "torchrun --standalone --nproc-per-node 8 -m smalti resume RUN",
        "",
        "options, of which what is trained from there on may differ (some are of one stage only):",
        "",
    ]
    return "\n".join([*lines, *_explained(roots())])


def _explained(stages: "dict[str, type[BaseRunConfig]]") -> Iterator[str]:
    seen: set[str] = set()
    for root in stages.values():
        for path in changeable_options(root):
            if path not in seen:
                seen.add(path)
                description = _field(root, path).description or ""
                yield f"  --{path}"
                text = textwrap.fill(" ".join(description.split()), 90)
                yield textwrap.indent(text, " " * 8)
