"""DINOv2, which was trained without labels; it needs `pip install 'smalti[dino]'`.

Axes: B batch, C features of an image.
Reference: Stein et al. 2023, arXiv:2306.04675, Sec. 4 (ViT-L/14, the Frechet distance of its
features); Oquab et al. 2023, arXiv:2304.07193.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Self

import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from torch import Tensor, nn

from smalti.config import InputError
from smalti.evaluation.extractors.base import EXTRACTORS, Extractor, as_pictures
from smalti.files import sha256
from smalti.model_folder import CONFIG_FILE, WEIGHTS_FILE, find_model
from smalti.plain_data import read_json

PUBLISHED = "hf://facebook/dinov2-large"
PUBLISHED_FEATURES = 1024
SEEN_PX = 224
IMAGE_MEAN = (0.485, 0.456, 0.406)  # of ImageNet's pixels in [0, 1]
IMAGE_DEVIATION = (0.229, 0.224, 0.225)


@EXTRACTORS.register("dinov2")
class DINOv2Extractor(Extractor):
    """Extractor whose features are the class token of DINOv2, behind the last normalization.

    Deviation: transformers places the 37x37 learned positions onto 16x16 by a rule that differs a
        little from the released code's.
    """

    score_name = None
    resize = (
        "8-bit pictures to 224x224, whatever their shape; bicubic with antialiasing, as Pillow does"
    )

    def __init__(self, network: nn.Module, fingerprint: str, feature_count: int) -> None:
        super().__init__(network, fingerprint)
        self.feature_count = feature_count
        # The distance is defined with ViT-L/14; smaller and larger ones must not pass for it.
        size = "" if feature_count == PUBLISHED_FEATURES else f"-{feature_count}"
        self.name = f"DINOv2{size}"
        self.frechet_name, self.kernel_name = f"FD-{self.name}", f"KD-{self.name}"

    @classmethod
    def load(cls, weights: str | None) -> Self:
        """Load the extractor onto the CPU.

        Args:
            weights: a folder with `config.json` and `model.safetensors`, or its hub id; None is
                `hf://facebook/dinov2-large`, 1.2 GB.

        Raises:
            InputError: transformers is not installed, or the folder holds no DINOv2.
        """
        if find_spec("transformers") is None:
            raise InputError("DINOv2 needs transformers: pip install 'smalti[dino]'")
        folder = find_model(weights or PUBLISHED)
        kind = _model_type(folder / CONFIG_FILE)
        if kind != "dinov2":
            raise InputError(f"{folder} holds no DINOv2: its model_type is {kind!r}, not 'dinov2'")
        network = _load(folder)
        return cls(network, sha256(folder / WEIGHTS_FILE), network.config.hidden_size)

    def _features(self, images: Tensor) -> Tensor:
        seen = resize_like_pillow(as_pictures(images), SEEN_PX) / 255.0
        mean, deviation = (
            images.new_tensor(values).view(3, 1, 1) for values in (IMAGE_MEAN, IMAGE_DEVIATION)
        )
        tokens: Tensor = self.network(pixel_values=(seen - mean) / deviation).last_hidden_state
        return tokens[:, 0]

    def logits(self, features: Tensor) -> None:
        """Return None: DINOv2 has no classes."""


def resize_like_pillow(images: Tensor, size_px: int) -> Tensor:
    """Resize images (B, C, H, W) float32 in [0, 255] to (B, C, size, size), bicubically.

    Rows are resized before columns, and rounded to 8 bits in between, which cuts off what the
    filter overshoots. Newer versions of Pillow begin with the columns of tall pictures.
    """
    for size in ((images.shape[2], size_px), (size_px, size_px)):
        images = F.interpolate(images, size, mode="bicubic", antialias=True)
        images = images.clamp(0.0, 255.0).round()
    return images


def _model_type(path: Path) -> Any:
    """Read the type of the model from a config of transformers, or None if it has none."""
    try:
        config = read_json(path.read_text(encoding="utf-8"), str(path))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path} is damaged: {error}") from error
    return config.get("model_type") if isinstance(config, dict) else None


def _load(folder: Path) -> Any:
    """Load the network of a folder, which must hold all weights."""
    from transformers import AutoModel

    if not (folder / WEIGHTS_FILE).is_file():
        raise InputError(f"{folder / WEIGHTS_FILE} is missing")
    try:
        with _no_bars():
            network, report = AutoModel.from_pretrained(
                folder,
                local_files_only=True,
                use_safetensors=True,
                dtype=torch.float32,
                output_loading_info=True,
            )
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise InputError(f"cannot read the DINOv2 of {folder}: {reason}") from error
    missing = sorted(report["missing_keys"])
    if missing:
        raise InputError(f"{folder / WEIGHTS_FILE} is not all of DINOv2: {missing[0]} is missing")
    return network


@contextmanager
def _no_bars() -> Iterator[None]:
    """Context without the progress bars of transformers, which flash for a second."""
    from transformers.utils import logging

    are_shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        if are_shown:
            logging.enable_progress_bar()  # type: ignore[no-untyped-call]
