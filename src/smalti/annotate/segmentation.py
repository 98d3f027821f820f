"""Label maps of photographs: the class of each pixel."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from smalti.annotate.base import MapAnnotator
from smalti.annotate.networks import Network, open_network
from smalti.content import LabelsContent
from smalti.data.label_names import NAMES_FILE
from smalti.files import atomic_file

LONGEST_PX = 1024
"""Longer side of the logits. They are as many as the classes at each pixel: those of 150 classes
fill 7 GB for a photograph of 12 megapixels. Maps of larger photographs are enlarged."""


class SegmentationAnnotator(MapAnnotator):
    """Makes label maps: (H, W) int64, the numbers of the classes of the network's config."""

    kind = "segmentation"
    part = LabelsContent.part
    default_model = "hf://openmmlab/upernet-convnext-tiny"

    def __init__(self, networks: Sequence[Network]) -> None:
        super().__init__(networks)
        self.class_names = networks[0].labels()
        """Name of each class by its number."""
        self.content = LabelsContent(classes=len(self.class_names))

    @classmethod
    def load(cls, models: Mapping[str, str], device: torch.device) -> Self:
        """Load a network for semantic segmentation."""
        name = models.get("model", cls.default_model)
        return cls([open_network(name, "SemanticSegmentation", device)])

    @torch.no_grad()
    def annotate(self, pictures: Sequence[Image.Image]) -> list[Tensor]:
        """Make the label map (H, W) int64 of each picture."""
        (network,) = self.networks
        inputs = network.processor(images=list(pictures), return_tensors="pt").to(network.device)
        width, height = pictures[0].size
        scale = min(1.0, LONGEST_PX / max(width, height))
        size = (max(1, round(height * scale)), max(1, round(width * scale)))
        outputs = network.model(**inputs)
        found = network.processor.post_process_semantic_segmentation(
            outputs, target_sizes=[size] * len(pictures)
        )
        return [_enlarged(labels.cpu(), (width, height)) for labels in found]

    def write_names(self, data: Path) -> None:
        """Write the names of the classes beside the label maps of a data set, a line for each.

        Raises:
            InputError: the folder cannot be written.
        """
        with atomic_file(data / self.part / NAMES_FILE) as temporary:
            lines = (" ".join(name.split()) for name in self.class_names)
            temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")

    def training(self, tokenizer: str) -> str:
        """Options of the tokenizer of label maps."""
        return (
            f"--vqgan.content.kind labels --vqgan.content.classes {len(self.class_names)} "
            f"--vqgan.quantizer.kind fsq --out {tokenizer}"
        )


def _enlarged(labels: Tensor, size: tuple[int, int]) -> Tensor:
    """Labels (h, w) in the size (width, height) of the photograph, (H, W) int64."""
    picture = Image.fromarray(labels.numpy().astype(np.int32))
    resized = np.asarray(picture.resize(size, Image.Resampling.NEAREST))
    return torch.from_numpy(resized.astype(np.int64))
