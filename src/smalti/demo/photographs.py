"""Writes the colour photographs that come with scikit-image, cut to what is worth learning."""

from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from smalti.files import atomic_folder

SHORTER_SIDE_PX = 192


@dataclass(frozen=True, slots=True)
class Photograph:
    """A photograph of scikit-image, and the part of it that is used."""

    name: str
    """Name of its file here."""
    function: str
    """Function of `skimage.data` that returns it, without a download."""
    box: tuple[int, int, int, int]
    """Left, top, right and bottom of the part in pixels. There is something to see in any crop of
    it: large even surfaces would teach little, and make dull samples."""


PHOTOGRAPHS = (
    Photograph("astronaut", "astronaut", (0, 0, 512, 512)),
    Photograph("chelsea", "chelsea", (40, 0, 451, 300)),
    Photograph("coffee", "coffee", (60, 0, 560, 400)),
    Photograph("motorcycle", "stereo_motorcycle", (130, 70, 741, 480)),
    Photograph("tissue", "immunohistochemistry", (0, 0, 400, 400)),
)


def write_photographs(folder: Path) -> list[Path]:
    """Write the photographs as PNG, shrunk, and return the paths of the PNG files in the folder.

    A folder that is there already, and not empty, stays as it is.

    Raises:
        InputError: the disk is full or the folder cannot be written.
    """
    if not folder.is_dir() or not any(folder.iterdir()):
        with atomic_folder(folder) as temporary:
            for photograph in PHOTOGRAPHS:
                _picture(photograph).save(temporary / f"{photograph.name}.png")
    return sorted(folder.glob("*.png"))


def _picture(photograph: Photograph) -> Image.Image:
    from skimage import data

    pixels = getattr(data, photograph.function)()
    # The motorcycle is one of a stereo pair.
    pixels = pixels[0] if isinstance(pixels, tuple) else pixels
    picture = Image.fromarray(pixels).convert("RGB").crop(photograph.box)
    scale = SHORTER_SIDE_PX / min(picture.size)
    size = round(picture.width * scale), round(picture.height * scale)
    return picture.resize(size, Image.Resampling.BICUBIC)
