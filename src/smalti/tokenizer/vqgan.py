"""VQGAN: the convolutional tokenizer with a learned codebook.

Axes: B batch, D code dimension, H/W image size in pixels, h/w latent grid, K codebook size,
f = 2^m down-sampling factor.
Reference: arXiv:2012.09841, Sec. 3.1, Fig. 2, Table 2.
"""

from pathlib import Path
from typing import Literal, NamedTuple, Self

import torch
from pydantic import Field, field_validator, model_validator
from torch import Tensor, nn

from smalti.config import Config, InputError
from smalti.content import ContentConfig, RGBContent
from smalti.model_folder import load_model, save_model
from smalti.paths import expand
from smalti.tokenizer.base import TOKENIZERS, TokenizerModel
from smalti.tokenizer.blocks import initialize
from smalti.tokenizer.decoder import Decoder
from smalti.tokenizer.encoder import Encoder
from smalti.tokenizer.quantizers import (
    QUANTIZERS,
    Quantized,
    QuantizerConfig,
    VectorQuantizerConfig,
)
from smalti.tokenizer.tiles import decoded_tiles, encoded_in_tiles


class VQGANConfig(Config):
    """Shape of a VQGAN; the defaults are a small model for one processor or graphics card."""

    kind: Literal["vqgan"] = "vqgan"
    content: ContentConfig = RGBContent()
    """What its images are: `kind` rgb, labels (with `classes`, and `ignore` or
    `shift`), depth or edges."""
    channels: int = Field(default=32, ge=1)
    """Channels at full resolution, a multiple of `norm_groups`; the paper's models have 128."""
    channel_multipliers: tuple[int, ...] = Field(default=(1, 2, 2, 4), min_length=2, max_length=6)
    """Channels of each level relative to `channels`. One number more than down-sampling steps:
    four levels halve the image three times, so f = 8."""
    residual_blocks: int = Field(default=1, ge=1)
    """Residual blocks of each level (2 in the paper); the decoder has one more."""
    norm_groups: int = Field(default=8, ge=1)
    """Groups of each GroupNorm; 32 in the paper. A group should have at least four channels: with
    one channel a group, the image's own colours and contrast are normalised away."""
    attention_levels: tuple[int, ...] | None = None
    """Levels with a non-local block after each residual block, 0 being full resolution; null is the
    lowest only. It costs time with the fourth power of a level's side."""
    middle_attention: bool = True
    """A non-local block in the middle of encoder and decoder, at the lowest resolution."""
    code_dim: int = Field(default=64, ge=1)
    """D, channels of the encoder output."""
    latent_channels: int | None = Field(default=None, ge=1)
    """Channels that the networks have on their side of the 1x1 convolutions to and from `code_dim`;
    null is `code_dim`."""
    codebook_size: int = Field(default=512, ge=2)
    """K, number of codes."""
    quantizer: QuantizerConfig = VectorQuantizerConfig(lookup_dim=8, l2_normalised=True)
    """How vectors become codes."""

    @field_validator("channel_multipliers")
    @classmethod
    def _positive(cls, multipliers: tuple[int, ...]) -> tuple[int, ...]:
        if min(multipliers) < 1:
            raise ValueError("every multiplier must be at least 1")
        return multipliers

    @model_validator(mode="after")
    def _groups_divide(self) -> Self:
        if self.channels % self.norm_groups:
            raise ValueError(
                f"channels {self.channels} is not a multiple of norm_groups {self.norm_groups}"
            )
        return self

    @model_validator(mode="after")
    def _quantizer_has_the_codes(self) -> Self:
        self.quantizer.check_codebook_size(self.codebook_size)
        return self

    @model_validator(mode="after")
    def _levels_exist(self) -> Self:
        lowest = len(self.channel_multipliers) - 1
        if self.attention_levels and not set(self.attention_levels) <= set(range(lowest + 1)):
            raise ValueError(
                f"attention_levels {list(self.attention_levels)} must be from 0 to {lowest}, the "
                "levels of channel_multipliers"
            )
        return self

    @property
    def downsampling_factor(self) -> int:
        """f, pixels of an image's side per code."""
        return int(2 ** (len(self.channel_multipliers) - 1))


class Reconstruction(NamedTuple):
    """Result of a VQGAN's forward pass."""

    reconstructions: Tensor
    """(B, C, H, W), what the decoder gives: of photographs about [-1, 1], not clipped; of label
    maps a logit for each class. `content.to_images` makes images of them."""
    quantized: Quantized
    last_features: Tensor
    """(B, channels, H, W), input of the decoder's last convolution: the adaptive weight needs the
    gradients at that layer."""


@TOKENIZERS.register("vqgan")
class VQGAN(TokenizerModel):
    """Encoder, quantizer and decoder.

    Follows the `Tokenizer` protocol; `encode` and `decode` work without gradients, `forward` is
    what training calls.

    Attributes:
        content: what its images are, and so their shape, dtype and range.
        codebook_size: K.
        downsampling_factor: f.
    """

    def __init__(self, config: VQGANConfig) -> None:
        super().__init__()
        self.config = config
        self.content = config.content
        self.codebook_size = config.codebook_size
        self.downsampling_factor = config.downsampling_factor
        latent_channels = config.latent_channels or config.code_dim
        shape = (
            config.channels,
            config.channel_multipliers,
            config.residual_blocks,
            config.norm_groups,
            latent_channels,
            config.attention_levels,
            config.middle_attention,
        )
        self.encoder = Encoder(*shape, image_channels=config.content.channels)
        self.to_code = nn.Conv2d(latent_channels, config.code_dim, 1)
        self.quantizer = QUANTIZERS[config.quantizer.kind](
            config.quantizer, config.codebook_size, config.code_dim
        )
        self.from_code = nn.Conv2d(config.code_dim, latent_channels, 1)
        self.decoder = Decoder(*shape, image_channels=config.content.channels)
        self.apply(initialize)  # children before parents: a block's zeros come last

    def forward(self, images: Tensor) -> Reconstruction:
        """Encode, quantize, decode.

        Args:
            images: (B, 3, H, W) float32 in [-1, 1], or what `content` says; both sides divisible
                by f.

        Raises:
            InputError: a side does not divide by f, or the images are of another content.
        """
        quantized = self.quantizer(self.latent(images))
        features = self.decoder.features(self.from_code(quantized.z_q))
        return Reconstruction(self.decoder.conv_out(features), quantized, features)

    def latent(self, images: Tensor) -> Tensor:
        """Encoder output z (B, D, h, w) of images, as for `forward`.

        Raises:
            InputError: a side does not divide by f, or the images are of another content.
        """
        self._check_images(images)
        return self.to_code(self.encoder(self.content.to_input(images)))  # type: ignore[no-any-return]

    def _check_images(self, images: Tensor) -> None:
        self.content.check(images)
        height, width = images.shape[-2:]
        if height % self.downsampling_factor or width % self.downsampling_factor:
            raise InputError(
                f"images of {width}x{height} do not divide into codes: both sides must be "
                f"multiples of {self.downsampling_factor}"
            )

    @torch.no_grad()
    def encode(self, images: Tensor) -> Tensor:
        """Codes (B, h, w) int64 in [0, K) of images, as for `forward`.

        Raises:
            InputError: a side does not divide by f, or the images are of another content.
        """
        self.content.check(images)
        self.content.check_values(images)
        return self.quantizer.encode(self.latent(images))

    @torch.no_grad()
    def encode_in_tiles(self, images: Tensor, tile: int = 64) -> Tensor:
        """The codes that `encode` gives, in memory that hardly grows with the images.

        Equal but for rounding, which may settle a tie between codes otherwise: see `tiles`.

        Args:
            images: as for `encode`.
            tile: side in codes of the squares that are encoded one after another.

        Returns:
            As `encode`, on the images' device.

        Raises:
            InputError: as `encode`, or the tile has no codes.
        """
        self._check_tile(tile)
        tile_px = tile * self.downsampling_factor
        if tile_px >= max(images.shape[-2:]):
            return self.encode(images)
        self._check_images(images)
        self.content.check_values(images)
        latents = [
            encoded_in_tiles(self.encoder, image, self.content.to_input, tile_px)
            for image in torch.split(images, 1)
        ]
        return self.quantizer.encode(self.to_code(torch.cat(latents)))

    @torch.no_grad()
    def decode(self, codes: Tensor) -> Tensor:
        """Images of codes (B, h, w) int64 in [0, K).

        Returns:
            (B, 3, f h, f w) float32 in [-1, 1], or what `content` says.

        Raises:
            InputError: a code is outside [0, K).
        """
        return self.content.to_images(self.outputs(codes))

    @torch.no_grad()
    def decode_in_tiles(self, codes: Tensor, tile: int = 32) -> Tensor:
        """The images that `decode` gives, in memory that hardly grows with them.

        Equal but for rounding: see `tiles`. It takes about half as many times longer as
        the decoder has norms behind its last non-local block (13 by default, 25 in the paper's
        f = 16 model), and more where tiles are small.

        Args:
            codes: (B, h, w) int64 in [0, K).
            tile: side in codes of the squares that are decoded one after another. Smaller ones need
                less memory and more time: each is decoded with a margin of a few codes.

        Returns:
            As `decode`, but always on the CPU.

        Raises:
            InputError: a code is outside [0, K), or the tile has no codes.
        """
        self._check_tile(tile)
        batch, height, width = codes.shape
        if tile >= max(height, width):
            return self.decode(codes).cpu()
        self._check_codes(codes)
        z_q = self.from_code(self.quantizer.embed(codes))
        f = self.downsampling_factor
        images = self.content.blank(batch, f * height, f * width)
        for box, outputs in decoded_tiles(self.decoder, z_q, tile):
            box.cut(images).copy_(self.content.to_images(outputs))
        return images

    @torch.no_grad()
    def outputs(self, codes: Tensor) -> Tensor:
        """What the decoder gives, (B, C, f h, f w), for codes (B, h, w) int64 in [0, K).

        Raises:
            InputError: a code is outside [0, K).
        """
        self._check_codes(codes)
        z_q = self.quantizer.embed(codes)
        return self.decoder(self.from_code(z_q))  # type: ignore[no-any-return]

    def save_pretrained(self, folder: str | Path) -> None:
        """Write `config.json` and `model.safetensors`, whole or not at all.

        Raises:
            InputError: the disk is full or the folder cannot be written.
        """
        save_model(Path(expand(folder)), "vqgan", self.config, self.state_dict())

    @classmethod
    def from_pretrained(cls, name: str | Path) -> Self:
        """Load from a folder, a training run (its best model) or a hub id, in eval mode.

        Raises:
            InputError: nothing is there, it is not a VQGAN, or a file is damaged.
        """
        files = load_model(name, "vqgan")
        model = cls(files.parse_config(VQGANConfig))
        files.load_into(model)
        return model.eval()
