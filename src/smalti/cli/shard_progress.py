"""Shows how far work on many images is."""

import sys
import time
from typing import Self

from tqdm import tqdm

from smalti.distributed import rank

LINE_SECONDS = 30.0
"""Seconds between two lines of progress where there is no terminal."""


class ShardProgress:
    """Shows images a second and the time left: a bar, or lines where there is no terminal.

    Args:
        images: number of images that this process, or its actors, make.
    """

    def __init__(self, images: int) -> None:
        is_bar = sys.stderr.isatty()
        self._bar = tqdm(
            total=images, unit="image", dynamic_ncols=True, disable=not is_bar or rank() > 0
        )
        self._is_bar, self._done, self._total = is_bar, 0, images
        self._started = self._printed = time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *details: object) -> None:
        self._bar.close()

    def advance(self, images: int) -> None:
        """Count images that were made, and say now and then how far it is."""
        self._bar.update(images)
        self._done += images
        now = time.monotonic()
        if self._is_bar or now - self._printed < LINE_SECONDS:
            return
        self._printed = now
        seconds = now - self._started
        left = tqdm.format_interval((self._total - self._done) * seconds / self._done)
        rate = speed(self._done, seconds)
        print(f"{self._done:,} of {self._total:,} images, {rate}, {left} left")


def speed(images: int, seconds: float) -> str:
    """How fast images were made, in words."""
    if images < seconds:
        return f"{seconds / images:.1f} seconds each"
    return f"{images / seconds:.1f} a second"
