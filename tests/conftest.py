"""Fixtures every test may use."""

from pathlib import Path

import pytest
import torch

SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture(scope="session")
def shared_dir() -> Path:
    """The folder with real images and recorded tensors that lies beside a checkout."""
    if not SHARED.is_dir():
        pytest.skip("the folder shared/ with real data and the oracle is not beside the checkout")
    return SHARED


@pytest.fixture
def generator() -> torch.Generator:
    """A seeded source of randomness."""
    return torch.Generator().manual_seed(0)
