"""The pixel tokenizer with f = 1: its codes are colours of a palette found by k-means.

The paper compares its codes with a transformer over such pixels.

Axes: B batch, H/W image size in pixels, K codebook size (colours), N pixels.
Reference: arXiv:2012.09841, Sec. 4.3 (f = 1, K = 512), after Chen et al. 2020, "Generative
    pretraining from pixels", ICML, Sec. 3.2.
"""

from typing import Self

import torch
from torch import Tensor

from smalti.config import InputError
from smalti.content import RGBContent
from smalti.content_images import content_images
from smalti.tokenizer.base import TOKENIZERS, Tokenizer
from smalti.tokenizer.config import PixelTokenizerConfig
from smalti.tokenizer.float32 import InFloat32
from smalti.tokenizer.kmeans import kmeans
from smalti.tokenizer.nearest import nearest_entries


@TOKENIZERS.register("pixels")
class PixelTokenizer(InFloat32, Tokenizer):
    """Each pixel's code is the nearest colour of a palette."""

    kind = "pixels"
    config_type = PixelTokenizerConfig
    palette: Tensor
    """The colours, (K, 3) float32 in [-1, 1]."""
    content = RGBContent()
    downsampling_factor = 1

    def __init__(self, config: PixelTokenizerConfig) -> None:
        super().__init__(config)
        self.register_buffer("palette", torch.zeros(config.codebook_size, 3))

    @classmethod
    def learn(
        cls, pixels: Tensor, codebook_size: int, iterations: int, generator: torch.Generator
    ) -> Self:
        """Find the palette that represents pixels best.

        Args:
            pixels: (N, 3) float32 in [-1, 1].
            codebook_size: K.
            iterations: how often k-means assigns and averages.
            generator: draws the first centres of k-means, on the CPU.

        Raises:
            InputError: the pixels have fewer colours than K.
        """
        colours = len(torch.unique(pixels, dim=0))
        if colours < codebook_size:
            raise InputError(
                f"codebook-size {codebook_size} is more than the {colours} different colours of "
                f"the {len(pixels)} pixels that were looked at"
            )
        tokenizer = cls(PixelTokenizerConfig(codebook_size=codebook_size)).to(pixels.device)
        tokenizer.palette.copy_(kmeans(pixels, codebook_size, iterations, generator))
        return tokenizer.eval()

    @torch.no_grad()
    def encode(self, images: Tensor) -> Tensor:
        """Nearest colours (B, H, W) int64 in [0, K) of images (B, 3, H, W) in [-1, 1]."""
        content_images(self.content).check(images)
        pixels = images.float().permute(0, 2, 3, 1)
        return self.nearest(pixels.flatten(0, 2)).view(pixels.shape[:3])

    def encode_in_tiles(self, images: Tensor, tile: int = 64) -> Tensor:
        """Encode as `encode` does, which never holds all distances in memory."""
        self._check_tile(tile)
        return self.encode(images)

    def nearest(self, pixels: Tensor) -> Tensor:
        """Codes (N,) int64 of pixels (N, 3) float32 in [-1, 1]."""
        return nearest_entries(pixels, self.palette)

    @torch.no_grad()
    def outputs(self, codes: Tensor) -> Tensor:
        """The images that `decode` gives, (B, 3, H, W) float32 in [-1, 1]."""
        self._check_codes(codes)
        return self.palette[codes].permute(0, 3, 1, 2)

    def decode_in_tiles(self, codes: Tensor, tile: int = 32) -> Tensor:
        """Decode as `decode` does, on the CPU: no memory is needed beside the images."""
        self._check_tile(tile)
        return self.decode(codes).cpu()
