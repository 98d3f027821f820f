"""The Inception v3 of the FID, of December 2015, converted from TensorFlow.

The weights (Apache-2.0) are not part of the package: they come from a file, from the hub, or from a
download of 96 MB.

Axes: B batch, C features of an image, K classes.
Reference: Heusel et al. 2017, arXiv:1706.08500; Salimans et al. 2016, arXiv:1606.03498, Sec. 4.
"""

import logging
from pathlib import Path
from typing import Self

import torch
from torch import Tensor

from smalti import hub
from smalti.config import InputError
from smalti.evaluation.extractors.base import EXTRACTORS, Extractor, as_pictures
from smalti.evaluation.extractors.inception_network import FEATURES, InceptionV3
from smalti.files import sha256
from smalti.paths import expand
from smalti.published_weights import download, download_path, load_weights

logger = logging.getLogger(__name__)

URL = (
    "https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/"
    "pt_inception-2015-12-05-6726825d.pth"
)
SHA256 = "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2"
SEEN_PX = 299


@EXTRACTORS.register("inception")
class InceptionExtractor(Extractor):
    """Extractor of Inception v3's third pooling layer, for FID, KID and Inception Score.

    Images are rounded to 8 bits and resized as TensorFlow 1 does; see `resize_like_tensorflow1`.
    """

    name = "Inception"
    frechet_name = "FID"
    kernel_name = "KID"
    score_name = "Inception Score"
    feature_count = FEATURES
    resize = (
        "8-bit pictures to 299x299, whatever their shape; bilinear between the nearest pixels of "
        "positions i * old / new (TensorFlow 1), without antialiasing"
    )
    network: InceptionV3

    @classmethod
    def load(cls, weights: str | None) -> Self:
        """Load the extractor with the published weights onto the CPU.

        Args:
            weights: path of the published file, or `hf://owner/name/FILE`; None downloads it into
                torch's download cache.

        Raises:
            InputError: the file is missing, or is not the published one.
        """
        path = _find(weights)
        found = sha256(path)
        if found != SHA256:
            raise InputError(
                f"{path} is not the Inception of the FID: its SHA-256 is {found}, and must be "
                f"{SHA256}; {URL} is the right one"
            )
        network = InceptionV3()
        load_weights(network, path, "Inception v3")
        # Faster on the CPU in this memory layout, by a third.
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        return cls(network, found)

    def _features(self, images: Tensor) -> Tensor:
        seen = resize_like_tensorflow1(as_pictures(images), SEEN_PX)
        return self.network((seen - 128.0) / 128.0)

    def logits(self, features: Tensor) -> Tensor:
        """Compute logits (B, 1008) without the bias, as the Inception Score's code does."""
        return features @ self.network.fc.weight.T.to(features.device)


def resize_like_tensorflow1(images: Tensor, size_px: int) -> Tensor:
    """Resize images (B, C, H, W) float32 to (B, C, size, size) by bilinear interpolation.

    Pixel i is taken at position i * old / new. Unlike usual, pixels have no centres half a pixel
    further: TensorFlow 1 did so, and the FID with it.
    """
    return _stretch(_stretch(images, 3, size_px), 2, size_px)


def _stretch(images: Tensor, axis: int, size: int) -> Tensor:
    old = images.shape[axis]
    positions = torch.arange(size, dtype=torch.float32, device=images.device) * (old / size)
    before = positions.long()
    after = (before + 1).clamp(max=old - 1)
    share = (positions - before).view(-1, *[1] * (3 - axis))
    first, second = images.index_select(axis, before), images.index_select(axis, after)
    return first + (second - first) * share


def _find(weights: str | None) -> Path:
    if weights is None:
        path = download_path(URL)
        if not path.is_file():
            logger.info("downloading the Inception of the FID (96 MB) from %s to %s", URL, path)
            download(URL, path, SHA256, "the Inception of the FID")
        return path
    if weights.startswith(hub.PREFIX):
        return _of_hub(weights)
    path = Path(expand(weights))
    if not path.is_file():
        raise InputError(
            f"weights of Inception {weights} do not exist; give the file, hf://owner/name/FILE, "
            f"or nothing, to download {URL}"
        )
    return path


def _of_hub(weights: str) -> Path:
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import HFValidationError

    owner, _, rest = weights.removeprefix(hub.PREFIX).partition("/")
    name, _, file = rest.partition("/")
    if not file:
        raise InputError(f"{weights} names no file; allowed is hf://owner/name/FILE")
    is_reachable = hub.is_reachable()
    try:
        return Path(hf_hub_download(f"{owner}/{name}", file, local_files_only=not is_reachable))
    except (OSError, HFValidationError) as error:  # the hub's own are OSErrors
        reason = str(error).partition("\n")[0] if is_reachable else "it cannot be reached"
        raise InputError(f"the hub does not give {weights}: {reason}") from error
