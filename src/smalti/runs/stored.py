"""The stored config of a run, and the options in which a config that resumes it may differ.

Imports no torch.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import ValidationError

from smalti.config import Config, InputError
from smalti.plain_data import read_yaml
from smalti.prior.gpt.config import of_former_file
from smalti.training.config import RUN_CONFIG_FILE

CONFIG_FILE = RUN_CONFIG_FILE

# What may differ when a run is resumed: it changes no number that was trained so far.
CHANGEABLE = {
    "out",
    "image.small",
    "vqgan.content.class_names",
    "training.total_steps",
    "training.activation_checkpointing",
    "training.log_steps",
    "training.eval_steps",
    "training.eval_images",
    "training.save_steps",
    "training.picture_steps",
    "training.device",
    "training.workers",
    "training.track",
    "training.auto_remedy",
    "training.early_stop",
    "training.parallel",
}
# What may differ too: it changes what is trained from there on, so each change is a line of the
# run's metrics.
CHANGEABLE_ON_RECORD = {
    "optimizer.learning_rate",
    "discriminator_optimizer.learning_rate",
    "training.precision",
    "training.compile",
}
# What may lie elsewhere, if it is the same: the stages see to that, who open it.
PLACES = {"data", "codes.data", "vqgan", "init", "condition"}
# What a run of stage 2 settles where it is auto; see `settle`.
SETTLED = {"prior.dropout", "token_keep", "codes.views", "training.early_stop"}


def read_run_config(folder: Path) -> dict[str, Any] | None:
    """Read the stored config of a run as plain data; None if the folder is not a run.

    Raises:
        InputError: the file is not plain YAML with options.
    """
    path = folder / CONFIG_FILE
    if not path.is_file():
        return None
    stored = read_yaml(path.read_bytes(), str(path))
    if not isinstance(stored, dict):
        raise InputError(f"{path} is not a run's config")
    if isinstance(stored.get("prior"), dict):
        stored["prior"] = of_former_file(stored["prior"])
    return stored


class Change(NamedTuple):
    """An option with one value in a run's stored config and another in the new one."""

    option: str
    """Dotted name of the option, as in `training.batch_size`."""
    was: Any
    now: Any

    @property
    def is_allowed(self) -> bool:
        """Whether a run may go on with the change, as far as the two configs tell."""
        is_left_open = self.option in SETTLED and self.now == "auto"
        is_changeable = self.option in CHANGEABLE | CHANGEABLE_ON_RECORD
        return is_left_open or is_changeable or self._may_have_moved()

    def _may_have_moved(self) -> bool:
        """Whether the two values may be two places of the same thing."""
        if self.option == "condition":
            was, now = ([spec.partition("=")[0] for spec in specs] for specs in self[1:])
            return was == now
        return self.option in PLACES and bool(self.was) and bool(self.now)

    def __str__(self) -> str:
        return f"{self.name} (was {self.was!r}, now {self.now!r})"

    @property
    def name(self) -> str:
        """The option as on the command line: `training.total-steps`."""
        return self.option.replace("_", "-")


def changes(stored: dict[str, Any], config: Config) -> Iterator[Change]:
    """Find the options in which a config differs from the stored one of a run of its stage.

    Options of later versions, which the stored one lacks, count as defaults.
    """
    return _differences(_with_defaults(stored, type(config)), config.model_dump(mode="json"))


def _with_defaults(stored: dict[str, Any], root: type[Config]) -> dict[str, Any]:
    """Complete a stored config with the defaults of options of later versions."""
    try:
        return root.model_validate(stored).model_dump(mode="json")
    except ValidationError:  # it has options that are gone: they are named as differences
        return stored


def _differences(
    stored: Mapping[str, Any], new: Mapping[str, Any], prefix: str = ""
) -> Iterator[Change]:
    for key in sorted(stored.keys() | new.keys()):
        was, now = stored.get(key), new.get(key)
        if isinstance(was, dict) and isinstance(now, dict):
            yield from _differences(was, now, f"{prefix}{key}.")
        elif was != now:
            yield Change(f"{prefix}{key}", was, now)
