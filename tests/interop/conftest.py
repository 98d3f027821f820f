"""The released network as plain functions of a state dict, with tiny random tensors for it.

Written after the released code's forward pass, to compare ours with; names of two projects.
"""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

WIDTHS = (32, 32, 64)
BLOCKS = 1
LATENT_CHANNELS = 16
CODE_DIM = 8
TAMING = {
    "down": "encoder.down.{}.block.{}",
    "down_attention": "encoder.down.{}.attn.{}",
    "up": "decoder.up.{}.block.{}",
    "up_attention": "decoder.up.{}.attn.{}",
    "downsample": "encoder.down.{}.downsample.conv",
    "upsample": "decoder.up.{}.upsample.conv",
    "middle": "{}.mid.block_1 {}.mid.attn_1 {}.mid.block_2",
}
LLAMAGEN = {
    "down": "encoder.conv_blocks.{}.res.{}",
    "down_attention": "encoder.conv_blocks.{}.attn.{}",
    "up": "decoder.conv_blocks.{}.res.{}",
    "up_attention": "decoder.conv_blocks.{}.attn.{}",
    "downsample": "encoder.conv_blocks.{}.downsample.conv",
    "upsample": "decoder.conv_blocks.{}.upsample.conv",
    "middle": "{}.mid.0 {}.mid.1 {}.mid.2",
}
LOWEST = len(WIDTHS) - 1


class Network:
    """Both networks of a tokenizer, without a quantizer."""

    def __init__(self, names: dict[str, str]) -> None:
        self.names = names
        self.tensors: dict[str, Tensor] = {}
        # Each function below makes the tensors that it needs when it is first called.
        self.decode(torch.zeros(1, CODE_DIM, 4, 4))
        self.encode(torch.zeros(1, 3, 16, 16))

    def encode(self, images: Tensor) -> Tensor:
        """z (B, D, h, w) of images (B, 3, H, W)."""
        x = self._conv("encoder.conv_in", images, WIDTHS[0])
        for level, width in enumerate(WIDTHS):
            for block in range(BLOCKS):
                x = self._block(self.names["down"].format(level, block), x, width)
                if level == LOWEST:
                    x = self._attention(self.names["down_attention"].format(level, block), x)
            if level < LOWEST:
                name = self.names["downsample"].format(level)
                x = self._conv(name, F.pad(x, (0, 1, 0, 1)), width, stride=2, padding=0)
        x = F.silu(self._norm("encoder.norm_out", self._middle("encoder", x)))
        return self._conv1(
            "quant_conv", self._conv("encoder.conv_out", x, LATENT_CHANNELS), CODE_DIM
        )

    def decode(self, z_q: Tensor) -> Tensor:
        """Outputs (B, 3, H, W) of z_q (B, D, h, w)."""
        x = self._conv1("post_quant_conv", z_q, LATENT_CHANNELS)
        x = self._middle("decoder", self._conv("decoder.conv_in", x, WIDTHS[-1]))
        for run, level in enumerate(range(LOWEST, -1, -1)):
            # Taming numbers these levels by resolution, LlamaGen as they run.
            number = level if self.names is TAMING else run
            for block in range(BLOCKS + 1):
                x = self._block(self.names["up"].format(number, block), x, WIDTHS[level])
                if level == LOWEST:
                    x = self._attention(self.names["up_attention"].format(number, block), x)
            if level > 0:
                x = F.interpolate(x, scale_factor=2.0, mode="nearest")
                x = self._conv(self.names["upsample"].format(number), x, WIDTHS[level])
        return self._conv("decoder.conv_out", F.silu(self._norm("decoder.norm_out", x)), 3)

    def _middle(self, part: str, x: Tensor) -> Tensor:
        first, attention, second = self.names["middle"].format(part, part, part).split()
        x = self._block(first, x, x.shape[1])
        return self._block(second, self._attention(attention, x), x.shape[1])

    def _block(self, name: str, x: Tensor, width: int) -> Tensor:
        change = self._conv(f"{name}.conv1", F.silu(self._norm(f"{name}.norm1", x)), width)
        change = self._conv(f"{name}.conv2", F.silu(self._norm(f"{name}.norm2", change)), width)
        skip = x if x.shape[1] == width else self._conv1(f"{name}.nin_shortcut", x, width)
        return skip + change

    def _attention(self, name: str, x: Tensor) -> Tensor:
        normed = self._norm(f"{name}.norm", x)
        q, k, v = (self._conv1(f"{name}.{part}", normed, x.shape[1]).flatten(2) for part in "qkv")
        scores = torch.einsum("bci,bcj->bij", q, k) / x.shape[1] ** 0.5
        mixed = torch.einsum("bij,bcj->bci", scores.softmax(2), v).view_as(x)
        return x + self._conv1(f"{name}.proj_out", mixed, x.shape[1])

    def _norm(self, name: str, x: Tensor) -> Tensor:
        weight, bias = self._made(name, (x.shape[1],), offset=1.0)
        return F.group_norm(x, 32, weight, bias, eps=1e-6)

    def _conv1(self, name: str, x: Tensor, width: int) -> Tensor:
        return F.conv2d(x, *self._made(name, (width, x.shape[1], 1, 1)))

    def _conv(self, name: str, x: Tensor, width: int, stride: int = 1, padding: int = 1) -> Tensor:
        made = self._made(name, (width, x.shape[1], 3, 3))
        return F.conv2d(x, *made, stride=stride, padding=padding)

    def _made(
        self, name: str, shape: tuple[int, ...], offset: float = 0.0
    ) -> tuple[Tensor, Tensor]:
        if f"{name}.weight" not in self.tensors:
            spread = 0.3 if len(shape) == 1 else (shape[1] * shape[2] * shape[3]) ** -0.5
            self.tensors[f"{name}.weight"] = offset + spread * torch.randn(shape)
            self.tensors[f"{name}.bias"] = 0.1 * torch.randn(shape[0])
        return self.tensors[f"{name}.weight"], self.tensors[f"{name}.bias"]


@pytest.fixture
def taming_network() -> Network:
    """Under the names of taming-transformers, which IBQ has too."""
    return Network(TAMING)


@pytest.fixture
def llamagen_network() -> Network:
    return Network(LLAMAGEN)
