"""Images of a run's data for the tab *Codes*: which codes they use, and where.

They are those that the run is evaluated on. Axes: N images, h/w grid of codes, K codebook size.
"""

from dataclasses import dataclass
from typing import Self

import torch
from PIL import Image
from torch import Tensor

from smalti.config import InputError
from smalti.content import ContentConfig
from smalti.data.split import Split, split_held_out
from smalti.health.run_images import RunImages
from smalti.metrics.codebook import CodebookUse
from smalti.runs.data import open_dataset
from smalti.runs.state import read_config
from smalti.runs.training_images import rule_of_run
from smalti.studio.codebook import Codebook, Encoded
from smalti.studio.library import Entry
from smalti.studio.worker import Job

MOST_IMAGES = 48
"""Images that are looked at."""
MOST_PATCHES = 12
PATCH_CELLS = 3
"""Side of a patch in codes; the code that it shows is in its middle, but for the border."""


@dataclass(frozen=True, slots=True)
class Examples:
    """Images of a run's data and their codes."""

    scored: str
    """What they are, in words."""
    pictures: list[Image.Image]
    codes: Tensor
    """(N, h, w) int64 in [0, K), on the CPU."""
    factor: int
    """f."""

    @classmethod
    def of(cls, entry: Entry, codebook: Codebook, job: Job) -> Self:
        """Encode the center crops of the images on which a run is evaluated.

        Raises:
            InputError: it is no run, or its data is not where it was.
        """
        split = _split(entry, codebook.tokenizer.content)
        images = split.evaluated
        pictures: list[Image.Image] = []
        codes: list[Tensor] = []
        for number in range(len(images)):
            job.check()
            sample = images.load_center(number).sample
            if sample is None:
                continue  # broken
            pictures.append(codebook.picture_of(sample.image))
            codes.append(codebook.codes_of(sample.image))
            job.tell("progress", {"done": len(codes), "of": min(MOST_IMAGES, len(images))})
            if len(codes) == MOST_IMAGES:
                break
        if not codes:
            raise InputError(f"the images of {entry.name} are all broken")
        factor = codebook.tokenizer.downsampling_factor
        return cls(RunImages.of(split).scored, pictures, torch.stack(codes), factor)

    def encoded(self, number: int, codebook: Codebook) -> Encoded:
        """An image with its codes and what they give back."""
        codes = self.codes[number]
        return Encoded(self.pictures[number], codes, codebook.drawn(codes[None]))

    def counts(self, codebook_size: int) -> list[int]:
        """How often each code occurs, (K,)."""
        use = CodebookUse(codebook_size)
        use.add(self.codes)
        return use.counts.tolist()

    def patches(self, code: int) -> list[Image.Image]:
        """Pieces of the images around places of a code, of as many images as possible."""
        found: dict[int, list[tuple[int, int]]] = {}
        for number, row, column in (self.codes == code).nonzero().tolist():
            found.setdefault(number, []).append((row, column))
        deepest = max(map(len, found.values()), default=0)
        places = (
            (number, found[number][turn])
            for turn in range(deepest)
            for number in found
            if turn < len(found[number])
        )
        cut = (self._patch(number, *place) for number, place in places)
        return [patch for patch, _ in zip(cut, range(MOST_PATCHES), strict=False)]

    def _patch(self, number: int, row: int, column: int) -> Image.Image:
        height, width = self.codes.shape[1:]
        margin = PATCH_CELLS // 2
        top = max(0, min(row - margin, height - PATCH_CELLS)) * self.factor
        left = max(0, min(column - margin, width - PATCH_CELLS)) * self.factor
        picture = self.pictures[number]
        right = min(left + PATCH_CELLS * self.factor, picture.width)
        bottom = min(top + PATCH_CELLS * self.factor, picture.height)
        return picture.crop((left, top, right, bottom))


def _split(entry: Entry, content: ContentConfig) -> Split:
    """The images of a run, divided as in the run."""
    config = read_config(entry.path) if entry.is_run else None
    if config is None:
        raise InputError(f"{entry.name} is a model without the run that trained it")
    try:
        dataset = open_dataset(config, classes=False, content=content)
    except InputError as error:
        raise InputError(f"the data of {entry.name} cannot be read from here: {error}") from error
    return split_held_out(dataset, config.held_out, rule_of_run(entry.path))
