"""Reads the stored config of a run. Imports no torch."""

from pathlib import Path
from typing import Any

import yaml

from smalti.config import InputError
from smalti.plain_data import read_yaml
from smalti.training.config import RUN_CONFIG_FILE

CONFIG_FILE = RUN_CONFIG_FILE


def read_run_config(folder: Path) -> dict[str, Any] | None:
    """Read the stored config of a run as plain data; None if the folder is not a run.

    Raises:
        InputError: the file is not a mapping in YAML.
    """
    path = folder / CONFIG_FILE
    if not path.is_file():
        return None
    try:
        stored = read_yaml(path.read_text(encoding="utf-8"), str(path))
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise InputError(f"{path} is not YAML: {str(error).splitlines()[0]}") from error
    if not isinstance(stored, dict):
        raise InputError(f"{path} is not a run's config")
    return stored
