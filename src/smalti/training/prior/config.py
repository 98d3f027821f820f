"""Config of the codes that a prior is trained on. Imports no torch."""

from typing import Literal

from pydantic import PositiveInt

from smalti.config import Config
from smalti.paths import path_fields


class CodeCacheConfig(Config):
    """How the data is encoded for the prior."""

    views: PositiveInt | Literal["auto"] = "auto"
    """Random crops and flips of each image that are encoded; epochs take turns with them. auto:
    the more, the fewer images there are."""
    folder: str | None = None
    """Where the codes are kept; null is inside the run. Runs with the same data and tokenizer may
    share a folder."""

    _path = path_fields("folder")
