"""LPIPS: the perceptual loss of the paper, on VGG16 features weighed by people's judgements.

Axes: B batch, C channels, H/W image size in pixels, h/w size of a feature map.
Reference: Zhang et al. 2018, arXiv:1801.03924, Eq. 1.
"""

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor, nn

from smalti.config import InputError
from smalti.losses.config import PerceptualConfig
from smalti.losses.perceptual import PERCEPTUAL_LOSSES, PerceptualLoss, squared_differences
from smalti.losses.vgg import HOW_TO_GET, STAGES, find_vgg_weights, load_vgg

# Mean and deviation of ImageNet's pixels in [-1, 1], as LPIPS was trained; not those of VGG16's own
# training, from which they differ in the third digit.
IMAGE_MEAN = (-0.030, -0.088, -0.188)
IMAGE_DEVIATION = (0.458, 0.448, 0.450)


class ImageScaling(nn.Module):
    """Scales pixels to about mean 0 and deviation 1."""

    mean: Tensor
    deviation: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(IMAGE_MEAN).view(3, 1, 1))
        self.register_buffer("deviation", torch.tensor(IMAGE_DEVIATION).view(3, 1, 1))

    def forward(self, images: Tensor) -> Tensor:
        """Scale images (B, 3, H, W) float32 in [-1, 1]."""
        return (images - self.mean) / self.deviation


class LPIPSHeads(nn.Module):
    """The learned weight of each channel of each stage."""

    def __init__(self) -> None:
        super().__init__()
        self.stages = nn.ParameterList(nn.Parameter(torch.ones(widths[-1])) for widths in STAGES)

    def forward(self, real: Sequence[Tensor], fake: Sequence[Tensor]) -> Tensor:
        """Compute distances from features.

        Args:
            real: five stages (B, C, h, w) float32, of the images.
            fake: the same of the reconstructions.

        Returns:
            (B,) float32 >= 0: weighed over channels, averaged over positions, summed over stages.
        """
        distances = [
            (difference * weight.view(-1, 1, 1)).sum(1).mean((1, 2))
            for difference, weight in zip(squared_differences(real, fake), self.stages, strict=True)
        ]
        return torch.stack(distances).sum(0)


@PERCEPTUAL_LOSSES.register("lpips")
class LPIPS(PerceptualLoss):
    """Distance of VGG16 features with weights that were fitted to people's judgements of images.

    Deviation: no dropout before the heads; it acts only while they are learned.
    """

    name = "LPIPS (VGG16)"
    smallest_px = 32

    def __init__(self, config: PerceptualConfig) -> None:
        super().__init__()
        path = find_vgg_weights(config.vgg_weights)
        if path is None:
            raise InputError(f"perceptual loss 'lpips' needs the weights of VGG16: {HOW_TO_GET}")
        self.scaling = ImageScaling()
        self.trunk = load_vgg(path)
        self.heads = load_heads()

    def distance(self, images: Tensor, reconstructions: Tensor) -> Tensor:
        """LPIPS of each pair; see `forward`."""
        with torch.no_grad():
            real = self.trunk(self.scaling(images))
        fake = self.trunk(self.scaling(reconstructions))
        return self.heads(real, fake)


def load_heads() -> LPIPSHeads:
    """Load the published heads for VGG16 (BSD-2) from a file in torchmetrics, frozen."""
    # The package is found, not imported: the import takes seconds.
    package = find_spec("torchmetrics")
    assert package is not None, "torchmetrics is a dependency"
    assert package.origin is not None
    path = Path(package.origin).parent / "functional" / "image" / "lpips_models" / "vgg.pth"
    heads = LPIPSHeads()
    heads.load_state_dict(name_heads(torch.load(path, map_location="cpu", weights_only=True)))
    return heads.requires_grad_(False)


def name_heads(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """State dict of `LPIPSHeads` from published tensors, `lin0.model.1.weight` (1, C, 1, 1)."""
    return {f"stages.{i}": tensors[f"lin{i}.model.1.weight"].flatten() for i in range(len(STAGES))}
