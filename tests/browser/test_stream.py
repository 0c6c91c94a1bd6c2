"""The live stream in the page: cut, resumed, closed while nobody looks, and on a server that came back."""

from __future__ import annotations

from pathlib import Path

from browser import Visit, Visitor
from loom.testing import LoomServer
from playwright.sync_api import Route
from proxy import wire
from waiting import get, until
from world import World, processes_on

LIVE = 'button[aria-label^="Live"]'
SPANS = (
    "[...document.querySelectorAll('tbody tr a[href*=\"span=\"]')]"
    ".map(link => new URL(link.href).searchParams.get('span'))"
)
"""The spans of the published events, as the rows of the table link to them."""


def freeze_list(reader: Visit) -> None:
    """Let the page see the first list for ever: what is new in its table has come by the stream."""
    first: list[str] = []

    def answer(route: Route) -> None:
        if not first:
            first.append(route.fetch().text())
        route.fulfill(body=first[0], content_type="application/json")

    reader.page.route("**/api/v1/events?*", answer)


def shows_each_once(reader: Visit, http: str) -> bool:
    """Compare the page with the store: from its newest event to its oldest each is there, once."""
    shown: list[str] = reader.page.evaluate(SPANS)
    stored = [event["span_id"] for event in get(http, "events", topic="sensor.data", limit=500)["items"]]
    return shown[0] in stored and shown == stored[stored.index(shown[0]) :][: len(shown)]


def test_a_cut_stream_goes_on_where_it_was_without_loss_and_without_doubles(visit: Visitor, world: World) -> None:
    with wire(world.server.http) as between:
        reader = visit(f"http://{between.address}")
        freeze_list(reader)
        page = reader.open("/events?live=1&topic=sensor.data")
        reader.until(f"() => {SPANS}.length > 5")
        for _ in range(3):
            rows = page.evaluate(f"{SPANS}.length")
            with page.expect_request(lambda one: "/stream?" in one.url and "last_event_id=" in one.url):
                between.cut()
            reader.until(f"rows => {SPANS}.length > rows + 3", rows)
        until(lambda: shows_each_once(reader, world.server.http), "each event once on the page")


def test_no_stream_is_open_while_it_is_paused(visit: Visitor, world: World) -> None:
    reader = visit(world.origin)
    page = reader.open("/")
    page.wait_for_selector('button:has-text("Live")')
    with page.expect_event("requestfailed", lambda one: "/api/v1/stream" in one.url):
        page.click(LIVE)
    page.wait_for_selector('button:has-text("Paused")')
    with page.expect_request(lambda one: "/api/v1/stream" in one.url):
        page.click('button:has-text("Paused")')
    page.wait_for_selector('button:has-text("Live")')


def test_a_server_that_was_killed_and_came_back_is_followed_again(visit: Visitor, tmp_path: Path) -> None:
    data = tmp_path / "data"
    server = LoomServer(settings="", data_dir=data)
    doors = ("http", "bridge", "otlp_grpc", "otlp_http")
    ports = {door: int(getattr(server, door).rpartition(":")[2]) for door in doors}
    try:
        with processes_on(server, tmp_path) as processes:
            processes.demo("trace-test", SENSOR_INTERVAL_S="0.2")
            reader = visit(f"http://{server.http}")
            page = reader.open("/events?live=1&topic=sensor.data")
            reader.until(f"() => {SPANS}.length > 5")
            server.kill()
            page.wait_for_selector('button:has-text("Connecting")')
            server = LoomServer(settings="", data_dir=data, ports=ports)
            page.wait_for_selector('button:has-text("Live")')
            rows = page.evaluate(f"{SPANS}.length")
            reader.until(f"rows => {SPANS}.length > rows + 3", rows)
            until(lambda: shows_each_once(reader, server.http), "each event once on the page")
    finally:
        server.stop()
