import pytest

from helpers.colours import Colours
from smalti.evaluation.extractors.base import Extractor
from smalti.evaluation.protocol import ImageRecord


@pytest.fixture
def extractor() -> Extractor:
    return Colours.load(None)


@pytest.fixture
def images() -> ImageRecord:
    return ImageRecord(
        source="photos/",
        count=9,
        height_px=4,
        width_px=6,
        crop="centre",
        kernel="bicubic",
        antialias=True,
        fingerprint="a" * 64,
    )
