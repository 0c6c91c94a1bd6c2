"""A picture of every page in both themes, to be looked at; narrow ones too, since not every window is wide.

`python screenshots.py [FOLDER]`. The two that begin with `dashboard-` are those of the README, in docs/images.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from browser import NO_CHROMIUM, find_chromium, launch, visits
from loom.testing import LoomServer
from pages import Page, pages
from playwright.sync_api import Browser, sync_playwright
from waiting import get, until
from world import MACHINE, processes_on, world

FOLDER = Path(__file__).resolve().parents[2] / "dashboard" / "screenshots"
SIZES = (("light", 1440, 900), ("dark", 1440, 900), ("light", 820, 1000))
FIRST_MINUTE = Page("first-minute", "/", "text=Waiting for your first event")


def shoot(
    chromium: Browser, origin: str, shown: list[Page], folder: Path, sizes: Iterable[tuple[str, int, int]] = SIZES
) -> int:
    """Take the pictures of some pages of a server, and return how many."""
    taken = 0
    for theme, width, height in sizes:
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


def shoot_for_readme(chromium: Browser, folder: Path, logs: Path) -> int:
    """Take the pictures of a server on which the demos run and nothing else."""
    with LoomServer(settings="", environment=MACHINE) as server, processes_on(server, logs) as processes:
        processes.demo("trace-test", SENSOR_INTERVAL_S="0.5")
        processes.demo("market-analyst")
        until(lambda: len(reports(server.http)) >= 3, "three reports")
        until(lambda: len(get(server.http, "topology")["edges"]) >= 20, "the edges of both demos")
        whole = until(lambda: [one for one in readings(server.http) if one["spans"] == 9], "a reading")[0]["trace_id"]
        handler = get(server.http, f"traces/{whole}/find", q="agent.on_event processor-agent")["span_ids"][0]
        shown = [
            Page("dashboard-live", "/?window=5m", ".react-flow__node"),
            Page("dashboard-trace", f"/traces/{whole}?span={handler}", "aside dl"),
        ]
        return shoot(chromium, f"http://{server.http}", shown, folder, SIZES[:1])


def reports(http: str) -> list[Any]:
    found: list[Any] = get(http, "traces", workflow="market-analyst", q="market.report")["items"]
    return found


def readings(http: str) -> list[Any]:
    found: list[Any] = get(http, "traces", operation="sensor.emit_data")["items"]
    return found


def main() -> int:
    if find_chromium() is None:
        print(NO_CHROMIUM, file=sys.stderr)
        return 1
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as logs:
        chromium = launch(playwright)
        with LoomServer(settings="", environment=MACHINE) as empty:
            taken = shoot(chromium, f"http://{empty.http}", [FIRST_MINUTE], folder)
        with world(Path(logs)) as made:
            taken += shoot(chromium, made.origin, pages(made.server.http), folder)
        taken += shoot_for_readme(chromium, folder, Path(logs))
        chromium.close()
    print(f"{taken} pictures in {folder}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
