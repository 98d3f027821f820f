"""Paired data: what goes with an image and tells of it. One kind per file.

Importing this package registers them all.
"""

from smalti.data.pairing.base import PAIRED, FilePair, MadePair, Paired
from smalti.data.pairing.companions import pairings_of
from smalti.data.pairing.coordinate_map import CoordinateMapPair, whole_coordinate_map
from smalti.data.pairing.coordinates import CoordinatesPair, PictureRoom, picture_room
from smalti.data.pairing.depth import DepthPair
from smalti.data.pairing.edges import EdgesPair
from smalti.data.pairing.joint_sides import joint_sides
from smalti.data.pairing.keypoints import KeypointsPair
from smalti.data.pairing.low_resolution import LowResolutionPair
from smalti.data.pairing.matching import Pairing, Partners, describe
from smalti.data.pairing.segmentation import SegmentationPair

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
