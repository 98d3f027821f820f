"""Encoder and decoder cut in two for `tiles`: layers that need the whole map, and other steps.

A step sees a neighbourhood of each pixel only. The statistics of its norm are those of the whole
map.

Axes: B batch, C channels, H/W size of a map at some resolution, h/w latent grid.
"""

from collections.abc import Callable, Iterable
from typing import NamedTuple, cast

import torch.nn.functional as F
from torch import Tensor, nn

from smalti.tokenizer.blocks import Downsample, Level, NonLocalAttention, ResidualBlock, Upsample
from smalti.tokenizer.decoder import ConvolutionalDecoder
from smalti.tokenizer.encoder import ConvolutionalEncoder


class Scale(NamedTuple):
    """How a step changes the size of its map."""

    up: int = 1
    down: int = 1

    def margin(self, after: int) -> int:
        """Pixels around a tile that a 3x3 convolution needs for `after` around its result."""
        if self.down > 1:
            return self.down * (after + 1)  # even where the size is halved, so that tiles fit
        return -(-(after + 1) // self.up)


SAME_SIZE = Scale()


class Step(NamedTuple):
    """An optional norm and the layers behind it, the next 3x3 convolution included."""

    run: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
    """(stream, normed) -> (stream, branch): the residual stream, and the input of the next norm."""
    norm: nn.GroupNorm | None = None
    scale: Scale = SAME_SIZE
    """Size of the convolution's result relative to its input."""


def global_features(decoder: ConvolutionalDecoder, z_q: Tensor) -> Tensor:
    """Output of the decoder's last non-local block, before the up-sampling of its level.

    Args:
        decoder: its mode and weights are not touched.
        z_q: (B, latent_channels, h, w).

    Returns:
        (B, C, H, W).
    """
    features = decoder.middle(decoder.conv_in(z_q))
    levels = _levels(decoder)[: _last_attended(decoder) + 1]
    for level in levels:
        for block, attention in zip(level.blocks, level.attentions, strict=True):
            features = attention(block(features))
        if level is not levels[-1]:
            features = level.resample(features)
    return features


def decoding_steps(decoder: ConvolutionalDecoder) -> list[Step]:
    """The decoder's steps after `global_features`; the branch of the last step is the outputs."""

    def to_outputs(stream: Tensor, normed: Tensor) -> tuple[Tensor, Tensor]:
        return stream, decoder.conv_out(F.silu(normed))

    last = _last_attended(decoder)
    layers: list[nn.Module] = []
    for number, level in enumerate(_levels(decoder)):
        if number > last:
            layers += level.blocks
        if number >= last:
            layers.append(level.resample)
    return [*_steps_of(layers), Step(to_outputs, decoder.norm_out)]


def encoding_steps(
    encoder: ConvolutionalEncoder, to_input: Callable[[Tensor], Tensor]
) -> list[Step]:
    """The encoder's steps before its first non-local block, at higher resolutions."""
    layers: list[nn.Module] = []
    for level in _levels(encoder)[: _first_attended(encoder)]:
        layers += [*level.blocks, level.resample]
    first = _convolution(lambda images: encoder.conv_in(to_input(images)))
    return [first, *_steps_of(layers)]


def global_latent(encoder: ConvolutionalEncoder, features: Tensor) -> Tensor:
    """Latent (B, latent_channels, h, w) from the output (B, C, H, W) of `encoding_steps`."""
    for level in _levels(encoder)[_first_attended(encoder) :]:
        features = level(features)
    return encoder.conv_out(F.silu(encoder.norm_out(encoder.middle(features))))


def _levels(network: ConvolutionalEncoder | ConvolutionalDecoder) -> list[Level]:
    return cast(list[Level], list(network.levels))


def _attended(network: ConvolutionalEncoder | ConvolutionalDecoder) -> list[int]:
    """Positions in `levels` of the levels with non-local blocks."""
    return [
        number
        for number, level in enumerate(_levels(network))
        if any(isinstance(module, NonLocalAttention) for module in level.attentions)
    ]


def _first_attended(encoder: ConvolutionalEncoder) -> int:
    """Position of the first level that runs whole: the lowest if no level has non-local blocks."""
    return min(_attended(encoder), default=len(encoder.levels) - 1)


def _last_attended(decoder: ConvolutionalDecoder) -> int:
    """Position of the last level that runs whole, or -1 if no level has non-local blocks."""
    return max(_attended(decoder), default=-1)


def _steps_of(layers: Iterable[nn.Module]) -> list[Step]:
    steps: list[Step] = []
    for layer in layers:
        if isinstance(layer, ResidualBlock):
            steps += _halves(layer)
        elif isinstance(layer, Upsample):
            steps.append(_convolution(layer, Scale(up=2)))
        elif isinstance(layer, Downsample | nn.AvgPool2d):
            steps.append(_convolution(layer, Scale(down=2)))
    return steps


def _convolution(convolution: Callable[[Tensor], Tensor], scale: Scale = SAME_SIZE) -> Step:
    def run(stream: Tensor, _: Tensor) -> tuple[Tensor, Tensor]:
        stream = convolution(stream)
        return stream, stream

    return Step(run, scale=scale)


def _halves(block: ResidualBlock) -> tuple[Step, Step]:
    def first(stream: Tensor, normed: Tensor) -> tuple[Tensor, Tensor]:
        return stream, block.conv1(F.silu(normed))

    def second(stream: Tensor, normed: Tensor) -> tuple[Tensor, Tensor]:
        stream = block.join(stream, block.conv2(F.silu(normed)))
        return stream, stream

    return Step(first, block.norm1), Step(second, block.norm2)
