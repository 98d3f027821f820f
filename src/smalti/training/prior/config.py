"""Config of the codes that a prior is trained on. Imports no torch."""

from typing import Literal

from pydantic import PositiveInt

from smalti.config import Config
from smalti.paths import path_fields


class CodeCacheConfig(Config):
    """Options of the cache of codes for the prior."""

    views: PositiveInt | Literal["auto"] = "auto"
    """Number of random crops and flips of each image that are encoded; epochs take them in turn.
    auto is more for fewer images."""
    folder: str | None = None
    """Folder of the codes; null is inside the run. Runs with the same data and tokenizer may share
    a folder."""

    _path = path_fields("folder")
