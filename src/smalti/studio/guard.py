"""Keeps strangers out: other sites in the same browser, and other people where a host is open.

A request must name a host that is this machine, come from the studio's own page if it changes or
computes anything, and carry the token: once in the address that the command prints, from then on in
a cookie that no script can read and no other site can send.
"""

import html
import ipaddress
import secrets
import socket
from urllib.parse import urlsplit

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from smalti.studio.addresses import LOOPBACK, TOKEN

ENTERED = """<!doctype html><title>smalti studio</title><link rel="icon" href="data:,">
<meta http-equiv="refresh" content="0; url=/">"""
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' data: blob:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
"""Headers of every answer: the page loads nothing from elsewhere, runs no script but its own files
and stands in no frame; pictures of a user stay in no cache."""


class Guard:
    """Middleware that refuses requests of strangers and adds `HEADERS` to every answer.

    Args:
        app: the application behind it.
        token: the secret that a request must carry.
        host: on which the server listens.
    """

    def __init__(self, app: ASGIApp, token: str, host: str) -> None:
        self._app, self._token, self._host = app, token, host

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or pass it on."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            return  # the studio has no web sockets; the server closes them

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        request = Request(scope, receive)
        answer: ASGIApp = self._answer(request) or self._app
        await answer(scope, receive, send_guarded)

    def _answer(self, request: Request) -> Response | None:
        """The guard's own answer to a request; None lets it pass."""
        name, port = _host_and_port(request)
        if not self._is_this_machine(name):
            return _refusal("This host name is not one of this machine's.")
        if not _is_own(request):
            return _refusal("The request comes from another page.")
        cookie = f"smalti_studio_{port}"
        if self._is_token(request.cookies.get(cookie, "")):
            return None
        if request.url.path == "/" and self._is_token(request.query_params.get(TOKEN, "")):
            # A page and no redirection: behind a link in another page the browser would follow
            # that without the cookie.
            entered = HTMLResponse(ENTERED)
            entered.set_cookie(cookie, self._token, httponly=True, samesite="strict")
            return entered
        return _refusal("Open the whole address that `smalti studio` printed, with its token.")

    def _is_this_machine(self, name: str) -> bool:
        """Whether a host name leads here whoever says so: a name of another site may be made to."""
        if name in (*LOOPBACK, self._host):
            return True
        if self._host in LOOPBACK:
            return False
        with_domain = socket.getfqdn().lower()
        return _is_address(name) or name in (socket.gethostname().lower(), with_domain)

    def _is_token(self, word: str) -> bool:
        return secrets.compare_digest(word.encode(), self._token.encode())


def _host_and_port(request: Request) -> tuple[str, int]:
    """The host that a request names; its name is empty if that is no host."""
    try:
        host = urlsplit(f"//{request.headers.get('host', '')}")
        return host.hostname or "", host.port or 80
    except ValueError:
        return "", 80


def _is_own(request: Request) -> bool:
    """Whether a request comes from the studio's page, or only reads and names no page."""
    origin = request.headers.get("origin")
    if origin is None:
        return request.method in ("GET", "HEAD")
    host = request.headers.get("host")
    return origin in (f"http://{host}", f"https://{host}")  # https: behind a server that encrypts


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _refusal(reason: str) -> Response:
    words = html.escape(reason)
    return HTMLResponse(f"<!doctype html><title>smalti studio</title><p>{words}</p>", 403)
