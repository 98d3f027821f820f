"""VGG16 up to its last convolution, whose features LPIPS compares, and where its weights are.

The weights (trained on ImageNet, BSD-3) are not part of the package: they come from a file that
the user names, or from a download.

Axes: B batch, C channels, H/W image size in pixels, h/w size of a feature map.
Reference: Simonyan and Zisserman 2014, arXiv:1409.1556, Table 1, column D.
"""

import os
from pathlib import Path

from torch import Tensor, nn

from smalti.config import InputError
from smalti.paths import expand
from smalti.published_weights import download, download_path, load_weights

VGG_URL = "https://download.pytorch.org/models/vgg16-397923af.pth"
VGG_SHA256_PREFIX = "397923af"
VGG_VARIABLE = "SMALTI_VGG_WEIGHTS"
HOW_TO_GET = (
    "name a file with --loss.perceptual.vgg-weights or the environment variable "
    f"{VGG_VARIABLE}, or download it (528 MB) with: python -c "
    "'from smalti.losses.vgg import download_vgg_weights; download_vgg_weights()'"
)

STAGES = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))


class VGG16(nn.Module):
    """The convolutions of VGG16, with torchvision's and timm's names, `features.N.weight`."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels_in = 3
        for stage in STAGES:
            for channels in stage:
                layers += [nn.Conv2d(channels_in, channels, 3, padding=1), nn.ReLU(inplace=True)]
                channels_in = channels
            layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers[:-1])

    def forward(self, images: Tensor) -> list[Tensor]:
        """Compute the features at the end of each stage, relu1_2 to relu5_3.

        Args:
            images: (B, 3, H, W) float32, scaled as in training.

        Returns:
            Five feature maps (B, C, h, w) float32 >= 0, with strides 1, 2, 4, 8, 16.
        """
        maps, features = [], images
        for layer in self.features:
            if isinstance(layer, nn.MaxPool2d):
                maps.append(features)
            features = layer(features)
        return [*maps, features]


def find_vgg_weights(path: Path | None) -> Path | None:
    """Find VGG16's weights: the file `path`, else the environment variable's, else torch's cache.

    Returns:
        None if there is none of the three.

    Raises:
        InputError: the named file does not exist.
    """
    named = path or os.environ.get(VGG_VARIABLE)
    if named:
        named = expand(named)
        if not Path(named).is_file():
            raise InputError(f"VGG16 weights {named} do not exist; {HOW_TO_GET}")
        return Path(named)
    cached = download_path(VGG_URL)
    return cached if cached.is_file() else None


def download_vgg_weights(url: str = VGG_URL, sha256_prefix: str = VGG_SHA256_PREFIX) -> Path:
    """Fetch torchvision's VGG16 weights into torch's download cache, where they are found.

    Args:
        url: address of the file; `file://` works too.
        sha256_prefix: how the file's SHA-256 must begin; another file is deleted.

    Raises:
        InputError: there is no connection, the file is another, or it cannot be written.
    """
    path = download_path(VGG_URL)
    download(url, path, sha256_prefix, "VGG16 weights")
    return path


def load_vgg(path: Path) -> VGG16:
    """Load VGG16 with the weights of a .pth or .safetensors file, frozen, on the CPU.

    Raises:
        InputError: the file is damaged or holds another network.
    """
    trunk = VGG16()
    load_weights(trunk, path, "VGG16")
    return trunk.requires_grad_(False)
