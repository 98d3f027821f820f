"""The abstract class of tokenizers, which turn images into codes and codes into images.

Axes: B batch, H/W image size in pixels, h/w latent grid, K codebook size, f down-sampling factor.
"""

import abc
import itertools
from pathlib import Path
from typing import Any, ClassVar, Self, Unpack

import torch
from torch import Tensor, nn

from smalti.compute import NumberFormat, existing_device, number_format
from smalti.config import InputError
from smalti.content import ContentConfig
from smalti.content_images import content_images
from smalti.model_download import HubOptions
from smalti.model_folder import load_model, save_model
from smalti.paths import expand
from smalti.registry import Registry


class Tokenizer(nn.Module, abc.ABC):
    """Turns images into codes and back. The prior knows the first stage through this class only.

    `to` also takes a number format, bfloat16 or float16, in which the networks then compute. The
    lookup of the nearest entry stays in float32.

    `content` says what the images are. Photographs are (B, 3, H, W) float32 in [-1, 1].

    Args:
        config: the kind's config.
    """

    kind: ClassVar[str]
    """Name of the class in `TOKENIZERS` and in the config of a model folder."""
    config_type: ClassVar[type[Any]]
    """Class of the config."""
    content: ContentConfig
    """What the images are, which decides their shape, dtype and range."""
    codebook_size: int
    """K."""
    downsampling_factor: int
    """f."""

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.config = config
        self.codebook_size = config.codebook_size

    @property
    def device(self) -> torch.device:
        """Device of the weights."""
        return next(itertools.chain(self.parameters(), self.buffers())).device

    @abc.abstractmethod
    def encode(self, images: Tensor) -> Tensor:
        """Encode images into codes (B, H / f, W / f) int64 in [0, K), without a gradient.

        `smalti.encode_pictures` takes pictures, arrays and files.

        Raises:
            InputError: a side does not divide by f, or the images are of another content.
        """

    @abc.abstractmethod
    def encode_in_tiles(self, images: Tensor, tile: int = 64) -> Tensor:
        """Encode images that are too large for `encode`, into the same codes.

        Args:
            images: as for `encode`.
            tile: side in codes of the squares that are encoded one after another; images that are
                no larger are encoded whole.

        Raises:
            InputError: as `encode`, or the tile has no codes.
        """

    @torch.no_grad()
    def decode(self, codes: Tensor) -> Tensor:
        """Decode codes (B, h, w) int64 in [0, K) into images, without a gradient.

        Returns:
            (B, 3, f h, f w) float32 in [-1, 1], or what `content` says.

        Raises:
            InputError: a code is outside [0, K).
        """
        return content_images(self.content).to_images(self.outputs(codes))

    @abc.abstractmethod
    def outputs(self, codes: Tensor) -> Tensor:
        """Run the decoder on codes (B, h, w) int64 in [0, K), without a gradient.

        Returns:
            (B, C, f h, f w) floating point: for label maps a logit of each class.
            `content_images(content).to_images` makes images of them.

        Raises:
            InputError: a code is outside [0, K).
        """

    @abc.abstractmethod
    def decode_in_tiles(self, codes: Tensor, tile: int = 32) -> Tensor:
        """Decode codes whose images are too large for `decode`, into the same images.

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
        """Encode images of any size and decode their codes.

        A side that does not divide by f is padded with its last row or column and cropped again.
        """
        height, width = images.shape[-2:]
        whole = padded(images, self.downsampling_factor)
        return self.decode(self.encode(whole))[..., :height, :width]

    def save_pretrained(self, folder: str | Path) -> None:
        """Write `config.json` and `model.safetensors`, whole or not at all.

        Raises:
            InputError: the disk is full or the folder cannot be written.
        """
        save_model(Path(expand(folder)), self.kind, self.config, self.state_dict())

    @classmethod
    def from_pretrained(
        cls,
        name: str | Path,
        *,
        device: str | torch.device = "cpu",
        dtype: NumberFormat = "float32",
        **options: Unpack[HubOptions],
    ) -> Self:
        """Load from a folder, a training run (its best model) or a hub id, in eval mode.

        Args:
            name: folder, run, or `owner/name` on the hub, perhaps with `@revision`.
            device: where it computes.
            dtype: number format of the weights, by name or as torch's: float32, bfloat16 or
                float16. The codebook stays in float32.
            **options: revision, token, cache_dir, local_files_only and subfolder, see
                `smalti.model_download.HubOptions`.

        Raises:
            InputError: nothing is there, it is of another kind, a file is damaged, the device is
                not there, or the number format is not known.
        """
        place, wanted = existing_device(device), number_format(dtype)
        files = load_model(name, cls.kind, **options)
        config = files.parse_config(cls.config_type)
        return files.build(lambda: cls(config)).eval().to(place, wanted)

    def _check_tile(self, tile: int) -> None:
        if tile < 1:
            raise InputError(f"tile must be at least 1 code, got {tile}")

    def _check_codes(self, codes: Tensor) -> None:
        if codes.numel() and not 0 <= int(codes.min()) <= int(codes.max()) < self.codebook_size:
            raise InputError(
                f"codes must be in [0, {self.codebook_size}), got {int(codes.min())} to "
                f"{int(codes.max())}"
            )


ENCODED_PIXELS = 2**18
"""Pixels of the images in a batch that is encoded: 64 images of 64x64, 4 of 256x256."""

TOKENIZERS: Registry[Tokenizer] = Registry("tokenizer")
"""The classes of tokenizers, by the `kind` in the config of a model folder."""


def encoded_together(height_px: int, width_px: int) -> int:
    """Number of images of a data set that are encoded in one batch, by their size in pixels.

    It depends on nothing else, as rounding differs a little between sizes of batches, which may
    decide a tie between codes differently: the same images in the same order have the same codes.
    """
    return max(1, ENCODED_PIXELS // (height_px * width_px))


def padded(images: Tensor, factor: int) -> Tensor:
    """Lengthen images (..., H, W) with their last row and column until a factor divides H and W."""
    return _lengthened(_lengthened(images, -2, factor), -1, factor)


def _lengthened(images: Tensor, side: int, factor: int) -> Tensor:
    """Images of any dtype whose dimension `side` is lengthened to a multiple of `factor`."""
    length = images.shape[side]
    if length % factor == 0:
        return images
    places = torch.arange(length + -length % factor, device=images.device).clamp(max=length - 1)
    return images.index_select(side, places)
