"""Pictures that a user names on the command line, as images for a tokenizer."""

from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from smalti.data.decode import BrokenImageError
from smalti.data.readers import Reader
from smalti.data.sources.base import is_image_name
from smalti.data.transforms import TransformConfig, center_transform
from smalti.types import InputError, Sample


def find_pictures(names: Sequence[str]) -> list[Path]:
    """Files for names of files and of folders, whose images (not those of sub-folders) are taken.

    Raises:
        InputError: a name does not exist, or a folder has no images.
    """
    found: list[Path] = []
    for name in names:
        path = Path(name)
        if path.is_dir():
            inside = sorted(p for p in path.iterdir() if p.is_file() and is_image_name(p.name))
            if not inside:
                raise InputError(f"{path} has no images (those of sub-folders do not count)")
            found += inside
        elif path.is_file():
            found.append(path)
        else:
            raise InputError(f"{path} does not exist")
    return found


def check_names(paths: Sequence[Path]) -> None:
    """Refuse pictures of the same name, which one file of codes cannot tell apart.

    Raises:
        InputError: naming the two.
    """
    seen: dict[str, Path] = {}
    for path in paths:
        other = seen.setdefault(path.name, path)
        if other is not path:
            raise InputError(f"{other} and {path} have the same name; encode them apart")


def read_picture(path: Path, reader: Reader) -> Image.Image:
    """A picture, as the reader of its kind decodes it.

    Raises:
        InputError: it cannot be read, or is of another kind.
    """
    try:
        return reader.decode(path.read_bytes(), str(path))
    except BrokenImageError as error:
        raise InputError(str(error)) from error
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error


def load_image(path: Path, transform: TransformConfig | None, reader: Reader) -> Sample:
    """A picture as an image, as it is or resized and cropped.

    Raises:
        InputError: it cannot be read, or is smaller than the crop.
        BrokenImageError: it is smaller than the crop, and such pictures are skipped.
    """
    picture = read_picture(path, reader)
    if transform is None:
        return Sample(str(path), reader.to_image(picture), None)
    return Sample(str(path), center_transform(picture, transform, str(path), reader), None)
