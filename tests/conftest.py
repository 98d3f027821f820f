"""Fixtures every test may use."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

# Before torch is imported, here and in the processes that tests start: there is a worker for each
# core, and small networks gain nothing from a second thread.
os.environ["OMP_NUM_THREADS"] = "1"

import hypothesis
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from helpers.hub import StandInHub

hypothesis.settings.register_profile("smalti", deadline=None)  # speed is no business of tests
hypothesis.settings.load_profile("smalti")

ORACLE = Path(__file__).resolve().parent / "oracle"
SHARED = Path(__file__).resolve().parents[2] / "shared"


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Seed the weights of modules, and skip tests marked `gpu` where there is none.

    Each test has the same weights whatever ran before it, fixtures of wider scope included.
    """
    torch.manual_seed(0)
    if item.get_closest_marker("gpu") and not torch.cuda.is_available():
        pytest.skip("needs a CUDA device")


@pytest.fixture(scope="session")
def shared_dir() -> Path:
    """The folder with real images and recorded tensors that lies beside a checkout."""
    if not SHARED.is_dir():
        pytest.skip("the folder shared/ with real data and the oracle is not beside the checkout")
    return SHARED


@pytest.fixture(scope="session")
def oracle_tensors() -> Callable[[str], dict[str, Tensor]]:
    """Read a file of the oracle: tensors recorded from the released code, by their names."""
    return lambda name: load_file(ORACLE / f"{name}.safetensors")


@pytest.fixture(autouse=True)
def _hub_within_reach(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test opens a connection: what it asks of the hub it replaces."""
    monkeypatch.setattr("smalti.hub.is_reachable", lambda: True)


@pytest.fixture(scope="module")
def no_curves() -> Iterator[None]:
    """Runs, their pages and pushed models have a small picture where curves would be."""
    from helpers.curves import draw_nothing  # which imports what draws

    with pytest.MonkeyPatch.context() as patch:
        draw_nothing(patch)
        yield


@pytest.fixture
def stand_in_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StandInHub:
    """A hub in memory, whom the hub's client asks."""
    hub = StandInHub(tmp_path / "downloads")
    monkeypatch.setattr("huggingface_hub.HfApi", hub.client)
    monkeypatch.setattr("huggingface_hub.snapshot_download", hub.snapshot_download)
    return hub


@pytest.fixture
def generator() -> torch.Generator:
    """A seeded source of randomness."""
    return torch.Generator().manual_seed(0)
