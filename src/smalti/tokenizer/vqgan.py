"""VQGAN: the convolutional tokenizer with a learned codebook.

Axes: B batch, D code dimension, H/W image size in pixels, h/w latent grid, K codebook size,
f = 2^m down-sampling factor.
Reference: arXiv:2012.09841, Sec. 3.1, Fig. 2, Table 2.
"""

from typing import NamedTuple

from torch import Tensor, nn

from smalti.tokenizer.base import TOKENIZERS
from smalti.tokenizer.blocks import NonLocalAttention, ResidualBlock, initialize
from smalti.tokenizer.config import VQGANConfig
from smalti.tokenizer.convolutional import ConvolutionalTokenizer
from smalti.tokenizer.decoder import Decoder
from smalti.tokenizer.encoder import Encoder
from smalti.tokenizer.quantizers.base import Quantized
from smalti.tokenizer.quantizers.build import build_quantizer


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
class VQGAN(ConvolutionalTokenizer):
    """Encoder, quantizer and decoder.

    `encode` and `decode` work without gradients; training calls `forward`.
    """

    kind = "vqgan"
    config_type = VQGANConfig
    config: VQGANConfig
    to_code: nn.Conv2d
    from_code: nn.Conv2d

    def __init__(self, config: VQGANConfig) -> None:
        super().__init__(config)
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
