"""A depth map beside each image: (1, H, W) float32 in [-1, 1].

Reference: arXiv:2012.09841, Sec. 4.2: depth-to-image.
"""

from smalti.content import DepthContent
from smalti.data.pairing.base import PAIRED
from smalti.data.pairing.map_pair import MapPair


@PAIRED.register("depth")
class DepthPair(MapPair):
    """Depth maps in `depths/` or a column `depth`: (1, H, W) float32 in [-1, 1].

    Args:
        content: what the maps are.
    """

    kind = "depth"
    part = DepthContent.part

    def __init__(self, content: DepthContent) -> None:
        super().__init__(content)
