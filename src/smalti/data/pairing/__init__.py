"""Data that is read with each image of a data set: its files, their images, and how each is read.

Which kinds there are is no matter here; see `smalti.conditions`.
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
