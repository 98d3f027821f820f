"""The images that a prior was trained on which read codes of `smalti encode --data` alone.

N: images of a data set.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from smalti.codes.read import CodeShards
from smalti.config import InputError
from smalti.data.dataset import ImageDataset
from smalti.data.sources.base import printable
from smalti.data.split import name_hash
from smalti.runs.config import PriorRunConfig
from smalti.runs.origin import has_codes
from smalti.runs.state import read_config
from smalti.training.prior.code_shards import ShardSplit


@dataclass(frozen=True, slots=True)
class EncodedImages:
    """The images that codes were made of, by the keys in the shards."""

    shards: CodeShards
    split: ShardSplit
    """Which rows were trained on."""

    def among(self, dataset: ImageDataset) -> NDArray[np.bool_]:
        """Whether each image of a data set was trained on, (N,), by its name inside its source.

        Raises:
            InputError: a shard is missing, cut short or damaged.
        """
        names = (printable(dataset.name(number)) for number in range(len(dataset)))
        wanted = np.fromiter(map(name_hash, names), np.int64, len(dataset))
        trained = [
            np.fromiter(map(name_hash, self.shards.keys(number)[:rows]), np.int64, rows)
            for number, rows in enumerate(self.split.training)
        ]
        return np.isin(wanted, np.concatenate(trained))


def find_encoded_images(model: str | Path) -> EncodedImages | None:
    """Find the images of a run that was trained on codes alone; None of any other model.

    Raises:
        InputError: its codes are no longer where they were, are damaged or are others.
    """
    config = read_config(Path(model))
    if not isinstance(config, PriorRunConfig) or config.codes.data is None:
        return None
    place = config.codes.data
    try:
        shards = CodeShards(Path(place))
    except InputError as error:
        raise InputError(
            f"which images {model} was trained on is known from its codes in {place} alone, but "
            f"{error}"
        ) from error
    if not has_codes(Path(model), shards.fingerprint):
        raise InputError(
            f"{model} was trained on other codes than those that are in {place} now, which do not "
            "tell its images"
        )
    return EncodedImages(shards, ShardSplit(shards.sizes, config.held_out))
