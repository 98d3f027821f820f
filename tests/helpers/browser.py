"""A page of the studio in Chromium, with all that goes wrong in it."""

import os
import re
import shutil
from pathlib import Path

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
SCREENSHOTS = os.environ.get("SCREENSHOTS")


class Opened:
    """A page, with all that went wrong in it."""

    def __init__(self, browser, address: str, **options: object) -> None:
        self.context = browser.new_context(**options)
        self.page = self.context.new_page()
        self.page.set_default_timeout(15_000)
        self.wrong: list[str] = []
        origin = re.match(r"http://[^/]+/", address)[0]
        self.page.on("console", self._hear)
        self.page.on("pageerror", lambda error: self.wrong.append(str(error)))
        self.page.on("request", lambda request: self._ask(request.url, origin))
        self.page.goto(address)

    def _hear(self, message) -> None:
        if message.type in ("error", "warning"):
            self.wrong.append(message.text)

    def _ask(self, url: str, origin: str) -> None:
        if not url.startswith((origin, "data:", "blob:")):
            self.wrong.append(f"asked {url}")

    def screenshot(self, name: str) -> None:
        if SCREENSHOTS:
            path = Path(SCREENSHOTS) / f"{name}.png"
            self.page.screenshot(path=path, full_page=True)
