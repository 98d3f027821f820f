"""Requests to a pipeline for images."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor

from smalti.sampling.canvas import Canvas


@dataclass(frozen=True, slots=True)
class Request:
    """Number, size and conditions of the images that a pipeline is to make."""

    n: int
    values: Mapping[str, Tensor]
    """Values (n, ...) of each condition, by kind."""
    height: int
    """Rows of codes."""
    width: int
    """Columns of codes."""

    @property
    def cells(self) -> int:
        """Number of codes of an image."""
        return self.height * self.width

    def repeated(self, times: int) -> Self:
        """Repeat each image `times` times, one after the other."""
        values = {kind: value.repeat_interleave(times, 0) for kind, value in self.values.items()}
        return replace(self, n=self.n * times, values=values)

    def batches(self, batch_size: int) -> Iterator[range]:
        """The numbers of the images, `batch_size` at a time."""
        for start in range(0, self.n, batch_size):
            yield range(start, min(start + batch_size, self.n))

    def rows(self, images: range) -> dict[str, Tensor]:
        """Values of some of the images."""
        return {kind: value[images.start : images.stop] for kind, value in self.values.items()}

    def blank_canvas(self, device: torch.device) -> Canvas:
        """A canvas on which nothing is known."""
        shape = (self.n, self.height, self.width)
        return Canvas.unknown(torch.zeros(shape, dtype=torch.int64, device=device))
