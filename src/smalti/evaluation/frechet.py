"""The Frechet distance between images and their reconstructions.

Axes: B batch, H/W image size in pixels.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from smalti.evaluation.measures import Figure, Measure, Reconstructed
from smalti.losses.efficientnet import BLOCKS, HEAD_CHANNELS, EfficientNetLite0, load_efficientnet
from smalti.metrics.frechet import FrechetDistance, frechet_warning

# Shorter side of what the network of the Frechet distance sees. It was trained at 224 pixels; small
# images are enlarged less than that, for at 224 they would take 3.5 times as long as at 128.
SMALLEST_FD_PX, LARGEST_FD_PX = 128, 224


class ReconstructionFD(Measure):
    """Frechet distance between images and their reconstructions, as EfficientNet-Lite0 sees both.

    It is not the FID, whose network is Inception: the two do not compare.

    Args:
        device: where the network runs.
    """

    def __init__(self, device: torch.device) -> None:
        self._network = load_efficientnet().to(device)
        self._distance = FrechetDistance(HEAD_CHANNELS)
        self._seen_px: tuple[int, int] | None = None
        self._images = 0

    def add(self, batch: Reconstructed) -> None:
        """Take the features of images and reconstructions (B, 3, H, W)."""
        self._distance.add_real(fd_features(self._network, batch.images))
        self._distance.add_fake(fd_features(self._network, batch.reconstructions))
        height, width = batch.images.shape[-2:]
        self._seen_px = fd_size(height, width)
        self._images += len(batch.images)

    def figures(self) -> Sequence[Figure]:
        """The distance."""
        assert self._seen_px is not None, "no images were added"
        height, width = self._seen_px
        label = f"reconstruction FD (EfficientNet-Lite0 at {width}x{height})"
        return [Figure("reconstruction_fd", label, self._distance.compute(), "{:.3f}")]

    def warnings(self) -> Sequence[str]:
        """A sentence if there are too few images for the figure to be quoted."""
        warning = frechet_warning(self._images, HEAD_CHANNELS)
        return [warning] if warning else []


def fd_features(network: EfficientNetLite0, images: Tensor) -> Tensor:
    """Features (B, 1280) float32 of the Frechet distance of images (B, 3, H, W) in [-1, 1].

    Computed in float32 also under autocast.
    """
    with torch.autocast(images.device.type, enabled=False):
        seen = F.interpolate(
            images.float(), fd_size(*images.shape[-2:]), mode="bilinear", antialias=True
        )
        return network.pool(network.features(seen, (BLOCKS,))[0])


def fd_size(height: int, width: int) -> tuple[int, int]:
    """Height and width at which the network of the Frechet distance sees an image.

    The shorter side is brought to 128 pixels if it is less, to 224 if it is more; the shape stays.
    """
    shorter = min(height, width)
    wanted = min(max(shorter, SMALLEST_FD_PX), LARGEST_FD_PX)
    return round(height * wanted / shorter), round(width * wanted / shorter)
