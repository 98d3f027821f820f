"""A tiny run of stage 1 with photographs, a client that has entered the studio, and a browser."""

import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from PIL import Image
from skimage import data
from starlette.testclient import TestClient

from helpers.browser import CHROMIUM, Opened
from helpers.studio import ORIGIN, TOKEN, make_run
from smalti.annotate.base import Annotator
from smalti.studio.addresses import address_of
from smalti.studio.app import build_app
from smalti.studio.library import Library
from smalti.studio.server import Server
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
def annotators() -> dict[str, Annotator]:
    """What makes maps and poses of photographs on the page: nothing, unless a test says so."""
    return {}


@pytest.fixture
def stranger(runs: Path, worker: Worker, annotators: dict[str, Annotator]) -> Iterator[TestClient]:
    """A client without the cookie."""
    app = build_app(Library([runs]), worker, TOKEN, annotators=annotators)
    headers = {"origin": ORIGIN}
    with TestClient(app, base_url=ORIGIN, headers=headers, raise_server_exceptions=False) as client:
        yield client


@pytest.fixture
def client(stranger: TestClient) -> TestClient:
    """A client that has opened the address with the token."""
    assert stranger.get("/", params={"token": TOKEN}).status_code == 200
    return stranger


@pytest.fixture(scope="session")
def browser() -> Iterator[object]:
    playwright = pytest.importorskip("playwright.sync_api")
    if CHROMIUM is None:
        pytest.skip("no Chromium: apt-get install chromium, or name its path in CHROMIUM")
    with playwright.sync_playwright() as started:
        options = ["--no-sandbox", "--disable-background-networking"]
        browser = started.chromium.launch(executable_path=CHROMIUM, args=options)
        yield browser
        browser.close()


@pytest.fixture
def address(runs: Path, worker: Worker, annotators: dict[str, Annotator]) -> Iterator[str]:
    """The address of a studio of the folder `runs`, served by uvicorn in a thread."""
    app = build_app(Library([runs]), worker, TOKEN, annotators=annotators)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = Server(app)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        yield address_of("127.0.0.1", listener.getsockname()[1], TOKEN)
        server.should_exit = True
        thread.join(10)


@pytest.fixture
def visit(browser, address) -> Iterator[object]:
    opened: list[Opened] = []

    def visit(**options: object) -> Opened:
        opened.append(Opened(browser, address, **options))
        return opened[-1]

    yield visit
    for one in opened:
        one.context.close()
    assert [wrong for one in opened for wrong in one.wrong] == []
