"""VQGAN: the convolutional tokenizer with a learned codebook.

Axes: B batch, D code dimension, H/W image size in pixels, h/w latent grid, K codebook size,
f = 2^m down-sampling factor.
Reference: arXiv:2012.09841, Sec. 3.1, Fig. 2, Table 2.
"""

from pathlib import Path
from typing import Literal, NamedTuple, Self

import torch
import torch.nn.functional as F
from pydantic import Field, field_validator, model_validator
from torch import Tensor, nn

from smalti.model_folder import load_model, save_model
from smalti.tokenizer.blocks import initialize
from smalti.tokenizer.decoder import Decoder
from smalti.tokenizer.encoder import Encoder
from smalti.tokenizer.quantizers import (
    QUANTIZERS,
    Quantized,
    QuantizerConfig,
    VectorQuantizerConfig,
)
from smalti.types import Config, InputError


class VQGANConfig(Config):
    """Shape of a VQGAN; the defaults are a small model for one processor or graphics card."""

    kind: Literal["vqgan"] = "vqgan"
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
    lowest only. It costs memory with the fourth power of a level's side."""
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
    """(B, 3, H, W), about [-1, 1], not clipped."""
    quantized: Quantized
    last_features: Tensor
    """(B, channels, H, W), input of the decoder's last convolution: the adaptive weight needs the
    gradients at that layer."""


class VQGAN(nn.Module):
    """Encoder, quantizer and decoder.

    Follows the `Tokenizer` protocol; `encode` and `decode` work without gradients, `forward` is
    what training calls.

    Attributes:
        codebook_size: K.
        downsampling_factor: f.
    """

    def __init__(self, config: VQGANConfig) -> None:
        super().__init__()
        self.config = config
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
        self.encoder = Encoder(*shape)
        self.to_code = nn.Conv2d(latent_channels, config.code_dim, 1)
        self.quantizer = QUANTIZERS[config.quantizer.kind](
            config.quantizer, config.codebook_size, config.code_dim
        )
        self.from_code = nn.Conv2d(config.code_dim, latent_channels, 1)
        self.decoder = Decoder(*shape)
        self.apply(initialize)  # children before parents: a block's zeros come last

    def forward(self, images: Tensor) -> Reconstruction:
        """Encode, quantize, decode.

        Args:
            images: (B, 3, H, W) float32 in [-1, 1], both sides divisible by f.

        Raises:
            InputError: a side does not divide by f.
        """
        quantized = self.quantizer(self.latent(images))
        features = self.decoder.features(self.from_code(quantized.z_q))
        return Reconstruction(self.decoder.conv_out(features), quantized, features)

    def latent(self, images: Tensor) -> Tensor:
        """Encoder output z (B, D, h, w) of images (B, 3, H, W) in [-1, 1].

        Raises:
            InputError: a side does not divide by f.
        """
        height, width = images.shape[-2:]
        if height % self.downsampling_factor or width % self.downsampling_factor:
            raise InputError(
                f"images of {width}x{height} do not divide into codes: both sides must be "
                f"multiples of {self.downsampling_factor}"
            )
        return self.to_code(self.encoder(images))  # type: ignore[no-any-return]

    @torch.no_grad()
    def encode(self, images: Tensor) -> Tensor:
        """Codes (B, h, w) int64 in [0, K) of images (B, 3, H, W) float32 in [-1, 1].

        Raises:
            InputError: a side does not divide by f.
        """
        return self.quantizer.encode(self.latent(images))

    @torch.no_grad()
    def decode(self, codes: Tensor) -> Tensor:
        """Images (B, 3, f h, f w) float32 in [-1, 1] of codes (B, h, w) int64 in [0, K).

        Raises:
            InputError: a code is outside [0, K).
        """
        if codes.numel() and not 0 <= int(codes.min()) <= int(codes.max()) < self.codebook_size:
            raise InputError(
                f"codes must be in [0, {self.codebook_size}), got {int(codes.min())} to "
                f"{int(codes.max())}"
            )
        z_q = self.quantizer.embed(codes)
        return self.decoder(self.from_code(z_q)).float().clamp(-1, 1)  # type: ignore[no-any-return]

    @torch.no_grad()
    def reconstruct(self, images: Tensor) -> Tensor:
        """Images (B, 3, H, W) in [-1, 1] through the codes and back, of any size.

        A side that does not divide by f is padded by its last row or column, and cropped again.
        """
        height, width = images.shape[-2:]
        right, bottom = -width % self.downsampling_factor, -height % self.downsampling_factor
        padded = F.pad(images, (0, right, 0, bottom), mode="replicate")
        return self.decode(self.encode(padded))[..., :height, :width]

    def save_pretrained(self, folder: str | Path) -> None:
        """Write `config.json` and `model.safetensors`, whole or not at all.

        Raises:
            InputError: the disk is full or the folder cannot be written.
        """
        save_model(Path(folder), "vqgan", self.config, self.state_dict())

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
