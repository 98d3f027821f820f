"""The abstract class of tokenizers with an encoder, a quantizer and a decoder.

Axes: B batch, C channels of the images, H/W image size in pixels, h/w latent grid, D code
dimension, K codebook size, f down-sampling factor.
"""

from typing import Any

import torch
from torch import Tensor, nn

from smalti.config import InputError
from smalti.content import ContentConfig
from smalti.content_images import content_images
from smalti.tokenizer.base import Tokenizer
from smalti.tokenizer.decoder import ConvolutionalDecoder
from smalti.tokenizer.encoder import ConvolutionalEncoder
from smalti.tokenizer.quantizers.base import Quantizer
from smalti.tokenizer.tiles import decoded_tiles, encoded_in_tiles

CACHED_NUMBERS = 2**20
"""Numbers in the feature maps at full resolution of the images that a processor encodes at a time.
Their 4 MiB stay in its cache; batches four times as large were up to twice as slow an image."""


class ConvolutionalTokenizer(Tokenizer):
    """Encodes and decodes with the networks that a subclass makes, of any image size.

    Args:
        config: the kind's config, which has `channels`, `content` and `downsampling_factor`.
    """

    encoder: ConvolutionalEncoder
    to_code: nn.Module
    """From the encoder's channels to those of the quantizer."""
    quantizer: Quantizer
    from_code: nn.Module
    """From the quantizer's channels to those of the decoder."""
    decoder: ConvolutionalDecoder

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self.content: ContentConfig = config.content
        self._images = content_images(config.content)
        self.downsampling_factor = config.downsampling_factor

    @property
    def dtype(self) -> torch.dtype:
        """Number format of the networks; the quantizer computes in float32."""
        return next(self.encoder.parameters()).dtype

    def _input(self, images: Tensor) -> Tensor:
        """Encoder's input (B, C, H, W) of images, in the number format of the networks."""
        return self._images.to_input(images).to(self.dtype)

    def decoder_input(self, codes: Tensor) -> Tensor:
        """Decoder's input (B, channels, h, w) of codes, in the number format of the networks."""
        return self.from_code(self.quantizer.embed(codes).to(self.dtype))

    def latent(self, images: Tensor) -> Tensor:
        """Encoder output z (B, D, h, w) of images (B, 3, H, W), or what `content` says.

        Raises:
            InputError: a side does not divide by f, or the images are of another content.
        """
        self._check_images(images)
        return self.to_code(self.encoder(self._input(images)))

    def _chunk_latent(self, images: Tensor) -> Tensor:
        """Encoder output of images that have been checked, without a gradient."""
        inputs = self._input(images)
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
        """Codes (B, h, w) int64 in [0, K) of images, as for `latent`.

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
            encoded_in_tiles(self.encoder, image, self._input, tile_px)
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
        z_q = self.decoder_input(codes)
        f = self.downsampling_factor
        images = self._images.blank(batch, f * height, f * width)
        for box, outputs in decoded_tiles(self.decoder, z_q, tile):
            box.cut(images).copy_(self._images.to_images(outputs))
        return images

    @torch.no_grad()
    def outputs(self, codes: Tensor) -> Tensor:
        """Decoder output (B, C, f h, f w) for codes (B, h, w) int64 in [0, K)."""
        self._check_codes(codes)
        return self.decoder(self.decoder_input(codes))
