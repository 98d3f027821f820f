"""A tiny run of stage 1 with photographs, and a client that has entered the studio."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from PIL import Image
from skimage import data
from starlette.testclient import TestClient

from helpers.studio import ORIGIN, TOKEN, make_run
from smalti.studio.app import build_app
from smalti.studio.library import Library
from smalti.studio.worker import Worker


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """24 pictures of 20x16 pixels, of which some are held out."""
    folder = tmp_path_factory.mktemp("photos")
    for number in range(24):
        crop = Image.fromarray(data.chelsea()).crop((9 * number, 0, 9 * number + 80, 64))
        crop.resize((20, 16)).save(folder / f"{number}.png")
    return folder


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """The folder that the studio is told to show."""
    (tmp_path / "runs").mkdir()
    return tmp_path / "runs"


@pytest.fixture
def run(runs: Path, photos: Path) -> Path:
    return make_run(runs / "vqgan", photos)


@pytest.fixture
def worker() -> Iterator[Worker]:
    made = Worker(torch.device("cpu"), most_jobs=3)
    yield made
    made.close()


@pytest.fixture
def stranger(runs: Path, worker: Worker) -> Iterator[TestClient]:
    """A client without the cookie."""
    app = build_app(Library([runs]), worker, TOKEN)
    headers = {"origin": ORIGIN}
    with TestClient(app, base_url=ORIGIN, headers=headers, raise_server_exceptions=False) as client:
        yield client


@pytest.fixture
def client(stranger: TestClient) -> TestClient:
    """A client that has opened the address with the token."""
    assert stranger.get("/", params={"token": TOKEN}).status_code == 200
    return stranger
