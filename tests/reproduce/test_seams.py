import pytest
import torch

from smalti.reproduce.seams import crops, gradient_energy, seam_ratio, side_by_side


def test_gradients_are_squared_differences_of_neighbours():
    images = torch.tensor([[0.0, 1.0, 3.0], [0.0, 1.0, 3.0]]).expand(1, 3, 2, 3)
    across, down = gradient_energy(images)
    assert across.tolist() == [[[1.0, 4.0], [1.0, 4.0]]]
    assert down.tolist() == [[[0.0, 0.0, 0.0]]]


def stairs(steps: dict[int, float]) -> torch.Tensor:
    """An image of 16x16 pixels whose columns and rows rise by so much at some places."""
    rises = torch.zeros(16)
    for place, height in steps.items():
        rises[place] = height
    line = rises.cumsum(0)
    return (line + line[:, None]).expand(2, 3, 16, 16)


def test_a_seam_is_seen_at_the_borders_of_windows_only():
    # Codes of 4 pixels, windows of 8: one seam at 8, and borders of codes at 4 and 12.
    assert seam_ratio(stairs({4: 1.0, 8: 2.0, 12: 1.0}), 8, 4) == pytest.approx(4.0)
    assert seam_ratio(stairs({4: 1.0, 8: 1.0, 12: 1.0}), 8, 4) == pytest.approx(1.0)
    # Steps within codes do not count.
    assert seam_ratio(stairs({4: 1.0, 7: 9.0, 8: 2.0, 12: 1.0}), 8, 4) == pytest.approx(4.0)


def test_crops_lie_across_seams_or_between_them():
    columns = torch.arange(12.0).expand(1, 3, 4, 12)
    across, windows = crops(columns, 4, is_across=True), crops(columns, 4, is_across=False)
    assert across[:, 0, 0].tolist() == [[2.0, 3.0, 4.0, 5.0], [6.0, 7.0, 8.0, 9.0]]
    assert windows[:, 0, 0].tolist() == [[0.0, 1.0, 2.0, 3.0], [4.0, 5.0, 6.0, 7.0]]


def test_windows_are_put_side_by_side_row_by_row():
    windows = torch.arange(4)[:, None, None].expand(4, 1, 2)
    assert side_by_side(windows, 2, 2).tolist() == [[[0, 0, 1, 1], [2, 2, 3, 3]]]
