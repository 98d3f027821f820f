"""Batches of codes, with which a prior is trained: of images that are encoded, or of shards.

Axes: B batch, h/w latent grid.
"""

import abc
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count

import torch
from torch import Tensor

from smalti.codes.order import Row
from smalti.codes.read import CodeShards
from smalti.conditions.conditioning import Conditioning
from smalti.data.loader import BatchLoader, Drawn
from smalti.tokenizer.base import Tokenizer
from smalti.types import Batch


@dataclass(frozen=True, slots=True)
class CodeBatch:
    """Codes of several images."""

    keys: Sequence[str]
    """Path of each image, for messages."""
    codes: Tensor
    """Codes (B, h, w) int64 in [0, K)."""
    conditions: Mapping[str, Tensor]
    """Codes (B, ...) of the images' conditions, by kind."""


@dataclass(frozen=True, slots=True)
class BatchEncoder:
    """Encodes batches of images with their conditions."""

    tokenizer: Tokenizer
    conditioning: Conditioning
    device: torch.device
    """Device of all tokenizers."""

    def encode(self, batch: Batch) -> CodeBatch:
        """Encode a batch and its conditions; the codes are on the CPU.

        Raises:
            InputError: the data lacks a condition.
        """
        values = self.conditioning.batch_values(batch)
        on_device = {kind: value.to(self.device) for kind, value in values.items()}
        encoded = self.conditioning.encode(on_device)
        conditions = {kind: codes.cpu() for kind, codes in encoded.items()}
        codes = self.tokenizer.encode(batch.images.to(self.device)).cpu()
        return CodeBatch(batch.keys, codes, conditions)


def batch_of_shards(
    shards: CodeShards,
    rows: Sequence[Row],
    views: Sequence[int],
    keys: Sequence[str],
    conditioning: Conditioning,
) -> CodeBatch:
    """Read some rows of shards, with the conditions of a prior.

    Args:
        shards: the codes.
        rows: the rows.
        views: number of the view of each row.
        keys: name of each row, for messages.
        conditioning: conditions of which the shards have columns, or which follow from the classes.

    Raises:
        InputError: a shard is missing, cut short or damaged.
    """
    kinds = [one.kind for one in conditioning.conditions if one.has_column]
    found = shards.rows(rows, views, kinds)
    without_images = Batch(keys, torch.zeros(0), found.labels)
    conditions = dict(found.conditions)
    for one in conditioning.conditions:
        if not one.has_column:
            values = one.batch_values(without_images)
            assert values is not None, "whoever opens shards checks that they have classes"
            conditions[one.kind] = one.encode(values)
    return CodeBatch(keys, found.codes, conditions)


class CodeCache(abc.ABC):
    """Codes of all views of a data set, read from disk as they are needed.

    Args:
        loader: the loader whose order training follows.
    """

    def __init__(self, loader: BatchLoader) -> None:
        self.loader = loader

    def batches(self, start_step: int) -> Iterator[CodeBatch]:
        """Batches from number `start_step` on, of the same images and crops as the loader's."""
        for step in count(start_step):
            draws = self.loader.share_of_draws(step)
            yield self._batch(draws, [self.loader.dataset.name(draw.number) for draw in draws])

    @abc.abstractmethod
    def _batch(self, draws: Sequence[Drawn], keys: Sequence[str]) -> CodeBatch:
        """Codes of images, each in the view of its epoch."""
