"""What a reader does on the pages, with a server on which agents run."""

from __future__ import annotations

from urllib.parse import urlencode

import pytest
from browser import Visit, Visitor
from world import STATES, World


def test_from_an_event_to_its_place_in_its_trace_in_one_click(visit: Visitor, world: World) -> None:
    reader = visit(world.origin)
    page = reader.open("/")
    page.locator('section[aria-label="Last events"] a', has_text="trace").first.click()
    page.wait_for_selector(".wf-row")
    reader.until_selected("EventBus.publish")
    span = reader.query("span")
    assert span is not None
    assert len(span) == 16
    page.wait_for_selector("aside >> text=messaging.destination.name")


def test_the_map_moves_while_events_flow_and_has_a_twin_in_words(visit: Visitor, world: World) -> None:
    reader = visit(world.origin)
    page = reader.open("/")
    page.wait_for_selector('.react-flow__node >> text="sensor-agent"')
    labels = "[...document.querySelectorAll('.react-flow__edgelabel-renderer span')].map(one => one.textContent).join()"
    page.wait_for_selector(".react-flow__edgelabel-renderer span")
    before = page.evaluate(labels)
    reader.until(f"before => {labels} !== before", before)
    assert page.locator(".flow-edge").first.evaluate("edge => getComputedStyle(edge).animationName") != "none"
    page.click("text=As a table")
    page.wait_for_selector('td >> text="sensor.data"')


def test_nothing_moves_by_itself_for_those_who_do_not_want_it(visit: Visitor, world: World) -> None:
    page = visit(world.origin, still=True).open("/")
    edge = page.locator(".flow-edge").first
    edge.wait_for(state="attached")
    assert edge.evaluate("edge => getComputedStyle(edge).animationName") == "none"


def _figures(reader: Visit) -> dict[str, str]:
    """Return what the cards of a page of figures say, by their labels."""
    reader.page.wait_for_selector(".card .num")
    labels = reader.texts(".card .label:has(+ .num)")
    return dict(zip(labels, reader.texts(".card .label + .num"), strict=True))


LONG_AGO = {"from": "2020-01-01T00:00:00Z", "to": "2020-01-01T01:00:00Z"}


def _shows_its_metrics(reader: Visit, world: World, whose: str) -> None:
    known = world.get(f"observability/{whose}/metrics", time_range="1h")["executions"]
    assert known["count"] > 0
    reader.open(f"/{whose}").wait_for_selector(".uplot")
    figures = _figures(reader)
    assert figures["Executions"] == str(known["count"])
    assert figures["Errors"] == str(known["errors"])
    assert figures["p95"].endswith("s")


def test_an_agent_has_the_figures_of_the_api_and_no_zeros_where_there_are_none(visit: Visitor, world: World) -> None:
    reader = visit(world.origin)
    _shows_its_metrics(reader, world, "agents/planner")
    reader.open(f"/agents/planner?{urlencode(LONG_AGO)}")
    silent = _figures(reader)
    assert silent.pop("Executions") == "0"
    assert set(silent.values()) == {"–"}
    known = world.get("observability/agents/planner/metrics", **LONG_AGO)
    assert known["executions"]["duration_ms"] is None


def test_a_workflow_has_the_figures_of_the_api_and_says_where_there_are_none(visit: Visitor, world: World) -> None:
    reader = visit(world.origin)
    _shows_its_metrics(reader, world, "workflows/market-analyst")
    page = reader.open(f"/workflows/market-analyst?{urlencode(LONG_AGO)}")
    page.wait_for_selector("text=Nothing is known of this workflow in this time")


@pytest.mark.parametrize("state", STATES)
def test_executions_by_their_state_and_the_filter_is_in_the_address(visit: Visitor, world: World, state: str) -> None:
    reader = visit(world.origin)
    page = reader.open("/executions")
    page.click(f'[aria-label="States"] button:has-text("{state}")')
    reader.expect_address(f"state={state}")
    only = """state => {
        const cells = [...document.querySelectorAll('tbody tr td:first-child')];
        return cells.length > 0 && cells.every(cell => cell.textContent === state);
    }"""
    if state == "PENDING":
        # They are counted, and have no ids yet: the page says so instead of a list.
        page.wait_for_selector("text=No executions")
        return
    reader.until(only, state)
    page.reload()
    reader.until(only, state)
    if state in {"FAILED", "TIMEOUT", "DEAD", "COMPLETED"}:
        page.locator("tbody tr").first.click()
        page.click('aside >> text="Open trace"')
        page.wait_for_selector(".wf-row")


def test_a_dead_letter_is_redriven_after_a_question(visit: Visitor, world: World) -> None:
    world.post.publish("orders.desk wrong")
    reader = visit(world.origin)
    page = reader.open("/dead-letters")
    box = page.locator("tbody tr", has_text="is no order").first.locator('input[type="checkbox"]')
    box.check()
    letter = box.get_attribute("aria-label")
    page.click('button:has-text("Redrive")')
    page.click('dialog[open] button:has-text("Redrive")')
    reader.until("name => document.querySelector(`[aria-label='${name}']`) === null", letter)
    page.wait_for_selector("dialog", state="detached")


def test_a_payload_that_a_stream_keeps_is_shown_with_its_event(visit: Visitor, world: World) -> None:
    world.post.publish("orders.desk fine, thank you <b>very</b> much")
    reader = visit(world.origin)
    page = reader.open("/events?topic=orders.desk&live=1")
    page.wait_for_selector("tbody tr >> text=stream orders")
    page.locator("tbody tr").first.click()
    reader.expect_address("/events/[0-9a-f-]{36}")
    page.wait_for_selector('[aria-label="Payload"] >> text=<b>very</b>')


def test_pages_of_a_list(visit: Visitor, world: World) -> None:
    reader = visit(world.origin)
    # A time that has ended: what comes meanwhile would move the list.
    page = reader.open("/events?to=now-0s")
    first = "document.querySelector('tbody tr')?.textContent"
    reader.until("() => document.querySelectorAll('tbody tr').length === 100")
    top = page.evaluate(first)
    page.click('button:has-text("Next page")')
    reader.until(f"top => {first} && {first} !== top", top)
    page.go_back()
    reader.until(f"top => {first} === top", top)


def test_a_cursor_of_another_list_is_refused_in_words(visit: Visitor, world: World) -> None:
    events = world.get("events", limit=1)
    page = visit(world.origin).open(f"/traces?cursor={events['next_cursor']}")
    page.wait_for_selector("text=/cursor/")


def test_links_in_the_form_of_jaeger_lead_to_the_same(visit: Visitor, world: World) -> None:
    traces = world.get("traces", operation="sensor.emit_data", limit=1)
    trace = traces["items"][0]["trace_id"]
    reader = visit(world.origin)
    page = reader.open(f"/trace/{trace}?uiFind=EventBus.publish")
    reader.expect_address(rf"/traces/{trace}\?.*q=EventBus\.publish")
    page.wait_for_selector('[role="status"]:has-text("/2")')
    reader.open("/search?service=agent-processor-agent&lookback=2h")
    reader.expect_address(r"/traces\?.*service=agent-processor-agent")
    assert reader.query("from") == "now-2h"
    page.wait_for_selector("tbody tr")


def test_an_id_in_the_palette_leads_to_its_page(visit: Visitor, world: World) -> None:
    events = world.get("events", topic="processed.data", limit=1)
    event = events["items"][0]
    reader = visit(world.origin)
    page = reader.open("/traces")
    page.wait_for_selector("tbody tr")
    reader.press("Control+k")
    page.wait_for_selector("dialog[open] input")
    page.keyboard.type(f"00-{event['trace_id']}-{event['span_id']}-01")
    reader.press("Enter")
    reader.expect_address(f"/traces/{event['trace_id']}")
    reader.until_selected("EventBus.publish")


def test_the_theme_is_the_readers_and_changed_by_no_link(visit: Visitor, world: World) -> None:
    reader = visit(world.origin)
    page = reader.open("/traces")
    theme = "document.documentElement.dataset.theme"
    assert page.evaluate(theme) is None
    page.click('button[aria-label^="Theme"]')
    page.click('button[aria-label="Theme: light"]')
    assert page.evaluate(theme) == "dark"
    reader.open("/traces?theme=light")
    assert page.evaluate(theme) == "dark"
