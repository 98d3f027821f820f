"""Seams of images that are larger than the window of their prior.

A picture that was put together of tiles has steep gradients along their borders. The window of a
prior as it was trained ends at each multiple of its width, so there a seam would show.

Axes: B images, H/W size in pixels.
"""

import torch
from torch import Tensor


def gradient_energy(images: Tensor) -> tuple[Tensor, Tensor]:
    """Squared differences of neighbouring pixels, averaged over the channels.

    Args:
        images: (B, 3, H, W) float32.

    Returns:
        (B, H, W - 1) between each column and the next, and (B, H - 1, W) between rows.
    """
    across = images.diff(dim=3).square().mean(1)
    down = images.diff(dim=2).square().mean(1)
    return across, down


def seam_ratio(images: Tensor, window_px: int, cell_px: int) -> float:
    """Gradient energy along the borders of windows, relative to that along other codes' borders.

    1 is no seam. Only borders of codes are compared, as a decoder may leave gradients there.

    Args:
        images: (B, 3, H, W) float32; at least one side is longer than the window.
        window_px: side of the window in pixels.
        cell_px: side of a code in pixels, more than one of which make a window.
    """
    at_seams, elsewhere = [], []
    for energy, axis in zip(gradient_energy(images), (2, 1), strict=True):
        lines = energy.mean(3 - axis).mean(0)  # one number for each border between pixels
        borders = torch.arange(cell_px, len(lines) + 1, cell_px)
        is_seam = borders % window_px == 0
        at_seams.append(lines[borders[is_seam] - 1])
        elsewhere.append(lines[borders[~is_seam] - 1])
    return float(torch.cat(at_seams).mean() / torch.cat(elsewhere).mean())


def crops(images: Tensor, window_px: int, is_across: bool) -> Tensor:
    """Crops of the window's size whose middle lies on a vertical seam, or between two seams.

    Args:
        images: (B, 3, H, W) float32, W at least twice the window and a multiple of it.
        window_px: side of the window in pixels, even.
        is_across: whether the crops lie across the seams, or are the windows themselves.

    Returns:
        (N, 3, window, window): as many of each picture for either, from its upper rows.
    """
    start = window_px // 2 if is_across else 0
    count = images.shape[3] // window_px - 1
    lefts = [start + number * window_px for number in range(count)]
    return torch.cat([images[:, :, :window_px, left : left + window_px] for left in lefts])
