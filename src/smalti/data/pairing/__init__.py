"""Data that is read with each image of a data set, such as its label map; see `smalti.conditions`.

This folder does not know which kinds there are.
"""

from smalti.data.pairing.base import FilePair, MadePair, Paired, require_photographs
from smalti.data.pairing.matching import Pairing, Partners, describe, match, open_beside

__all__ = [
    "FilePair",
    "MadePair",
    "Paired",
    "Pairing",
    "Partners",
    "describe",
    "match",
    "open_beside",
    "require_photographs",
]
