"""Networks that describe images in numbers, by which sets of images are compared.

Importing it registers them all.
"""

import torch

from smalti.evaluation.extractors import dinov2, efficientnet, inception
from smalti.evaluation.extractors.base import EXTRACTORS, Extractor

__all__ = ["EXTRACTORS", "Extractor", "dinov2", "efficientnet", "inception", "load_extractor"]


def load_extractor(kind: str, weights: str | None, device: torch.device) -> Extractor:
    """An extractor with its weights, on a device.

    Args:
        kind: its name in the registry: inception, efficientnet or dinov2.
        weights: a file, a folder or a hub id, as the kind takes them; None is the published ones.
        device: where it runs.

    Raises:
        InputError: there is no such kind, or its weights are missing or not the right ones.
    """
    return EXTRACTORS[kind].load(weights).to(device)
