"""A browser for the tests of pages: Debian's Chromium, found by its path."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

PLACES = ("chromium", "chromium-browser", "google-chrome")


def find_chromium() -> str:
    """Return the path of a Chromium, or skip the test and say why."""
    found = next(filter(None, map(shutil.which, PLACES)), None)
    if found is None:
        pytest.skip("no Chromium is installed (apt-get install chromium)")
    return found


@contextmanager
def chromium() -> Iterator[Any]:
    """Yield a browser without a window."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    path = find_chromium()
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
        try:
            yield browser
        finally:
            browser.close()


class Visit:
    """A page that was opened from a file, with everything that it asked for and complained about."""

    def __init__(
        self,
        browser: Any,
        path: Path,
        anchor: str = "",
        width: int = 1280,
        scheme: str = "dark",
        missing_files: bool = False,
    ) -> None:
        self.context = browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme=scheme, accept_downloads=True, offline=True
        )
        self.missing_files = missing_files
        self.page = self.context.new_page()
        self.complaints: list[str] = []
        self.requests: list[str] = []
        self.page.on("console", lambda said: said.type == "error" and self.complaints.append(said.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto(path.as_uri() + anchor)
        self.page.wait_for_selector("html[data-ready]", state="attached")

    def shown(self, frame: int) -> None:
        """Wait until a frame is on the screen."""
        self.page.wait_for_selector(f"html[data-shown='{frame}']", state="attached", timeout=5000)

    def until(self, condition: str, timeout_s: float = 5) -> None:
        """Wait until an expression is true; the policy of the page forbids what Playwright would do."""
        end = time.monotonic() + timeout_s
        while not self.page.evaluate(f"Boolean({condition})"):
            assert time.monotonic() < end, condition
            self.page.wait_for_timeout(30)

    def text(self, selector: str) -> str:
        """Return the text of an element."""
        return str(self.page.inner_text(selector))

    def script(self, code: str, argument: Any = None) -> Any:
        """Return what a script in the page returns."""
        return self.page.evaluate(code, argument)

    def close(self) -> None:
        """Close the page; it must have complained of nothing and asked nobody for anything."""
        self.context.close()
        known = ("ERR_FILE_NOT_FOUND",) if self.missing_files else ()
        complaints = [said for said in self.complaints if not any(part in said for part in known)]
        assert not complaints, complaints
        assert all(url.startswith(("file:", "blob:", "data:")) for url in self.requests)
