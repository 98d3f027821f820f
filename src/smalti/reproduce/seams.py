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
    """Crops of the window's size whose middle lies on a vertical seam, or the windows themselves.

    Args:
        images: (B, 3, H, W) float32; both sides are multiples of the window, W at least twice it.
        window_px: side of the window in pixels, even.
        is_across: whether the crops lie across the seams.

    Returns:
        (N, 3, window, window), the same number for either.
    """
    start = window_px // 2 if is_across else 0
    tops = range(0, images.shape[2], window_px)
    lefts = range(start, start + images.shape[3] - window_px, window_px)
    return torch.cat(
        [
            images[:, :, top : top + window_px, left : left + window_px]
            for top in tops
            for left in lefts
        ]
    )


def side_by_side(codes: Tensor, rows: int, columns: int) -> Tensor:
    """Put windows that were drawn independently side by side.

    Args:
        codes: (B * rows * columns, h, w) int64.
        rows: windows of a column of each picture.
        columns: windows of a row.

    Returns:
        (B, rows * h, columns * w) int64.
    """
    height, width = codes.shape[1:]
    tiles = codes.view(-1, rows, columns, height, width).transpose(2, 3)
    return tiles.reshape(-1, rows * height, columns * width)
