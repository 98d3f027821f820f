from pathlib import Path

import pytest
import torch

from smalti.losses.vgg import VGG16


@pytest.fixture(scope="session")
def vgg_file(tmp_path_factory) -> Path:
    """VGG16 with random weights in torchvision's layout, classifier included."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("vgg") / "vgg16-random.pth"
    classifier = {"classifier.0.weight": torch.zeros(2, 2), "classifier.0.bias": torch.zeros(2)}
    torch.save({**VGG16().state_dict(), **classifier}, path)
    return path
