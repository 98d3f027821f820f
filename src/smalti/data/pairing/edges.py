"""Edges of each image: (1, H, W) float32, 1 on an edge, else -1.

Reference: arXiv:2012.09841, Sec. 4.2: edge-guided synthesis.
"""

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from smalti.content import ContentConfig, EdgesContent
from smalti.data.config import TransformConfig
from smalti.data.decode import read_header
from smalti.data.pairing.base import PAIRED, MadePair
from smalti.data.pairing.photographs import require_photographs
from smalti.data.readers import reader_of
from smalti.data.transforms import Crop

DRAWING_MODES = ("1", "L", "LA", "P", "PA", "I", "I;16", "I;16B")
"""Pillow's names of the colour layouts that are taken for a drawing rather than a photograph."""
HALF = 127


@PAIRED.register("edges")
class EdgesPair(MadePair):
    """Edges found in the crop of the image: (1, H, W) float32, 1 on an edge, else -1.

    Args:
        content: how they are found.
    """

    kind = "edges"

    def __init__(self, content: EdgesContent) -> None:
        self._reader = reader_of(content)

    def check(self, content: ContentConfig, transform: TransformConfig) -> None:
        """Refuse images that are no photographs."""
        require_photographs(content, self.kind)

    def make(self, cropped: Image.Image, crop: Crop) -> Tensor:
        """Edges (1, H, W) of the RGB crop."""
        return crop.to_image(cropped, self._reader)

    def read(self, content: bytes, key: str) -> Tensor:
        """Edges (1, H, W) found in a photograph, or drawn.

        A picture without colours of its own (greyscale, black and white, with a palette) is a
        drawing: what is brighter than half is an edge.
        """
        picture = self._reader.decode(content, key)
        if read_header(content, key).mode not in DRAWING_MODES:
            return self._reader.to_image(picture)
        is_edge = torch.from_numpy(np.asarray(picture.convert("L")) > HALF)
        return (2.0 * is_edge.float() - 1.0)[None]
