"""A picture of every page in both themes, to be looked at; narrow ones too, since not every window is wide.

`python screenshots.py [FOLDER]`
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

from browser import NO_CHROMIUM, find_chromium, launch, visits
from loom.testing import LoomServer
from pages import Page, pages
from playwright.sync_api import Browser, sync_playwright
from world import world

FOLDER = Path(__file__).resolve().parents[2] / "dashboard" / "screenshots"
SIZES = (("light", 1440, 900), ("dark", 1440, 900), ("light", 820, 1000))
FIRST_MINUTE = Page("first-minute", "/", "text=Waiting for your first event")


def shoot(chromium: Browser, origin: str, shown: list[Page], folder: Path) -> int:
    """Take the pictures of some pages of a server, and return how many."""
    taken = 0
    for theme, width, height in SIZES:
        with visits(chromium) as visit:
            reader = visit(origin, theme=theme, width=width, height=height, still=True)
            for name, path, ready in shown:
                page = reader.open(path)
                page.wait_for_selector(ready)
                page.wait_for_load_state("load")
                # What is drawn on canvases and placed by measuring is there two frames later.
                reader.frame()
                reader.frame()
                narrow = "-narrow" if width < 1000 else ""
                page.screenshot(path=folder / f"{name}-{theme}{narrow}.png")
                taken += 1
    return taken


def main() -> int:
    if find_chromium() is None:
        print(NO_CHROMIUM, file=sys.stderr)
        return 1
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as logs:
        chromium = launch(playwright)
        with LoomServer(settings="") as empty:
            taken = shoot(chromium, f"http://{empty.http}", [FIRST_MINUTE], folder)
        with world(Path(logs)) as made:
            taken += shoot(chromium, made.origin, pages(made.server.http), folder)
        chromium.close()
    print(f"{taken} pictures in {folder}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
