"""Fixtures every test may use."""

from pathlib import Path

import pytest
import torch

SHARED = Path(__file__).resolve().parents[2] / "shared"


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip tests marked `gpu` where there is none."""
    if item.get_closest_marker("gpu") and not torch.cuda.is_available():
        pytest.skip("needs a CUDA device")


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
