"""Networks that describe images in numbers, by which sets of images are compared.

Importing it registers them all.
"""

import torch

from smalti.evaluation.extractors import dinov2, efficientnet, inception
from smalti.evaluation.extractors.base import EXTRACTORS, Extractor

__all__ = ["EXTRACTORS", "Extractor", "dinov2", "efficientnet", "inception", "load_extractor"]


def load_extractor(kind: str, weights: str | None, device: torch.device) -> Extractor:
    """Load an extractor with its weights onto a device.

    Args:
        kind: name in the registry: inception, efficientnet or dinov2.
        weights: a file, a folder or a hub id, as the kind takes them; None takes the published
            weights.
        device: device of the network.

    Raises:
        InputError: there is no such kind, or its weights are missing or wrong.
    """
    return EXTRACTORS[kind].load(weights).to(device)
