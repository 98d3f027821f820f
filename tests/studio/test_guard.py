"""Strangers stay out: other people, other pages and other names of this machine."""

import pytest
import torch
from starlette.testclient import TestClient

from helpers.studio import ORIGIN, TOKEN
from smalti.studio.addresses import address_of
from smalti.studio.app import build_app
from smalti.studio.library import Library
from smalti.studio.worker import Worker


@pytest.mark.parametrize("path", ["/", "/api/library", "/static/main.js", "/api/runs", "/nothing"])
def test_nothing_is_shown_without_the_token(stranger, path):
    answer = stranger.get(path)
    assert answer.status_code == 403
    assert "address" in answer.text


@pytest.mark.parametrize("token", ["", "wrong", TOKEN[:-1], TOKEN + "x", "ä" * 20])
def test_a_wrong_token_is_refused(stranger, token):
    assert stranger.get("/", params={"token": token}).status_code == 403
    assert not stranger.cookies


def test_the_token_gives_a_strict_cookie_that_no_script_reads(stranger):
    answer = stranger.get("/", params={"token": TOKEN})
    assert "smalti studio" in answer.text
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert cookie.startswith("smalti_studio_8765=")


def test_the_cookie_opens_the_page(client):
    answer = client.get("/")
    assert answer.status_code == 200
    assert "/static/main.js" in answer.text


def test_the_token_in_other_addresses_opens_nothing(stranger):
    assert stranger.get("/api/library", params={"token": TOKEN}).status_code == 403


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "", "10.0.0.7", "["])
def test_a_foreign_host_name_is_refused(client, host):
    """A site could make its name lead here, and then read what it gets."""
    cookie = {"cookie": f"smalti_studio_8765={TOKEN}; smalti_studio_80={TOKEN}"}
    answer = client.get("/api/library", headers={"host": host} | cookie)
    assert answer.status_code == 403
    assert "machine" in answer.text


@pytest.mark.parametrize("host", ["localhost:8765", "127.0.0.1:8765", "[::1]:8765"])
def test_own_host_names_pass(client, host):
    headers = {"host": host, "origin": f"http://{host}", "cookie": f"smalti_studio_8765={TOKEN}"}
    assert client.get("/api/library", headers=headers).status_code == 200


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1:9999", ""])
def test_a_foreign_page_is_refused(client, method, origin):
    answer = client.request(method, "/api/library", headers={"origin": origin})
    assert answer.status_code == 403
    assert "another page" in answer.text


def test_what_computes_must_name_its_page(client):
    del client.headers["origin"]
    assert client.get("/api/library").status_code == 200
    assert client.post("/api/codes/x/facts").status_code == 403


@pytest.mark.parametrize(
    "path", ["/", "/api/library", "/static/main.js", "/nothing", "/api/runs/x"]
)
@pytest.mark.parametrize("is_inside", [True, False])
def test_every_answer_forbids_foreign_content(stranger, path, is_inside):
    if is_inside:
        stranger.get("/", params={"token": TOKEN})
    headers = stranger.get(path).headers
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self';" in policy
    assert "style-src 'self';" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"


@pytest.mark.parametrize(
    ("host", "status"),
    [("192.168.1.5:8765", 200), ("studio.local:8765", 200), ("evil.example:8765", 403)],
)
def test_a_studio_for_others_knows_addresses_and_its_own_name(tmp_path, monkeypatch, host, status):
    monkeypatch.setattr("socket.gethostname", lambda: "studio.local")
    app = build_app(Library([tmp_path]), Worker(torch.device("cpu")), TOKEN, "0.0.0.0")
    headers = {"host": host, "cookie": f"smalti_studio_8765={TOKEN}"}
    with TestClient(app, base_url=ORIGIN) as client:
        assert client.get("/api/library", headers=headers).status_code == status


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("127.0.0.1", "http://127.0.0.1:9/?token=t"),
        ("0.0.0.0", "http://127.0.0.1:9/?token=t"),
        ("::1", "http://[::1]:9/?token=t"),
    ],
)
def test_the_printed_address(host, address):
    assert address_of(host, 9, "t") == address
