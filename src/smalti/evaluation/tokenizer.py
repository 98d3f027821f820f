"""What a tokenizer keeps of images, measured the same way for every model: `smalti evaluate`.

Axes: B batch, C channels, H/W image size in pixels.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from smalti.config import InputError
from smalti.content import ContentConfig
from smalti.losses.build import choose_perceptual
from smalti.losses.config import PerceptualConfig
from smalti.losses.efficientnet import BLOCKS, HEAD_CHANNELS, EfficientNetLite0, load_efficientnet
from smalti.losses.perceptual import PerceptualLoss
from smalti.metrics.codebook import CodebookUse
from smalti.metrics.frechet import FrechetDistance, frechet_warning
from smalti.metrics.label_map import LabelMapScores
from smalti.metrics.reconstruction import psnr, ssim
from smalti.tokenizer.base import TokenizerModel

# Shorter side of what the network of the Frechet distance sees. It was trained at 224 pixels; small
# images are enlarged less than that, for at 224 they would take 3.5 times as long as at 128.
SMALLEST_FD_PX, LARGEST_FD_PX = 128, 224


@dataclass(frozen=True, slots=True)
class Figure:
    """One number that was measured."""

    name: str
    """Key in files."""
    label: str
    """For people: what it is, and by which network."""
    value: float
    form: str
    """How it is shown: a format string with the unit."""

    @property
    def text(self) -> str:
        """The value with its unit."""
        return self.form.format(self.value)


class Measure(Protocol):
    """Looks at images and their reconstructions, batch by batch."""

    def add(self, images: Tensor, reconstructions: Tensor) -> None:
        """Look at images of the tokenizer's content and their reconstructions, the same form."""

    def figures(self) -> Sequence[Figure]:
        """What came of it."""

    def warnings(self) -> Sequence[str]:
        """What to know before the figures are quoted, a sentence each."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What was measured."""

    images: int
    """Number of images."""
    figures: Sequence[Figure]
    warnings: Sequence[str]


@torch.no_grad()
def evaluate(
    tokenizer: TokenizerModel, batches: Iterable[Tensor], measures: Sequence[Measure]
) -> Evaluation:
    """Send images through a tokenizer and back, and measure what was kept.

    Args:
        tokenizer: in eval mode.
        batches: images of the tokenizer's content on its device, sides divisible by its
            down-sampling factor; the figures do not depend on how they are batched.
        measures: what to look at besides the codes; new ones, for they keep what they saw.

    Raises:
        InputError: a side does not divide, there is no image, or the images are too few or too
            small for a measure.
    """
    use = CodebookUse(tokenizer.codebook_size)
    seen = 0
    for images in batches:
        codes = tokenizer.encode(images)
        reconstructions = tokenizer.decode(codes)
        use.add(codes)
        for measure in measures:
            measure.add(images, reconstructions)
        seen += len(images)
    if not seen:
        raise InputError("there is no image to measure: all are broken or too small")
    figures = [figure for measure in measures for figure in measure.figures()]
    warnings = [warning for measure in measures for warning in measure.warnings()]
    return Evaluation(seen, figures + code_figures(use), warnings)


def measures_of(content: ContentConfig, device: torch.device) -> list[Measure]:
    """What to measure of a tokenizer, by what its images are; new ones at each call.

    Raises:
        InputError: weights of the perceptual loss are named that do not exist.
    """
    if content.kind == "labels":
        return [LabelMapMeasure(content.classes)]
    if content.kind == "rgb":
        return photograph_measures(choose_perceptual(PerceptualConfig()), device)
    return [Average("psnr_db", "PSNR", psnr, "{:.2f} dB")]


def photograph_measures(perceptual: PerceptualLoss, device: torch.device) -> list[Measure]:
    """What to measure of a tokenizer of RGB images."""
    label = f"perceptual distance ({perceptual.name})"
    return [
        ReconstructionFD(device),
        Average("perceptual_distance", label, perceptual.to(device), "{:.4f}"),
        Average("psnr_db", "PSNR", psnr, "{:.2f} dB"),
        Average("ssim", "SSIM", ssim, "{:.4f}"),
    ]


class LabelMapMeasure:
    """Pixel accuracy and mean IoU of reconstructed label maps.

    Args:
        classes: number of classes.
    """

    def __init__(self, classes: int) -> None:
        self._scores = LabelMapScores(classes)

    def add(self, images: Tensor, reconstructions: Tensor) -> None:
        """Compare label maps (B, H, W) int64."""
        self._scores.add(images, reconstructions)

    def figures(self) -> Sequence[Figure]:
        """Both, over all maps together."""
        return [
            Figure("pixel_accuracy", "pixel accuracy", self._scores.pixel_accuracy, "{:.2%}"),
            Figure("mean_iou", "mean IoU", self._scores.mean_iou, "{:.2%}"),
        ]

    def warnings(self) -> Sequence[str]:
        """None."""
        return []


def code_figures(use: CodebookUse) -> list[Figure]:
    """Use of the codebook over all images that were seen."""
    of_all = f"of {len(use.counts)} codes"
    return [
        Figure("code_use", f"code use, {of_all}", use.usage, "{:.1%}"),
        Figure("dead_codes", f"dead codes, {of_all}", use.dead, "{:.0f}"),
        Figure("code_perplexity", "code perplexity", use.perplexity, "{:.1f}"),
    ]


class Average:
    """The mean over images of a number that each has.

    Args:
        name: as of the `Figure`.
        label: as of the `Figure`.
        compare: numbers (B,) of images and reconstructions (B, C, H, W) each.
        form: as of the `Figure`.
    """

    def __init__(
        self, name: str, label: str, compare: Callable[[Tensor, Tensor], Tensor], form: str
    ) -> None:
        self._name, self._label, self._compare, self._form = name, label, compare, form
        self._values: list[Tensor] = []

    def add(self, images: Tensor, reconstructions: Tensor) -> None:
        """Compare each image with its reconstruction."""
        self._values.append(self._compare(images, reconstructions).cpu())

    def figures(self) -> Sequence[Figure]:
        """The mean."""
        mean = float(torch.cat(self._values).double().mean())
        return [Figure(self._name, self._label, mean, self._form)]

    def warnings(self) -> Sequence[str]:
        """None."""
        return []


class ReconstructionFD:
    """Frechet distance between images and their reconstructions, as EfficientNet-Lite0 sees both.

    It is not the FID, whose network is Inception: the two do not compare.

    Args:
        device: where the network runs.
    """

    def __init__(self, device: torch.device) -> None:
        self._network = load_efficientnet().to(device)
        self._distance = FrechetDistance(HEAD_CHANNELS)
        self._seen_px: tuple[int, int] | None = None
        self._images = 0

    def add(self, images: Tensor, reconstructions: Tensor) -> None:
        """Describe both."""
        self._distance.add_real(fd_features(self._network, images))
        self._distance.add_fake(fd_features(self._network, reconstructions))
        height, width = images.shape[-2:]
        self._seen_px = fd_size(height, width)
        self._images += len(images)

    def figures(self) -> Sequence[Figure]:
        """The distance."""
        assert self._seen_px is not None, "no images were added"
        height, width = self._seen_px
        label = f"reconstruction FD (EfficientNet-Lite0 at {width}x{height})"
        return [Figure("reconstruction_fd", label, self._distance.compute(), "{:.3f}")]

    def warnings(self) -> Sequence[str]:
        """That there are too few images, if so."""
        warning = frechet_warning(self._images, HEAD_CHANNELS)
        return [warning] if warning else []


def fd_features(network: EfficientNetLite0, images: Tensor) -> Tensor:
    """Features (B, 1280) float32 of the Frechet distance of images (B, 3, H, W) in [-1, 1].

    Computed in float32 also under autocast.
    """
    with torch.autocast(images.device.type, enabled=False):
        seen = F.interpolate(
            images.float(), fd_size(*images.shape[-2:]), mode="bilinear", antialias=True
        )
        return network.pool(network.features(seen, (BLOCKS,))[0])


def fd_size(height: int, width: int) -> tuple[int, int]:
    """Height and width at which the network of the Frechet distance sees an image.

    The shorter side is brought to 128 pixels if it is less, to 224 if it is more; the shape stays.
    """
    shorter = min(height, width)
    wanted = min(max(shorter, SMALLEST_FD_PX), LARGEST_FD_PX)
    return round(height * wanted / shorter), round(width * wanted / shorter)
