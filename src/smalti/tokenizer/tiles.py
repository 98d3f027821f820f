"""Decoding and encoding tile by tile, in memory that hardly grows with the image.

Non-local blocks need the whole map: the decoder runs whole up to the last of them, the encoder from
the first of them on; by default they stand at the resolution of the codes only. What lies between
them and the image sees a neighbourhood of each pixel, and runs on one tile after another, each with
a margin as wide as the convolutions look. Only the statistics of GroupNorm are of the whole map:
they are gathered norm after norm, in one pass over the tiles each, which ends at that norm.

Memory is that of the maps at the non-local blocks and of one tile. Time is about half as many
passes as there are norms on the tiles' side of those blocks, and the margins' share more.

Axes: B batch, C channels, H/W size of a map at some resolution, G groups of a norm.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from smalti.tokenizer.decoder import ConvolutionalDecoder
from smalti.tokenizer.encoder import ConvolutionalEncoder
from smalti.tokenizer.tile_steps import (
    Scale,
    Step,
    decoding_steps,
    encoding_steps,
    global_features,
    global_latent,
)


class Box(NamedTuple):
    """A rectangle of a map: the rows from `top` to before `bottom`, and columns likewise."""

    top: int
    bottom: int
    left: int
    right: int

    def widened(self, margin: int, around: "Box") -> "Box":
        """The rectangle with a margin on each side, as far as that lies in the box `around`."""
        return Box(
            max(self.top - margin, around.top),
            min(self.bottom + margin, around.bottom),
            max(self.left - margin, around.left),
            min(self.right + margin, around.right),
        )

    def scaled(self, scale: Scale) -> "Box":
        """The rectangle in the coordinates of a map whose resolution is `scale` times as high."""
        return Box(*(scale.up * side // scale.down for side in self))

    def cut(self, features: Tensor, top: int = 0, left: int = 0) -> Tensor:
        """This rectangle of features (..., H, W), a view; their first pixel is at (top, left)."""
        rows = slice(self.top - top, self.bottom - top)
        return features[..., rows, self.left - left : self.right - left]


class _Statistics(NamedTuple):
    """A GroupNorm of known mean and variance, as features * scale + shift."""

    scale: Tensor
    """(B, C, 1, 1) float32."""
    shift: Tensor
    """(B, C, 1, 1) float32."""

    def apply(self, features: Tensor) -> Tensor:
        """Normalise features (B, C, H, W); the result has their dtype."""
        wide = features.to(self.scale.dtype)
        return torch.addcmul(self.shift, wide, self.scale).to(features.dtype)


def decoded_tiles(
    decoder: ConvolutionalDecoder, z_q: Tensor, tile: int
) -> Iterator[tuple[Box, Tensor]]:
    """Decode a latent tile by tile.

    Args:
        decoder: its mode and weights are not touched.
        z_q: (B, latent_channels, h, w) floating point.
        tile: side of the tiles in cells of z_q, at least 1.

    Yields:
        A rectangle of the outputs, and the outputs there, (B, C, its height, its width). Together
        they are `decoder(z_q)`.
    """
    features = global_features(decoder, z_q)
    factor = features.shape[-1] // z_q.shape[-1]
    tiled = _Tiled(features, decoding_steps(decoder), tile * factor)
    tiled.gather_statistics()
    yield from tiled.outputs()


def encoded_in_tiles(
    encoder: ConvolutionalEncoder, images: Tensor, to_input: Callable[[Tensor], Tensor], tile: int
) -> Tensor:
    """Encode images tile by tile.

    Args:
        encoder: its mode and weights are not touched.
        images: (B, ..., H, W), whose sides the encoder's factor divides.
        to_input: makes (B, C, H, W) floating point of them, pixel by pixel.
        tile: side of the tiles in pixels, a multiple of that factor.

    Returns:
        (B, latent_channels, h, w), what `encoder(to_input(images))` gives.
    """
    tiled = _Tiled(images, encoding_steps(encoder, to_input), tile)
    tiled.gather_statistics()
    size = tiled.result.bottom, tiled.result.right
    features = None
    for box, outputs in tiled.outputs():
        if features is None:
            features = outputs.new_empty(*outputs.shape[:2], *size)
        box.cut(features).copy_(outputs)
    assert features is not None, "an image has a tile"
    return global_latent(encoder, features)


class _Tiled:
    """Steps that run on the tiles of a map.

    Args:
        features: (B, ..., H, W), the whole map that the first step sees.
        steps: in order; the branch of the last one is the outputs.
        tile: side of the tiles in pixels of that map.
    """

    def __init__(self, features: Tensor, steps: Sequence[Step], tile: int) -> None:
        self.features = features
        self.steps = steps
        self.margins = _margins(steps)
        self.statistics: list[_Statistics] = []
        height, width = features.shape[-2:]
        self.whole = Box(0, height, 0, width)
        self.result = self.whole
        for step in steps:
            self.result = self.result.scaled(step.scale)
        self.tiles = [
            Box(top, min(top + tile, height), left, min(left + tile, width))
            for top in range(0, height, tile)
            for left in range(0, width, tile)
        ]

    def gather_statistics(self) -> None:
        """Compute the statistics of each norm, from the first to the last."""
        for norm in (step.norm for step in self.steps):
            if norm is None:
                continue
            moments = _Moments(norm)
            for tile in self.tiles:
                moments.add(self._run(tile)[1])
            self.statistics.append(moments.statistics(self.features.device))

    def outputs(self) -> Iterator[tuple[Box, Tensor]]:
        """Each tile's rectangle of the result, and the last step's outputs there."""
        for tile in self.tiles:
            yield self._run(tile)

    def _run(self, tile: Box) -> tuple[Box, Tensor]:
        """A tile's input to the first norm without statistics, or the last step's outputs."""
        inner, whole = tile, self.whole
        around = inner.widened(self.margins[0], whole)
        stream = branch = around.cut(self.features)
        statistics = iter(self.statistics)
        for step, margin in zip(self.steps, self.margins[1:], strict=True):
            if step.norm is not None:
                known = next(statistics, None)
                if known is None:
                    break
                branch = known.apply(branch)
            stream, branch = step.run(stream, branch)
            inner, whole, around = (box.scaled(step.scale) for box in (inner, whole, around))
            # The convolution has seen zeros beyond the margin: what they spoilt is cut off.
            valid = inner.widened(margin, whole)
            stream, branch = (valid.cut(map_, around.top, around.left) for map_ in (stream, branch))
            around = valid
        return inner, inner.cut(branch, around.top, around.left)


class _Moments:
    """Mean and variance of a norm's groups over all tiles, summed in float64 on the CPU."""

    def __init__(self, norm: nn.GroupNorm) -> None:
        self.norm = norm
        self.count = 0
        self.sums: Tensor | float = 0.0  # (B, G) float64, as are the squares
        self.squares: Tensor | float = 0.0

    def add(self, features: Tensor) -> None:
        """Add features (B, C, H, W) of a tile without its margin."""
        groups = features.reshape(len(features), self.norm.num_groups, -1)
        wide = groups.to(torch.promote_types(groups.dtype, torch.float32))
        variance, mean = (moment.cpu().double() for moment in torch.var_mean(wide, 2, correction=0))
        self.count += groups.shape[2]
        self.sums = self.sums + groups.shape[2] * mean
        self.squares = self.squares + groups.shape[2] * (variance + mean.square())

    def statistics(self, device: torch.device) -> _Statistics:
        """The norm as scale and shift; call it when all tiles have been added."""
        assert isinstance(self.sums, Tensor)
        assert isinstance(self.squares, Tensor)
        mean = self.sums / self.count
        variance = (self.squares / self.count - mean.square()).clamp(min=0)
        channels = self.norm.num_channels // self.norm.num_groups
        weight, bias = self.norm.weight.cpu().double(), self.norm.bias.cpu().double()
        scale = weight * (variance + self.norm.eps).rsqrt().repeat_interleave(channels, 1)
        shift = bias - mean.repeat_interleave(channels, 1) * scale
        dtype = torch.promote_types(self.norm.weight.dtype, torch.float32)
        return _Statistics(*(term.to(device, dtype)[..., None, None] for term in (scale, shift)))


def _margins(steps: Sequence[Step]) -> list[int]:
    """Pixels around a tile that the outputs depend on, before each step; 0 behind the last step.

    A step looks one pixel far at the resolution of its result.
    """
    margins = [0]
    for step in reversed(steps):
        margins.insert(0, step.scale.margin(margins[0]))
    return margins
