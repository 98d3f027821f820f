"""How well a tokenizer's run reconstructs images that it has not learned from.

Axes: B batch, H/W image size in pixels.
"""

from collections.abc import Iterator, Sequence

import torch
from PIL import Image
from torch import Tensor

from smalti.compute import choose_compute
from smalti.content_images import content_images
from smalti.data.loader import BatchLoader
from smalti.evaluation.measures import Average, Measure, Reconstructed
from smalti.evaluation.tokenizer import evaluate, measures_of
from smalti.reproduce.experiment import Experiment, PlannedRun
from smalti.reproduce.seams import gradient_energy
from smalti.runs.data import open_data
from smalti.tokenizer.base import Tokenizer
from smalti.tokenizer.load import load_tokenizer

BATCH = 16


class UnseenImages:
    """Center crops of the images that a tokenizer's run has held out.

    Args:
        experiment: the experiment of the run.
        run: a trained run of a tokenizer of photographs.
        side_px: side of the crops; None takes that of the run.
        most: most images to read.
    """

    def __init__(
        self, experiment: Experiment, run: PlannedRun, side_px: int | None, most: int
    ) -> None:
        config = experiment.config(run)
        if side_px is not None:
            image = config.image.model_copy(update={"size": side_px})
            config = config.model_copy(update={"image": image})
        self._device = choose_compute(experiment.device, "float32").device
        self.tokenizer: Tokenizer = load_tokenizer(str(experiment.path(run))).to(self._device)
        split = open_data(config, classes=False, content=self.tokenizer.content)
        assert split.held_out is not None, "studies have data sets that are large enough"
        chosen = split.held_out.subset(range(min(most, len(split.held_out))))
        self._loader = BatchLoader(chosen, BATCH, seed=0, workers=0)

    def batches(self) -> Iterator[Tensor]:
        """Images (B, 3, H, W) float32 in [-1, 1] on the device."""
        for batch in self._loader.evaluation_batches():
            yield batch.images.to(self._device)

    def figures(self) -> dict[str, float]:
        """Perceptual distance, PSNR, SSIM, Frechet distance and blur of the reconstructions.

        The blur is the share of the images' gradient energy that the reconstructions lack.
        """
        own: list[Measure] = [
            Average("kept_gradients", "kept gradients", _kept_gradients, "{:.3f}")
        ]
        measures = [*measures_of(self.tokenizer.content, self._device), *own]
        found = evaluate(self.tokenizer, self.batches(), measures)
        figures = {figure.name: figure.value for figure in found.figures}
        return figures | {"blur": 1 - figures["kept_gradients"]}

    @torch.no_grad()
    def pictures(self, count: int) -> tuple[list[Image.Image], list[Image.Image]]:
        """The first images, and their reconstructions."""
        images = next(self.batches())[:count]
        reconstructions = self.tokenizer.decode(self.tokenizer.encode(images))
        show = content_images(self.tokenizer.content).to_picture
        return [show(image) for image in images], [show(image) for image in reconstructions]


def _kept_gradients(batch: Reconstructed) -> Tensor:
    """Gradient energy (B,) of reconstructions as a share of that of their images."""
    energies: Sequence[Tensor] = [
        sum((axis.flatten(1).mean(1) for axis in gradient_energy(images)), torch.zeros(()))
        for images in (batch.reconstructions, batch.images)
    ]
    return energies[0].cpu() / energies[1].cpu().clamp(min=1e-12)
