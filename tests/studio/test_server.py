"""What the server answers, fault by fault, and what it answers when nothing is wrong."""

import io
import re
import shutil
import struct
import threading
import zlib

import pytest
from PIL import Image

from helpers.studio import events, failure, picture, result
from smalti.studio import uploads
from smalti.studio.app import STATIC
from smalti.studio.codebook import Codebook


def png(size=(24, 16), color="olive"):
    written = io.BytesIO()
    Image.new("RGB", size, color).save(written, "PNG")
    return written.getvalue()


def bomb(width, height):
    """A small PNG whose header claims so many pixels."""
    chunk = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    head = struct.pack(">I", 13) + chunk + struct.pack(">I", zlib.crc32(chunk))
    return b"\x89PNG\r\n\x1a\n" + head + png()[33:]


@pytest.fixture
def id(run, client):
    (entry,) = client.get("/api/library").json()["entries"]
    return entry["id"]


@pytest.fixture
def ask(client, id):
    return lambda name, **options: client.post(f"/api/codes/{id}/{name}", **options)


def test_a_library_without_anything(client, runs):
    assert client.get("/api/library").json() == {"entries": [], "places": [str(runs)]}


def test_the_files_of_the_page_are_served(client):
    for name, kind in (("main.js", "javascript"), ("studio.css", "css"), ("icon.svg", "svg")):
        answer = client.get(f"/static/{name}")
        assert answer.status_code == 200
        assert kind in answer.headers["content-type"]


def test_the_page_names_no_foreign_address_and_holds_no_script_or_style():
    for path in (file for file in STATIC.rglob("*") if file.is_file()):
        text = path.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
        assert "://" not in text, path
    page = (STATIC / "index.html").read_text(encoding="utf-8")
    assert "style=" not in page
    assert all(
        one == ' type="module" src="/static/main.js"' for one in re.findall("<script(.*?)>", page)
    )
    assert "<style" not in page


@pytest.mark.parametrize(
    "path",
    [
        "/static/../app.py",
        "/static/%2e%2e/app.py",
        "/static/..%2fapp.py",
        "/static//etc/passwd",
        "/etc/passwd",
        "/api/runs/..",
        "/api/runs/%2e%2e",
        "/api/runs/{id}/pictures/..%2fconfig.yaml",
        "/api/runs/{id}/pictures/%2e%2e%2fconfig.yaml",
        "/api/runs/{id}/pictures/config.yaml",
        "/api/runs/{id}/../../config.yaml",
    ],
)
def test_no_path_leads_out(client, id, path):
    answer = client.get(path.replace("{id}", id))
    assert answer.status_code in (400, 404)
    assert "stage" not in answer.text


@pytest.mark.parametrize("path", ["", "/lines", "/pictures/x_00000001.png"])
def test_an_unknown_run_is_told(client, path):
    answer = client.get(f"/api/runs/0123456789abcdef{path}")
    assert answer.status_code == 404
    assert "not there" in answer.json()["message"]


def test_an_unknown_model_is_told(client):
    assert client.post("/api/codes/0123456789abcdef/facts").status_code == 404


def test_a_run_that_vanishes_is_told(client, ask, id, run):
    result(ask("facts"))
    shutil.rmtree(run)
    assert client.get(f"/api/runs/{id}").status_code == 404
    assert ask("decode", json={"codes": [[1]]}).status_code == 404


def test_a_model_that_vanishes_while_its_job_waits_is_told(ask, worker, run):
    begun, goes_on = threading.Event(), threading.Event()
    worker.submit(lambda job: begun.set() or goes_on.wait(10), lambda event, data: None)
    assert begun.wait(10)
    timer = threading.Timer(0.2, lambda: (shutil.rmtree(run), goes_on.set()))
    timer.start()
    assert failure(ask("facts")) == "vqgan is no longer there"


@pytest.mark.parametrize("query", ["start=-1", "start=x", "start=1e3", f"start={'9' * 5000}"])
def test_numbers_that_are_none_are_refused(client, id, query):
    answer = client.get(f"/api/runs/{id}/lines?{query}")
    assert answer.status_code == 400
    assert "start must be a whole number" in answer.json()["message"]


@pytest.mark.parametrize("body", [b"", b"{", b"[1]", b"\xff", b"[" * 100_000, b'{"a":1,"a":2}'])
def test_a_body_that_is_no_object_is_refused(ask, body):
    assert ask("decode", content=body).status_code == 400


def test_wrong_codes_are_told(ask):
    assert "from 0 to 15, got 99" in failure(ask("decode", json={"codes": [[99]]}))


def test_an_upload_that_is_too_large_is_refused(ask, monkeypatch):
    answer = ask("encode", content=b"x" * (uploads.MOST_BYTES + 1))
    assert answer.status_code == 413


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "empty"),
        (b"hello", "the picture"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "the picture"),
        (b"%!PS-Adobe-3.0", "the picture"),
        (png()[:60], "the picture"),
        (bomb(60_000, 60_000), "decompression bomb"),
        (bomb(10_000, 6_000), "6000x10000 pixels; allowed are 50,000,000"),
        (png((200, 1)), "less than the 2x2 of a code"),
    ],
)
def test_what_is_no_picture_is_told(ask, content, words):
    assert words in failure(ask("encode", content=content))


def test_a_model_that_raises_is_told_and_the_next_job_runs(ask, monkeypatch, caplog):
    with monkeypatch.context() as broken:
        broken.setattr(Codebook, "facts", lambda self: 1 / 0)
        message = failure(ask("facts"))
    assert message == "ZeroDivisionError: division by zero (the terminal shows more)"
    assert "Traceback" in caplog.text
    assert result(ask("facts"))["codebook_size"] == 16


def test_a_full_queue_is_told(ask, worker):
    goes_on = threading.Event()
    for _ in range(3):
        worker.submit(lambda job: goes_on.wait(10), lambda event, data: None)
    answer = ask("facts")
    goes_on.set()
    assert answer.status_code == 503
    assert "too much is waiting" in answer.json()["message"]


def test_two_pages_wait_for_each_other_and_share_nothing(client, ask, worker):
    first, goes_on = [], threading.Event()
    worker.submit(lambda job: goes_on.wait(10), lambda event, data: None)
    one = threading.Thread(target=lambda: first.append(ask("encode", content=png())))
    one.start()
    threading.Timer(0.3, goes_on.set).start()
    second = ask("encode", content=png((8, 8), "white"))
    one.join()
    positions = {data["ahead"] for event, data in events(second.text) if event == "position"}
    assert max(positions) >= 1
    assert picture(result(first[0])["image"]).size == (24, 16)
    assert picture(result(second)["image"]).size == (8, 8)


def test_a_picture_goes_to_codes_and_back(ask):
    encoded = result(ask("encode", content=png()))
    assert (len(encoded["codes"]), len(encoded["codes"][0])) == (8, 12)
    assert picture(encoded["image"]).getpixel((0, 0)) == (128, 128, 0)
    decoded = result(ask("decode", json={"codes": encoded["codes"]}))
    assert decoded["image"] == encoded["reconstruction"]
    encoded["codes"][0][0] ^= 1
    assert result(ask("decode", json={"codes": encoded["codes"]})) != decoded


def test_a_large_picture_is_shrunk(ask):
    encoded = result(ask("encode", content=png((400, 200))))
    assert picture(encoded["image"]).size == (128, 64)


def test_the_codebook_is_told_in_strips(ask):
    facts = result(ask("facts"))
    assert (facts["codebook_size"], facts["downsampling_factor"], facts["content"]) == (
        16,
        2,
        "rgb",
    )
    strip = result(ask("swatches", json={"codes": [7, 2, 11]}))
    assert strip["codes"] == [7, 2, 11]
    assert picture(strip["image"]).size == (3 * 16, 16)
    assert "from 0 to 15" in failure(ask("swatches", json={"codes": [16]}))


def test_the_images_of_the_run_are_told_with_their_codes(ask):
    use = result(ask("use"))
    assert use["scored"] == "held-out images"
    assert sum(use["counts"]) == len(use["images"]) * 64
    shown = result(ask("example?number=0"))
    assert shown["image"] == use["images"][0]
    code = shown["codes"][0][0]
    assert use["counts"][code] > 0
    assert len(result(ask(f"patches?code={code}"))) > 0
    assert "got number 99" in failure(ask("example?number=99"))


def test_codes_are_told_by_likeness(ask):
    codes = result(ask("likeness?code=3"))
    assert codes[0] == 3
    assert sorted(codes) == list(range(16))


def test_runs_are_told(client, id):
    (listed,) = client.get("/api/runs").json()
    assert (listed["id"], listed["name"], listed["state"]) == (id, "vqgan", "stopped")
    assert client.get(f"/api/runs/{id}").json()["facts"]["stage"] == "vqgan"
    assert len(client.get(f"/api/runs/{id}/lines").json()["lines"]) == 2
    shown = client.get(f"/api/runs/{id}/pictures/reconstructions_00000020.png")
    assert shown.headers["content-type"] == "image/png"


@pytest.mark.parametrize("count", [0, 1, 5])
def test_two_to_four_runs_are_compared(client, count):
    answer = client.get("/api/runs/compared", params={"id": list(range(count))})
    assert answer.status_code == 400
    assert f"2 to 4 runs are compared, got {count}" in answer.json()["message"]


def test_what_computes_is_never_a_mere_address(client, id):
    """A picture in a foreign page may ask for an address, but cannot send."""
    assert client.get(f"/api/codes/{id}/facts").status_code == 405
