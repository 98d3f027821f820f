"""VQGAN: the convolutional tokenizer with a learned codebook.

Axes: B batch, D code dimension, H/W image size in pixels, h/w latent grid, K codebook size,
f = 2^m down-sampling factor.
Reference: arXiv:2012.09841, Sec. 3.1, Fig. 2, Table 2.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from smalti.config import InputError
from smalti.content_images import content_images
from smalti.tokenizer.base import TOKENIZERS, Tokenizer
from smalti.tokenizer.blocks import NonLocalAttention, ResidualBlock, initialize
from smalti.tokenizer.config import VQGANConfig
from smalti.tokenizer.decoder import Decoder
from smalti.tokenizer.encoder import Encoder
from smalti.tokenizer.quantizers.base import Quantized
from smalti.tokenizer.quantizers.build import build_quantizer
from smalti.tokenizer.tiles import decoded_tiles, encoded_in_tiles

CACHED_NUMBERS = 2**20
"""Numbers in the feature maps at full resolution of the images that a processor encodes at a time.
Their 4 MiB stay in its cache; batches four times as large were up to twice as slow an image."""


class Reconstruction(NamedTuple):
    """Result of a VQGAN's forward pass."""

    reconstructions: Tensor
    """Decoder output (B, C, H, W): for photographs about in [-1, 1], not clipped; for label maps a
    logit of each class. `content_images(content).to_images` makes images of it."""
    quantized: Quantized
    last_features: Tensor
    """Input (B, channels, H, W) of the decoder's last convolution: the adaptive weight needs the
    gradients at that layer."""


@TOKENIZERS.register("vqgan")
class VQGAN(Tokenizer):
    """Encoder, quantizer and decoder.

    `encode` and `decode` work without gradients; training calls `forward`.
    """

    kind = "vqgan"
    config_type = VQGANConfig
    config: VQGANConfig

    def __init__(self, config: VQGANConfig) -> None:
        super().__init__(config)
        self.content = config.content
        self._images = content_images(config.content)
        self.downsampling_factor = config.downsampling_factor
        self.encoder = Encoder(config)
        self.to_code = nn.Conv2d(config.inner_channels, config.code_dim, 1)
        self.quantizer = build_quantizer(config.quantizer, config.codebook_size, config.code_dim)
        self.from_code = nn.Conv2d(config.code_dim, config.inner_channels, 1)
        self.decoder = Decoder(config)
        self.apply(initialize)  # children before parents: a block's zeros come last

    @property
    def blocks(self) -> list[nn.Module]:
        """All residual and non-local blocks of encoder and decoder."""
        kinds = (ResidualBlock, NonLocalAttention)
        return [module for module in self.modules() if isinstance(module, kinds)]

    def forward(self, images: Tensor) -> Reconstruction:
        """Encode, quantize and decode images.

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
        """Encoder output z (B, D, h, w) of images, as for `forward`."""
        self._check_images(images)
        return self.to_code(self.encoder(self._images.to_input(images)))

    def _chunk_latent(self, images: Tensor) -> Tensor:
        """Encoder output of images that have been checked, without a gradient."""
        inputs = self._images.to_input(images)
        if inputs.device.type == "cpu":
            # Otherwise each convolution orders its input and its output anew.
            inputs = inputs.contiguous(memory_format=torch.channels_last)
        return self.to_code(self.encoder(inputs))

    def _chunk_size(self, images: Tensor) -> int:
        """Number of images (B, ...) that are encoded at a time."""
        if images.device.type != "cpu":
            return max(1, len(images))
        height, width = images.shape[-2:]
        return max(1, CACHED_NUMBERS // (height * width * self.config.channels))

    def _check_images(self, images: Tensor) -> None:
        self._images.check(images)
        height, width = images.shape[-2:]
        if height % self.downsampling_factor or width % self.downsampling_factor:
            raise InputError(
                f"images of {height}x{width} pixels do not divide into codes: both sides must be "
                f"multiples of {self.downsampling_factor}"
            )

    @torch.no_grad()
    def encode(self, images: Tensor) -> Tensor:
        """Codes (B, h, w) int64 in [0, K) of images, as for `forward`.

        On a processor the images of a large batch are encoded some at a time, which takes less time
        than all at once. A latent depends on the batch around it only by rounding, which may
        decide a tie between codes differently.
        """
        self._check_images(images)
        self._images.check_values(images)
        chunks = torch.split(images, self._chunk_size(images))
        return torch.cat([self.quantizer.encode(self._chunk_latent(chunk)) for chunk in chunks])

    @torch.no_grad()
    def encode_in_tiles(self, images: Tensor, tile: int = 64) -> Tensor:
        """Encode as `encode` does, in memory that hardly grows with the images.

        The latents are equal but for rounding, which may decide a tie between codes differently;
        see `tiles` and `Tokenizer`.
        """
        self._check_tile(tile)
        tile_px = tile * self.downsampling_factor
        if tile_px >= max(images.shape[-2:]):
            return self.encode(images)
        self._check_images(images)
        self._images.check_values(images)
        latents = [
            encoded_in_tiles(self.encoder, image, self._images.to_input, tile_px)
            for image in torch.split(images, 1)
        ]
        return self.quantizer.encode(self.to_code(torch.cat(latents)))

    @torch.no_grad()
    def decode_in_tiles(self, codes: Tensor, tile: int = 32) -> Tensor:
        """Decode as `decode` does, in memory that hardly grows with the images.

        The images are equal but for rounding; see `tiles`. With n norms behind the decoder's last
        non-local block (13 by default, 25 in the paper's f = 16 model) it takes about n / 2 times
        as long as `decode`. Smaller tiles need less memory and more time: each is decoded with a
        margin of a few codes. Arguments and errors are those of `Tokenizer`.
        """
        self._check_tile(tile)
        batch, height, width = codes.shape
        if tile >= max(height, width):
            return self.decode(codes).cpu()
        self._check_codes(codes)
        z_q = self.from_code(self.quantizer.embed(codes))
        f = self.downsampling_factor
        images = self._images.blank(batch, f * height, f * width)
        for box, outputs in decoded_tiles(self.decoder, z_q, tile):
            box.cut(images).copy_(self._images.to_images(outputs))
        return images

    @torch.no_grad()
    def outputs(self, codes: Tensor) -> Tensor:
        """Decoder output (B, C, f h, f w) for codes (B, h, w) int64 in [0, K)."""
        self._check_codes(codes)
        z_q = self.quantizer.embed(codes)
        return self.decoder(self.from_code(z_q))
