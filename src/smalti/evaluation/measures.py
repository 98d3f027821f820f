"""Measures of images and their reconstructions, as figures for people and files.

Axes: B batch, C channels of the network, H/W image size in pixels.
"""

import abc
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from smalti.content import ContentConfig
from smalti.distributed import sum_over_processes
from smalti.metrics.codebook import CodebookUse
from smalti.metrics.label_map import LabelMapScores
from smalti.metrics.reconstruction import psnr


@dataclass(frozen=True, slots=True)
class Figure:
    """One number that was measured."""

    name: str
    """Key of the figure in files."""
    label: str
    """Name of the figure for people, with the network that measured it."""
    value: float
    form: str
    """Format string with the unit, by which the value is shown."""

    @property
    def text(self) -> str:
        """The value with its unit."""
        return self.form.format(self.value)


class Reconstructed(NamedTuple):
    """A batch of images and a tokenizer's reconstructions of them."""

    images: Tensor
    """Images (B, ...) in the form of the tokenizer's content."""
    reconstructions: Tensor
    """Reconstructions (B, ...) in the same form."""
    outputs: Tensor | None = None
    """Outputs (B, C, H, W) of the decoder, of which the reconstructions are made; for label maps
    they are logits."""


Comparison = Callable[[Reconstructed], Tensor]
"""Function that gives a number (B,) of each image of a batch."""


def compared(metric: Callable[[Tensor, Tensor], Tensor]) -> Comparison:
    """Make a comparison from a metric of images and reconstructions."""
    return lambda batch: metric(batch.images, batch.reconstructions)


class Measure(abc.ABC):
    """Measures images and their reconstructions, batch by batch.

    Each process adds its share of the images, and has the figures of them all.
    """

    @abc.abstractmethod
    def add(self, batch: Reconstructed) -> None:
        """Add a batch of images and their reconstructions to what is measured."""

    @abc.abstractmethod
    def figures(self) -> Sequence[Figure]:
        """The figures of all batches together."""

    def warnings(self) -> Sequence[str]:
        """Sentences to read before the figures are quoted."""
        return ()


class Average(Measure):
    """The mean over all images of a number that a comparison gives.

    Args:
        name: name of the `Figure`.
        label: label of the `Figure`.
        compare: gives the numbers of a batch.
        form: format of the `Figure`.
    """

    def __init__(self, name: str, label: str, compare: Comparison, form: str) -> None:
        self._name, self._label, self._compare, self._form = name, label, compare, form
        self._sum_and_count = torch.zeros(2, dtype=torch.float64)

    def add(self, batch: Reconstructed) -> None:
        """Compare each image with its reconstruction."""
        scores = self._compare(batch).cpu().double()  # some devices have no float64
        self._sum_and_count += torch.stack([scores.sum(), torch.tensor(float(len(scores)))])

    def figures(self) -> Sequence[Figure]:
        """The mean as a figure."""
        total, count = sum_over_processes(self._sum_and_count).tolist()
        return [Figure(self._name, self._label, total / count, self._form)]


class LabelMapMeasure(Measure):
    """Pixel accuracy and mean IoU of reconstructed label maps.

    Args:
        classes: number of classes.
        form: format of each `Figure`.
    """

    def __init__(self, classes: int, form: str = "{:.2%}") -> None:
        self._scores, self._form = LabelMapScores(classes), form

    def add(self, batch: Reconstructed) -> None:
        """Compare label maps (B, H, W) int64."""
        self._scores.add(batch.images, batch.reconstructions)

    def figures(self) -> Sequence[Figure]:
        """Pixel accuracy and mean IoU over all maps together."""
        return [
            Figure("pixel_accuracy", "pixel accuracy", self._scores.pixel_accuracy, self._form),
            Figure("mean_iou", "mean IoU", self._scores.mean_iou, self._form),
        ]


def psnr_measure() -> Average:
    """Measure of the PSNR of reconstructions."""
    return Average("psnr_db", "PSNR", compared(psnr), "{:.2f} dB")


def closeness(content: ContentConfig, image: Tensor, reconstruction: Tensor) -> str:
    """Text on how close the reconstruction (1, ...) is to an image (1, ...)."""
    measure: Measure = psnr_measure()
    if content.kind == "labels":
        measure = LabelMapMeasure(content.classes, "{:.1%}")
    measure.add(Reconstructed(image, reconstruction))
    return ", ".join(f"{figure.label} {figure.text}" for figure in measure.figures())


def code_figures(use: CodebookUse) -> list[Figure]:
    """Figures of the use of the codebook over all images."""
    of_all = f"of {len(use.counts)} codes"
    return [
        Figure("code_use", f"code use, {of_all}", use.usage, "{:.1%}"),
        Figure("dead_codes", f"dead codes, {of_all}", use.dead, "{:.0f}"),
        Figure("code_perplexity", "code perplexity", use.perplexity, "{:.1f}"),
    ]
