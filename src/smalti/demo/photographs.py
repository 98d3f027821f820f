"""Writes the colour photographs that come with scikit-image."""

from pathlib import Path

from PIL import Image

from smalti.files import atomic_file

NAMES = ("astronaut", "chelsea", "coffee", "rocket", "hubble_deep_field", "retina", "motorcycle")
SHORTER_SIDE_PX = 192


def write_photographs(folder: Path) -> list[Path]:
    """Write the photographs as PNG, shrunk, and return their paths; files that exist stay.

    Raises:
        InputError: the disk is full or the folder cannot be written.
    """
    files = []
    for name in NAMES:
        file = folder / f"{name}.png"
        if not file.is_file():
            with atomic_file(file) as path:
                _photograph(name).save(path)
        files.append(file)
    return files


def _photograph(name: str) -> Image.Image:
    from skimage import data

    # The motorcycle is one of a stereo pair, and not under a name of its own.
    photograph = getattr(data, "stereo_motorcycle" if name == "motorcycle" else name)()
    picture = Image.fromarray(
        photograph[0] if isinstance(photograph, tuple) else photograph
    ).convert("RGB")
    scale = SHORTER_SIDE_PX / min(picture.size)
    size = round(picture.width * scale), round(picture.height * scale)
    return picture.resize(size, Image.Resampling.BICUBIC)
