"""What is checked of label and depth maps before training meets them."""

import logging

from smalti.data.dataset import ImageDataset
from smalti.data.decode import BrokenImageError, ImageHeader, read_header
from smalti.data.sources.base import ImageSource
from smalti.data.sources.parts import scene
from smalti.data.summary import looked_at
from smalti.types import InputError

logger = logging.getLogger(__name__)


def check_maps(dataset: ImageDataset) -> None:
    """Decode the maps of a data set, so that one of another kind is found before training.

    Of more than `MAX_HEADERS`, as many at even distances are looked at; photographs are not.

    Raises:
        InputError: a map has colours, or a label that is no class.
    """
    if dataset.content.part == "images":
        return
    for index in looked_at(len(dataset)):
        dataset.load_center(index)


def check_sizes_beside(maps: ImageSource, images: ImageSource) -> None:
    """Compare the sizes of maps with those of the photographs of the same scenes.

    Of more than `MAX_HEADERS` maps, as many at even distances are looked at. Maps without a
    photograph are counted in the log.

    Raises:
        InputError: two sizes differ.
    """
    positions = {scene(images, index): index for index in range(len(images))}
    scenes = [scene(maps, index) for index in range(len(maps))]
    alone = sum(name not in positions for name in scenes)
    if alone:
        logger.warning("%d of %d maps have no image of the same name", alone, len(maps))
    for index in looked_at(len(maps)):
        if scenes[index] in positions:
            _check_same_size(maps, index, images, positions[scenes[index]])


def _check_same_size(maps: ImageSource, index: int, images: ImageSource, position: int) -> None:
    try:
        map_header, image_header = _header(maps, index), _header(images, position)
    except BrokenImageError:
        return  # named and skipped when it is read
    size, image_size = _upright_size(map_header), _upright_size(image_header)
    if size != image_size:
        raise InputError(
            f"{maps.key(index)} is {size}, but its image {images.key(position)} is {image_size} "
            "pixels; both must have the same size"
        )


def _header(source: ImageSource, index: int) -> ImageHeader:
    raw = source.read(index)
    return read_header(raw.content, raw.key)


def _upright_size(header: ImageHeader) -> str:
    sides = (header.width_px, header.height_px)
    width, height = reversed(sides) if header.is_turned else sides
    return f"{width}x{height}"
