"""A label map beside each image: (H, W) int64.

Reference: arXiv:2012.09841, Sec. 4.2: semantic image synthesis.
"""

from smalti.content import LabelsContent
from smalti.data.pairing.base import PAIRED
from smalti.data.pairing.map_pair import MapPair


@PAIRED.register("segmentation")
class SegmentationPair(MapPair):
    """Label maps in `segmentations/` or a column `segmentation`: (H, W) int64.

    Args:
        content: their number of classes, and which label is ignored.
    """

    kind = "segmentation"
    part = LabelsContent.part

    def __init__(self, content: LabelsContent) -> None:
        super().__init__(content)
