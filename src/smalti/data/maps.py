"""Checks of label and depth maps before training meets them."""

import logging

from smalti.data.dataset import ImageDataset
from smalti.data.decode import BrokenImageError
from smalti.data.order import numbers_to_check
from smalti.data.pairing.companions import decoded_over
from smalti.data.sources.base import ImageSource
from smalti.data.sources.parts import scene
from smalti.data.upright import how_map_lies

logger = logging.getLogger(__name__)


def check_maps(dataset: ImageDataset) -> None:
    """Decode the maps and paired files of a data set, to find those of another kind in time.

    Of more than `MOST_IMAGES_CHECKED` images, that many at even distances are checked. Photographs
    are not decoded.

    Raises:
        InputError: a map has colours, a label that is no class, or another size than its image; or
            keypoints have other joints.
    """
    for index in numbers_to_check(len(dataset)):
        if dataset.content.part != "images":
            dataset.load_center(index)
        elif dataset.pairing:
            _check_partners(dataset, index)


def check_sizes_beside(maps: ImageSource, images: ImageSource) -> None:
    """Compare the sizes of maps with those of the photographs of the same scenes.

    Of more than `MOST_IMAGES_CHECKED` maps, that many at even distances are checked. The log tells
    how many maps have no photograph.

    Raises:
        InputError: two sizes differ.
    """
    positions = {scene(images, index): index for index in range(len(images))}
    scenes = [scene(maps, index) for index in range(len(maps))]
    alone = sum(name not in positions for name in scenes)
    if alone:
        logger.warning("%d of %d maps have no image of the same name", alone, len(maps))
    for index in numbers_to_check(len(maps)):
        if scenes[index] in positions:
            _check_size_beside(maps, index, images, positions[scenes[index]])


def _check_partners(dataset: ImageDataset, index: int) -> None:
    """Decode the files that are paired with an image, and read its header."""
    try:
        image = dataset.raw(index)
        size = image.header().size
        for pair, raw in dataset.partners(index):
            decoded_over(pair, raw, image, size)
    except BrokenImageError:
        return  # named and skipped when it is read


def _check_size_beside(maps: ImageSource, index: int, images: ImageSource, position: int) -> None:
    try:
        raw, image = maps.read(index), images.read(position)
        size, header = raw.header().size, image.header()
    except BrokenImageError:
        return  # named and skipped when it is read
    how_map_lies(size, header.size, header.orientation, raw.key, image.key)
