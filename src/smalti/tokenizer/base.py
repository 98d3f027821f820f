"""What every tokenizer is: a network between images and codes, on disk and off it.

Axes: B batch, H/W image size in pixels, h/w latent grid, K codebook size, f down-sampling factor.
"""

import abc
from pathlib import Path
from typing import Self

import torch
from torch import Tensor, nn

from smalti.config import InputError
from smalti.content import ContentConfig
from smalti.registry import Registry


class Tokenizer(nn.Module, abc.ABC):
    """images <-> codes. The prior sees nothing else of the first stage.

    Images are what `content` says: of photographs (B, 3, H, W) float32 in [-1, 1].

    Attributes:
        content: what its images are, and so their shape, dtype and range.
        codebook_size: K.
        downsampling_factor: f.
    """

    content: ContentConfig
    codebook_size: int
    downsampling_factor: int

    @abc.abstractmethod
    def encode(self, images: Tensor) -> Tensor:
        """Codes (B, H / f, W / f) int64 in [0, K) of images, without a gradient.

        Raises:
            InputError: a side does not divide by f, or the images are of another content.
        """

    @abc.abstractmethod
    def encode_in_tiles(self, images: Tensor, tile: int = 64) -> Tensor:
        """The codes that `encode` gives, for images that are too large to encode whole.

        Args:
            images: as for `encode`.
            tile: side in codes of the squares that are encoded one after another; images that are
                no larger are encoded whole.

        Raises:
            InputError: as `encode`, or the tile has no codes.
        """

    @abc.abstractmethod
    def decode(self, codes: Tensor) -> Tensor:
        """Images of codes (B, h, w) int64 in [0, K), without a gradient.

        Returns:
            (B, 3, f h, f w) float32 in [-1, 1], or what `content` says.

        Raises:
            InputError: a code is outside [0, K).
        """

    @abc.abstractmethod
    def outputs(self, codes: Tensor) -> Tensor:
        """What the decoder gives for codes (B, h, w) int64 in [0, K): logits of label maps.

        Returns:
            (B, C, f h, f w) floating point, which become images by `content_images`.

        Raises:
            InputError: a code is outside [0, K).
        """

    @abc.abstractmethod
    def decode_in_tiles(self, codes: Tensor, tile: int = 32) -> Tensor:
        """The images that `decode` gives, for images that are too large to decode whole.

        Args:
            codes: (B, h, w) int64 in [0, K).
            tile: side in codes of the squares that are decoded one after another.

        Returns:
            As `decode`, but always on the CPU.

        Raises:
            InputError: a code is outside [0, K), or the tile has no codes.
        """

    @torch.no_grad()
    def reconstruct(self, images: Tensor) -> Tensor:
        """Images of any size through the codes and back.

        A side that does not divide by f is padded by its last row or column, and cropped again.
        """
        height, width = images.shape[-2:]
        padded = _padded(
            _padded(images, -2, self.downsampling_factor), -1, self.downsampling_factor
        )
        return self.decode(self.encode(padded))[..., :height, :width]

    @abc.abstractmethod
    def save_pretrained(self, folder: str | Path) -> None:
        """Write `config.json` and `model.safetensors`, whole or not at all.

        Raises:
            InputError: the disk is full or the folder cannot be written.
        """

    @classmethod
    @abc.abstractmethod
    def from_pretrained(cls, name: str | Path) -> Self:
        """Load from a folder, a training run (its best model) or a hub id, in eval mode.

        Raises:
            InputError: nothing is there, it is of another kind, or a file is damaged.
        """

    def _check_tile(self, tile: int) -> None:
        if tile < 1:
            raise InputError(f"tile must be at least 1 code, got {tile}")

    def _check_codes(self, codes: Tensor) -> None:
        if codes.numel() and not 0 <= int(codes.min()) <= int(codes.max()) < self.codebook_size:
            raise InputError(
                f"codes must be in [0, {self.codebook_size}), got {int(codes.min())} to "
                f"{int(codes.max())}"
            )


TOKENIZERS: Registry[Tokenizer] = Registry("tokenizer")
"""By the `kind` that a model folder's config gives."""


def _padded(images: Tensor, side: int, factor: int) -> Tensor:
    """Images of any dtype whose dimension `side` is lengthened to a multiple of `factor`."""
    length = images.shape[side]
    if length % factor == 0:
        return images
    places = torch.arange(length + -length % factor, device=images.device).clamp(max=length - 1)
    return images.index_select(side, places)
