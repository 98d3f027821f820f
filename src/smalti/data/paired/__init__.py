"""Paired data: what goes with an image and tells of it. One kind per file.

Importing this package registers them all.
"""

from smalti.data.paired.base import PAIRED, FilePair, MadePair, Paired
from smalti.data.paired.companions import pairings_of
from smalti.data.paired.coordinate_map import CoordinateMapPair, whole_coordinate_map
from smalti.data.paired.coordinates import CoordinatesPair, PictureRoom, picture_room
from smalti.data.paired.depth import DepthPair
from smalti.data.paired.edges import EdgesPair
from smalti.data.paired.joint_sides import joint_sides
from smalti.data.paired.keypoints import KeypointsPair
from smalti.data.paired.low_resolution import LowResolutionPair
from smalti.data.paired.matching import Pairing, Partners, describe
from smalti.data.paired.segmentation import SegmentationPair

__all__ = [
    "PAIRED",
    "CoordinateMapPair",
    "CoordinatesPair",
    "DepthPair",
    "EdgesPair",
    "FilePair",
    "KeypointsPair",
    "LowResolutionPair",
    "MadePair",
    "Paired",
    "Pairing",
    "Partners",
    "PictureRoom",
    "SegmentationPair",
    "describe",
    "joint_sides",
    "pairings_of",
    "picture_room",
    "whole_coordinate_map",
]
