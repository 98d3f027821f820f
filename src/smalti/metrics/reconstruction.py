"""Metrics of how close reconstructions are to their images, pixel by pixel.

Axes: B batch, C channels, H/W image size in pixels.
"""

import math

from torch import Tensor

from smalti.config import InputError

WIDTH_OF_RANGE = 2.0  # images are in [-1, 1]
# Rounding to 8 bits leaves an error that is uniform over a step, whose mean square is a twelfth of
# the step's. A picture on disk or on a screen shows no difference that is smaller.
HIGHEST_PSNR_DB = 10 * math.log10(12 * 255**2)
SMALLEST_SSIM_PX = 11  # SSIM's Gaussian window


def psnr(images: Tensor, reconstructions: Tensor) -> Tensor:
    """Peak signal-to-noise ratio of each reconstruction.

    Args:
        images: (B, C, H, W) floating point in [-1, 1].
        reconstructions: the same shape; values outside [-1, 1] are clipped, as a picture's are.

    Returns:
        (B,) float32 in decibels, at most 58.92: a mean squared error below that of rounding to 8
        bits counts as that one, so that a single image which is reconstructed exactly does not
        make an average infinite. Average it over images: the ratio of the averaged error is
        another number, dominated by the worst images.
    """
    # torchmetrics takes seconds to import, and only evaluation needs it.
    from torchmetrics.functional.image.psnr import peak_signal_noise_ratio

    ratios: Tensor = peak_signal_noise_ratio(
        reconstructions.float().clamp(-1.0, 1.0),
        images.float(),
        data_range=WIDTH_OF_RANGE,
        reduction="none",
        dim=(1, 2, 3),
    )
    return ratios.clamp(max=HIGHEST_PSNR_DB)


def ssim(images: Tensor, reconstructions: Tensor) -> Tensor:
    """Structural similarity of each reconstruction.

    Args:
        images: (B, C, H, W) floating point in [-1, 1], at least 11x11 pixels.
        reconstructions: the same shape; values outside [-1, 1] are clipped.

    Returns:
        (B,) float32 in [-1, 1], 1 for equal images.

    Raises:
        InputError: the images are smaller than SSIM's window.

    Reference: Wang et al. 2004, "Image quality assessment", Sec. III-B; Gaussian window of
        deviation 1.5, K1 = 0.01, K2 = 0.03, averaged over the colour channels; borders reflect.
    """
    from torchmetrics.functional.image.ssim import structural_similarity_index_measure

    height, width = images.shape[-2:]
    if min(height, width) < SMALLEST_SSIM_PX:
        raise InputError(
            f"SSIM needs images of at least {SMALLEST_SSIM_PX}x{SMALLEST_SSIM_PX} pixels, "
            f"got {height}x{width}"
        )
    # Its luminance term compares means, and is defined for intensities from 0 up.
    similarities = structural_similarity_index_measure(
        reconstructions.float().clamp(-1.0, 1.0) + 1.0,
        images.float() + 1.0,
        data_range=WIDTH_OF_RANGE,
        reduction="none",
    )
    assert isinstance(similarities, Tensor)
    return similarities
