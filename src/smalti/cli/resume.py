"""`smalti resume`: goes on with a run by its stored config."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from smalti.errors import InputError
from smalti.paths import expand

if TYPE_CHECKING:
    from smalti.cli.options import Option
    from smalti.runs.config import BaseRunConfig, RunConfig


def run(arguments: Sequence[str]) -> None:
    """Train a run that was stopped to its end, or a finished one further."""
    from smalti.cli.train import HELP, as_flag, say_how_to_go_on, train

    if not arguments or HELP in map(as_flag, arguments):
        print(_help())
        raise SystemExit(0 if arguments else 2)

    from smalti.cli.train_config import read_config
    from smalti.runs.config import ROOTS, RunConfig
    from smalti.runs.stored import CONFIG_FILE, read_run_config

    if arguments[0].startswith("-"):
        raise InputError("the run comes first: smalti resume RUN [options]")
    folder = Path(expand(arguments[0]))
    stored = read_run_config(folder)
    if stored is None or stored.get("stage") not in ROOTS:
        raise InputError(f"{folder} is no run; give the folder of one, which has a {CONFIG_FILE}")
    root = ROOTS[stored["stage"]]
    _check_changeable(root, arguments[1:])
    own = ["--config", str(folder / CONFIG_FILE), "--out", str(folder)]
    config = read_config(root, [*own, *arguments[1:]])
    if not arguments[1:] and isinstance(config, RunConfig) and _is_finished(config):
        print(f"nothing to do: {folder} has done all its steps")
        say_how_to_go_on(config)
    else:
        train(config)


def _is_finished(config: "RunConfig") -> bool:
    """Whether a run has done all its steps, with a whole last checkpoint and its curves."""
    from smalti.training.checkpoint import newest_step
    from smalti.training.curves import CURVES_FILE

    folder = Path(config.out)
    has_curves = (folder / CURVES_FILE).is_file()  # the last that a run writes
    return has_curves and newest_step(folder / "checkpoints") == config.training.total_steps


def changeable_options(root: "type[BaseRunConfig]") -> "list[Option]":
    """The options that may change when a run is resumed."""
    from smalti.cli.options import options_of
    from smalti.runs.stored import CHANGEABLE, CHANGEABLE_ON_RECORD, PLACES

    changeable = (CHANGEABLE | CHANGEABLE_ON_RECORD | PLACES) - {"out"}
    return [option for path, option in options_of(root).items() if path in changeable]


def _check_changeable(root: "type[BaseRunConfig]", changes: Sequence[str]) -> None:
    """Refuse options that may not change in a run that has begun.

    Raises:
        InputError: an option may not change; the message lists those that may.
    """
    from smalti.cli.options import hyphened
    from smalti.cli.train_config import SHORT, words_of

    allowed = changeable_options(root)
    paths = {option.path for option in allowed}
    for name, _ in words_of(root, changes):
        if SHORT.get(name, name) not in paths:
            raise InputError(
                f"--{hyphened(name)} cannot change in a run that has begun; what may change is "
                f"{', '.join(option.flag for option in allowed)}"
            )


def _help() -> str:
    from smalti.runs.config import ROOTS

    lines = [
        "usage: smalti resume RUN [options]",
        "",
        "Go on with a run of any stage that was stopped, by all that its config.yaml says, or",
        "train a finished one further, as with --training.total-steps 4000. Also by torchrun:",
        "torchrun --standalone --nproc-per-node 8 -m smalti resume RUN",
        "",
        "options, of which what is trained from there on may differ (some are of one stage only):",
        "",
    ]
    return "\n".join([*lines, *_explained(ROOTS)])


def _explained(stages: "Mapping[str, type[BaseRunConfig]]") -> Iterator[str]:
    """Explain each option of any stage that may change; the run's value is the default."""
    from smalti.cli.train_help import explained

    seen: set[str] = set()
    for root in stages.values():
        for option in changeable_options(root):
            if option.path not in seen:
                seen.add(option.path)
                yield from explained(root, option, has_default=False)
