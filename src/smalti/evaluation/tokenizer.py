"""Evaluation of a tokenizer by its reconstructions, the same in training and for every model.

Axes: B batch, H/W image size in pixels.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from smalti.config import InputError
from smalti.content import ContentConfig
from smalti.content_images import content_images
from smalti.distributed import sum_over_processes, together
from smalti.evaluation.extractors.efficientnet import EfficientNetExtractor, seen_size
from smalti.evaluation.measures import (
    Average,
    Figure,
    LabelMapMeasure,
    Measure,
    Reconstructed,
    compared,
    psnr_measure,
)
from smalti.losses.build import choose_perceptual
from smalti.losses.config import PerceptualConfig
from smalti.losses.perceptual import PerceptualLoss
from smalti.metrics.codebook import CodebookUse
from smalti.metrics.frechet import frechet_distance, frechet_warning
from smalti.metrics.moments import FeatureMoments
from smalti.metrics.reconstruction import ssim
from smalti.tokenizer.base import Tokenizer


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Result of an evaluation."""

    images: int
    """Number of images."""
    figures: Sequence[Figure]
    """Figures of the measures, in the order of the measures."""
    use: CodebookUse
    """Use of the codebook by all images."""
    warnings: Sequence[str]


@torch.no_grad()
def evaluate(
    tokenizer: Tokenizer, batches: Iterable[Tensor], measures: Sequence[Measure]
) -> Evaluation:
    """Reconstruct images by a tokenizer, and measure the reconstructions.

    Args:
        tokenizer: the tokenizer, in eval mode.
        batches: this process's share of the images, of the tokenizer's content and on its device;
            sides divisible by its down-sampling factor. The figures do not depend on how they are
            batched.
        measures: new measures to take, besides the use of the codes.

    Raises:
        InputError: a side does not divide, there is no image, or the images are too few or too
            small for a measure.
    """
    use = CodebookUse(tokenizer.codebook_size)
    own_count = 0
    with together():
        for images in batches:
            codes = tokenizer.encode(images)
            outputs = tokenizer.outputs(codes)
            use.add(codes)
            reconstructions = content_images(tokenizer.content).to_images(outputs)
            for measure in measures:
                measure.add(Reconstructed(images, reconstructions, outputs))
            own_count += len(images)
    use.counts = sum_over_processes(use.counts.cpu())
    count = int(sum_over_processes(torch.tensor(own_count)))
    if not count:
        raise InputError("there is no image to measure: all are broken or too small")
    figures = [figure for measure in measures for figure in measure.figures()]
    warnings = [warning for measure in measures for warning in measure.warnings()]
    return Evaluation(count, figures, use, warnings)


def measures_of(content: ContentConfig, device: torch.device) -> list[Measure]:
    """Make the measures for a tokenizer, by the content of its images.

    Raises:
        InputError: the named weights of the perceptual loss do not exist.
    """
    if content.kind == "labels":
        return [LabelMapMeasure(content.classes)]
    if content.kind == "rgb":
        return photograph_measures(choose_perceptual(PerceptualConfig()), device)
    return [psnr_measure()]


def photograph_measures(perceptual: PerceptualLoss, device: torch.device) -> list[Measure]:
    """Make the measures for a tokenizer of photographs."""
    label = f"perceptual distance ({perceptual.name})"
    distance = compared(perceptual.to(device))
    return [
        ReconstructionFD(device),
        Average("perceptual_distance", label, distance, "{:.4f}"),
        psnr_measure(),
        Average("ssim", "SSIM", compared(ssim), "{:.4f}"),
    ]


class ReconstructionFD(Measure):
    """Frechet distance between images and their reconstructions, by EfficientNet-Lite0's features.

    It is not the FID, whose network is Inception: the two cannot be compared.

    Args:
        device: device of the network.
    """

    def __init__(self, device: torch.device) -> None:
        self._extractor = EfficientNetExtractor.load(None).to(device)
        features = self._extractor.feature_count
        self._real, self._fake = FeatureMoments(features), FeatureMoments(features)
        self._seen_px: tuple[int, int] | None = None

    def add(self, batch: Reconstructed) -> None:
        """Add the features of images and reconstructions (B, 3, H, W)."""
        self._real.add(self._extractor.features(batch.images))
        self._fake.add(self._extractor.features(batch.reconstructions))
        height, width = batch.images.shape[-2:]
        self._seen_px = seen_size(height, width)

    def figures(self) -> Sequence[Figure]:
        """The distance of all images from all reconstructions."""
        assert self._seen_px is not None, "no images were added"
        height, width = self._seen_px
        label = f"reconstruction FD (EfficientNet-Lite0 at {height}x{width})"
        distance = frechet_distance(self._real.gaussian(), self._fake.gaussian())
        return [Figure("reconstruction_fd", label, distance, "{:.3f}")]

    def warnings(self) -> Sequence[str]:
        """A sentence if there are too few images for the figure to be quoted."""
        warning = frechet_warning(self._real.count, self._extractor.feature_count)
        return [warning] if warning else []
