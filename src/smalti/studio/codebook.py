"""What the tab *Codes* shows of a tokenizer: codes of pictures, their decoding, and its codebook.

Axes: h/w grid of codes, K codebook size, D code dimension, f down-sampling factor.
"""

import base64
import io
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import torch
from PIL import Image
from torch import Tensor

from smalti.config import InputError
from smalti.content_images import content_images
from smalti.data.readers import Reader, reader_of
from smalti.studio.worker import Job
from smalti.tokenizer.base import Tokenizer
from smalti.tokenizer.convolutional import ConvolutionalTokenizer
from smalti.tokenizer.load import load_tokenizer
from smalti.tokenizer.pixels import PixelTokenizer
from smalti.training.vqgan.codebook_picture import decode_alone

SWATCH_PX = 16
"""Side of a swatch, the picture of a code decoded alone."""
SWATCH_SECONDS = 0.5
"""Time after which a request for swatches ends, so that other jobs get their turn."""
DECODED_AT_ONCE = 4
"""Swatches that are decoded between two looks at the time."""
MOST_SWATCHES = 512
"""Swatches of a request."""
MOST_CODES = 2**14
"""Codes of a codebook that a page can show whole."""
CELLS = 32
"""Codes along the longer side of a picture, unless it would be very small or large then."""
SHORTEST_PX, LONGEST_PX = 128, 512
"""Limits of the longer side of a picture."""
MOST_CELLS = 2**14
"""Codes of a grid that a page may ask to decode."""


@dataclass(frozen=True, slots=True)
class Encoded:
    """A picture, its codes, and what they give back."""

    picture: Image.Image
    codes: Tensor
    """(h, w) int64 in [0, K), on the CPU."""
    reconstruction: Image.Image


class Codebook:
    """A tokenizer with the swatches of its codes, each decoded once.

    Args:
        tokenizer: on the device, in eval mode.
        device: on which it computes.
    """

    def __init__(self, tokenizer: Tokenizer, device: torch.device) -> None:
        self.tokenizer, self._device = tokenizer, device
        self._images = content_images(tokenizer.content)
        self._swatches: dict[int, Image.Image] = {}

    @classmethod
    def load(cls, path: Path, device: torch.device) -> Self:
        """Load the tokenizer of a run or folder, whose whole codebook will be shown.

        Raises:
            InputError: there is none, it is damaged, or it has too many codes.
        """
        tokenizer = load_tokenizer(path)
        if tokenizer.codebook_size > MOST_CODES:
            raise InputError(
                f"the codebook has {tokenizer.codebook_size:,} codes; at most {MOST_CODES:,} can "
                "be shown"
            )
        return cls(tokenizer.to(device), device)

    @property
    def reader(self) -> Reader:
        """Reads the files of pictures that the tokenizer takes."""
        return reader_of(self.tokenizer.content)

    @property
    def longest_px(self) -> int:
        """The longer side to which larger pictures are shrunk."""
        return max(SHORTEST_PX, min(LONGEST_PX, CELLS * self.tokenizer.downsampling_factor))

    def facts(self) -> dict[str, object]:
        """What a page needs to know of the tokenizer."""
        return {
            "codebook_size": self.tokenizer.codebook_size,
            "downsampling_factor": self.tokenizer.downsampling_factor,
            "content": self.tokenizer.content.kind,
            "longest_px": self.longest_px,
            "most_swatches": MOST_SWATCHES,
        }

    def swatches(self, codes: object, job: Job) -> dict[int, Image.Image]:
        """Swatches by code: those that are known, and of the others what a moment allows.

        Args:
            codes: a list of codes that a page sent, those first that it needs most.
            job: is asked whether they are still wanted.

        Raises:
            InputError: it is no list of codes, or too long.
        """
        if not isinstance(codes, list) or not 0 < len(codes) <= MOST_SWATCHES:
            raise InputError(f"codes must be a list of 1 to {MOST_SWATCHES} numbers")
        for code in codes:
            self._check_code(code)
        self._decode_swatches([code for code in codes if code not in self._swatches], job)
        return {code: self._swatches[code] for code in codes if code in self._swatches}

    def _decode_swatches(self, codes: list[int], job: Job) -> None:
        """Decode swatches until the time is over, but some in any case."""
        end = time.monotonic() + SWATCH_SECONDS
        left = iter(codes)
        wanted = torch.tensor(codes, dtype=torch.int64, device=self._device)
        for images in decode_alone(self.tokenizer, wanted, DECODED_AT_ONCE) if codes else ():
            for image, code in zip(images, left, strict=False):
                self._swatches[code] = _resized(self._images.draw(image))
            job.check()
            if time.monotonic() > end:
                return

    def encode(self, picture: Image.Image) -> Encoded:
        """Encode a picture that the reader decoded, cropped to whole codes.

        Raises:
            InputError: it is smaller than a code.
        """
        f = self.tokenizer.downsampling_factor
        width, height = (side - side % f for side in picture.size)
        if not width or not height:
            raise InputError(
                f"the picture has {picture.height}x{picture.width} pixels, less than the {f}x{f} "
                "of a code"
            )
        left, top = (picture.width - width) // 2, (picture.height - height) // 2
        cropped = picture.crop((left, top, left + width, top + height))
        image = self.reader.to_image(cropped)
        codes = self.codes_of(image)
        return Encoded(self.picture_of(image), codes, self.drawn(codes[None]))

    def codes_of(self, image: Tensor) -> Tensor:
        """Codes (h, w) on the CPU of an image of the tokenizer's content; f divides its sides."""
        return self.tokenizer.encode(image[None].to(self._device))[0].cpu()

    def picture_of(self, image: Tensor) -> Image.Image:
        """An image of the tokenizer's content as a picture to look at."""
        return self._images.draw(image)

    def decode(self, rows: object) -> Image.Image:
        """Decode a grid of codes that a page sent, a list of lists of numbers.

        Raises:
            InputError: it is no grid of codes, or too large.
        """
        codes = torch.tensor(self._checked_grid(rows), device=self._device)
        return self.drawn(codes[None])

    def drawn(self, codes: Tensor) -> Image.Image:
        """Decode codes (1, h, w) into a picture to look at."""
        return self._images.draw(self.tokenizer.decode(codes.to(self._device))[0])

    def _checked_grid(self, rows: object) -> Sequence[Sequence[int]]:
        if not isinstance(rows, list) or not all(isinstance(row, list) for row in rows):
            raise InputError("codes must be a list of lists of numbers")
        widths = {len(row) for row in rows}
        if len(widths) != 1 or 0 in widths:
            raise InputError("the rows of codes must be of one length, and not empty")
        if len(rows) * len(rows[0]) > MOST_CELLS:
            size = f"{len(rows)}x{len(rows[0])}"
            raise InputError(f"the grid has {size} codes; allowed are {MOST_CELLS:,} in all")
        for row in rows:
            for code in row:
                self._check_code(code)
        return rows

    def by_likeness(self, code: int) -> list[int]:
        """All codes, those first whose vectors lie next to that of a code.

        Raises:
            InputError: there is no such code.
        """
        self._check_code(code)
        vectors = self._vectors()
        distances = (vectors - vectors[code]).square().sum(1)
        distances[code] = -1  # before another with the same vector
        return distances.argsort(stable=True).tolist()

    @torch.no_grad()
    def _vectors(self) -> Tensor:
        """The vectors of all codes (K, D), or the colours of a palette."""
        if isinstance(self.tokenizer, PixelTokenizer):
            return self.tokenizer.palette
        assert isinstance(self.tokenizer, ConvolutionalTokenizer), "all other kinds are"
        codes = torch.arange(self.tokenizer.codebook_size, device=self._device)
        return self.tokenizer.quantizer.embed(codes[None, None])[0, :, 0].T.float()

    def _check_code(self, code: object) -> None:
        most = self.tokenizer.codebook_size - 1
        if not isinstance(code, int) or isinstance(code, bool) or not 0 <= code <= most:
            raise InputError(f"a code is a whole number from 0 to {most}, got {code!r}")


def _resized(tile: Image.Image) -> Image.Image:
    kernel = Image.Resampling.NEAREST if tile.width < SWATCH_PX else Image.Resampling.BOX
    return tile.resize((SWATCH_PX, SWATCH_PX), kernel)


def strip(pictures: Sequence[Image.Image]) -> Image.Image:
    """Put pictures of one size side by side."""
    width, height = pictures[0].size
    whole = Image.new("RGB", (width * len(pictures), height))
    for number, picture in enumerate(pictures):
        whole.paste(picture, (number * width, 0))
    return whole


def data_url(picture: Image.Image) -> str:
    """A picture as an address that holds it, for a page."""
    written = io.BytesIO()
    picture.save(written, "PNG")
    return "data:image/png;base64," + base64.b64encode(written.getvalue()).decode("ascii")
