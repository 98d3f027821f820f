"""Depth maps of photographs."""

from collections.abc import Mapping, Sequence
from typing import Self

import torch
from PIL import Image
from torch import Tensor

from smalti.annotate.base import MapAnnotator
from smalti.annotate.networks import open_network
from smalti.content import DepthContent


class DepthAnnotator(MapAnnotator):
    """Makes depth maps of 16 bits: (1, H, W) float32 in [-1, 1], each stretched to its own range.

    What is high is what the network calls so. Depth Anything gives inverse depth: near is white.
    """

    kind = "depth"
    part = DepthContent.part
    content = DepthContent()
    default_model = "hf://depth-anything/Depth-Anything-V2-Small-hf"

    @classmethod
    def load(cls, models: Mapping[str, str], device: torch.device) -> Self:
        """Load a network for the depth of single photographs."""
        name = models.get("model", cls.default_model)
        return cls([open_network(name, "DepthEstimation", device)])

    @torch.no_grad()
    def annotate(self, pictures: Sequence[Image.Image]) -> list[Tensor]:
        """Make the depth map (1, H, W) float32 in [-1, 1] of each picture."""
        (network,) = self.networks
        inputs = network.processor(images=list(pictures), return_tensors="pt").to(network.device)
        sizes = [(picture.height, picture.width) for picture in pictures]
        outputs = network.model(**inputs)
        found = network.processor.post_process_depth_estimation(outputs, sizes)
        return [_stretched(one["predicted_depth"].cpu()) for one in found]

    def training(self, tokenizer: str) -> str:
        """Options of the tokenizer of depth maps."""
        return f"--vqgan.content.kind depth --vqgan.quantizer.kind fsq --out {tokenizer}"


def _stretched(depths: Tensor) -> Tensor:
    """Stretch depths (H, W) to an image (1, H, W) from -1 to 1; depths of one value become -1."""
    wide = depths.double() - depths.min()
    return (wide / wide.max().clamp(min=1e-8) * 2 - 1).float()[None]
