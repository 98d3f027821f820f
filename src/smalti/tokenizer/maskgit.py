"""The VQGAN of MaskGIT: no attention, average pooling, convolutions without bias, pixels in [0, 1].

Axes: B batch, C channels, D code dimension, H/W image size in pixels, h/w latent grid.
Reference: Chang et al. 2022, "MaskGIT: Masked Generative Image Transformer", arXiv:2202.04200,
    Sec. 3.1; the network is that of its published weights.
"""

from torch import Tensor, nn

from smalti.tokenizer.base import TOKENIZERS
from smalti.tokenizer.blocks import (
    FromUnitRange,
    Level,
    ResidualBlock,
    ToUnitRange,
    Upsample,
    group_norm,
)
from smalti.tokenizer.config import MaskGITVQGANConfig
from smalti.tokenizer.convolutional import ConvolutionalTokenizer
from smalti.tokenizer.decoder import ConvolutionalDecoder
from smalti.tokenizer.encoder import ConvolutionalEncoder
from smalti.tokenizer.quantizers.build import build_quantizer


class MaskGITBlock(ResidualBlock):
    """Residual block without biases that drops its input where the number of channels changes.

    There, a 1x1 convolution of the change takes the place of the input.
    """

    def __init__(self, in_channels: int, out_channels: int, norm_groups: int) -> None:
        super().__init__(in_channels, out_channels, norm_groups)
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=False)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False)
        if in_channels != out_channels:
            self.skip = nn.Conv2d(out_channels, out_channels, 1, bias=False)

    def join(self, features: Tensor, change: Tensor) -> Tensor:
        """Add to the change (B, out_channels, H, W) the input, or what takes its place."""
        return super().join(features if isinstance(self.skip, nn.Identity) else change, change)


class MaskGITEncoder(ConvolutionalEncoder):
    """Levels of residual blocks that average pooling halves, the middle, and a 1x1 convolution."""

    def __init__(self, config: MaskGITVQGANConfig) -> None:
        super().__init__()
        widths = config.widths
        lowest = len(widths) - 1
        self.conv_in = ToUnitRange(3, config.channels, 3, padding=1, bias=False)
        self.levels = nn.ModuleList(
            _level(
                config,
                config.channels if level == 0 else widths[level - 1],
                width,
                None if level == lowest else nn.AvgPool2d(2),
            )
            for level, width in enumerate(widths)
        )
        self.middle = _middle(config)
        self.norm_out = group_norm(config.norm_groups, widths[-1])
        self.conv_out = nn.Conv2d(widths[-1], config.code_dim, 1)


class MaskGITDecoder(ConvolutionalDecoder):
    """Mirror of the encoder; its levels are those of the encoder in reverse."""

    def __init__(self, config: MaskGITVQGANConfig) -> None:
        super().__init__()
        widths = config.widths[::-1]
        last = len(widths) - 1
        self.conv_in = nn.Conv2d(config.code_dim, widths[0], 3, padding=1)
        self.middle = _middle(config)
        self.levels = nn.ModuleList(
            _level(
                config,
                widths[max(level - 1, 0)],
                width,
                None if level == last else Upsample(width),
            )
            for level, width in enumerate(widths)
        )
        self.norm_out = group_norm(config.norm_groups, widths[-1])
        self.conv_out = FromUnitRange(widths[-1], 3, 3, padding=1)


@TOKENIZERS.register("maskgit")
class MaskGITVQGAN(ConvolutionalTokenizer):
    """Tokenizer of photographs with the published weights of MaskGIT; it is not trained here."""

    kind = "maskgit"
    config_type = MaskGITVQGANConfig
    config: MaskGITVQGANConfig

    def __init__(self, config: MaskGITVQGANConfig) -> None:
        super().__init__(config)
        self.encoder = MaskGITEncoder(config)
        self.to_code = nn.Identity()
        self.quantizer = build_quantizer(config.quantizer, config.codebook_size, config.code_dim)
        self.from_code = nn.Identity()
        self.decoder = MaskGITDecoder(config)


def _level(
    config: MaskGITVQGANConfig, in_channels: int, out_channels: int, resample: nn.Module | None
) -> Level:
    return Level(
        in_channels,
        out_channels,
        config.norm_groups,
        config.residual_blocks,
        attention=False,
        resample=resample,
        block=MaskGITBlock,
    )


def _middle(config: MaskGITVQGANConfig) -> nn.Sequential:
    width = config.widths[-1]
    return nn.Sequential(
        *(MaskGITBlock(width, width, config.norm_groups) for _ in range(config.residual_blocks))
    )
