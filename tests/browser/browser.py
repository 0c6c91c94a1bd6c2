"""The browser of the tests: Debian's chromium, or the one that LOOM_CHROMIUM names. Nothing is downloaded."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Locator, Page, Playwright, Request

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
NO_CHROMIUM = "no chromium: apt install chromium, or name one in LOOM_CHROMIUM"
PATIENCE_MS = 20_000
"""Milliseconds after which what did not come to the page will not come."""


def find_chromium() -> str | None:
    """Return the path of the browser; None where there is none."""
    named = os.environ.get("LOOM_CHROMIUM")
    if named:
        return named if Path(named).exists() else None
    return next((path for path in map(shutil.which, NAMES) if path), None)


def launch(playwright: Playwright) -> Browser:
    """Start the browser. It shows our own pages alone, so root may run it, which its sandbox would refuse."""
    return playwright.chromium.launch(
        executable_path=find_chromium(), args=["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"]
    )


class Visit:
    """One reader with one tab, and what the page complained about."""

    def __init__(self, context: BrowserContext, origin: str) -> None:
        self.origin = origin
        self.complaints: list[str] = []
        self.foreign: list[str] = []
        context.set_default_timeout(PATIENCE_MS)
        self.page: Page = context.new_page()
        self.page.on("console", self._hear)
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", self._see)

    def _hear(self, message: ConsoleMessage) -> None:
        # The browser's own line for an answer like 404, which pages wait for; what pages make of it is looked at there.
        if message.type == "error" and "Failed to load resource" not in message.text:
            self.complaints.append(message.text)

    def _see(self, request: Request) -> None:
        if not request.url.startswith((self.origin, "data:", "blob:")):
            self.foreign.append(request.url)

    def open(self, path: str) -> Page:
        """Go to a page of the server."""
        self.page.goto(self.origin + path)
        return self.page

    def query(self, name: str) -> str | None:
        """Return a parameter of the page's address."""
        value = self.page.evaluate("name => new URL(location.href).searchParams.get(name)", name)
        return None if value is None else str(value)

    def until(self, condition: str, argument: object = None) -> None:
        """Wait for a function in JavaScript to be true: the page's policy lets nobody evaluate less than a function."""
        self.page.wait_for_function(condition, arg=argument, polling=50)

    def expect_address(self, pattern: str) -> None:
        """Wait until the address has the pattern."""
        self.page.wait_for_url(re.compile(pattern))

    def texts(self, selector: str) -> list[str]:
        """Return the texts of all elements."""
        return self.page.locator(selector).all_text_contents()

    def selected(self) -> Locator:
        """Return the chosen span of a trace."""
        return self.page.locator('.wf-row[aria-selected="true"]')

    def until_selected(self, text: str) -> None:
        """Wait until the chosen span has the text in its row."""
        self.until(
            "text => document.querySelector('.wf-row[aria-selected=\"true\"]')?.textContent.includes(text)",
            text,
        )

    def press(self, *keys: str) -> None:
        """Press keys, one after the other."""
        for key in keys:
            self.page.keyboard.press(key)

    def frame(self) -> None:
        """Wait until what has changed is drawn."""
        self.page.evaluate("() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")


Visitor = Callable[..., Visit]


@contextmanager
def visits(chromium: Browser) -> Iterator[Visitor]:
    """Make readers. At the end none of their pages may have complained, or have asked anybody but its own server."""
    made: list[tuple[BrowserContext, Visit]] = []

    def visit(origin: str, *, theme: str = "light", width: int = 1440, height: int = 900, still: bool = False) -> Visit:
        context = chromium.new_context(
            viewport={"width": width, "height": height},
            color_scheme="dark" if theme == "dark" else "light",
            reduced_motion="reduce" if still else "no-preference",
            timezone_id="UTC",
        )
        made.append((context, Visit(context, origin)))
        return made[-1][1]

    try:
        yield visit
    finally:
        for context, _ in made:
            context.close()
    assert [complaint for _, one in made for complaint in one.complaints] == []
    assert [url for _, one in made for url in one.foreign] == []
