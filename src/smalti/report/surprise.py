"""Draws surprise maps, which show where in an image the codes are unlikely under a prior.

Axes: H/W grid of codes.
"""

import math
from pathlib import Path

from PIL import Image
from torch import Tensor

from smalti.files import atomic_file

COLOURS = "magma"
"""Colour map from dark to bright, also for people who do not tell red from green."""
SIDE_INCHES, DPI = 4.2, 120


def draw_surprise(
    picture: Image.Image, bits: Tensor, highest: float, codebook_size: int, name: str, path: Path
) -> None:
    """Write a picture, with its name as the title, beside the map of its surprise as a PNG.

    Args:
        picture: the RGB picture of the codes.
        bits: (H, W) bits of each code.
        highest: bits of the brightest colour, the same for all pictures that are compared.
        codebook_size: K; its logarithm is the bits of a code that is as likely as all others.
        name: title of the picture.
        path: the PNG.
    """
    from matplotlib.figure import Figure  # takes a second to import

    shape = min(max(picture.width / picture.height, 0.6), 2.0)  # beyond, there are margins
    wide, high = SIDE_INCHES * shape, SIDE_INCHES
    figure = Figure(figsize=(2 * wide + 1.2, high + 0.6), layout="constrained")
    shown, surprise = figure.subplots(1, 2)
    shown.imshow(picture)
    shown.set_title(name, fontsize=9)
    drawn = surprise.imshow(
        bits.numpy(),
        cmap=COLOURS,
        vmin=0,
        vmax=highest,
        extent=(0, picture.width, picture.height, 0),
    )
    surprise.set_title(f"{float(bits.mean()):.2f} bits a code", fontsize=9)
    for axes in (shown, surprise):
        axes.set_axis_off()
    bar = figure.colorbar(drawn, ax=surprise, shrink=0.9)
    bar.set_label("bits a code (line: knowing nothing)", fontsize=8)
    bar.ax.tick_params(labelsize=8)
    bar.ax.axhline(math.log2(codebook_size), color="white", linewidth=1.5)
    with atomic_file(path) as temporary:
        figure.savefig(temporary, dpi=DPI)
