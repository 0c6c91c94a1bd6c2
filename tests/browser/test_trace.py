"""The page of one trace."""

from __future__ import annotations

import json
import secrets
import time
import urllib.parse
from typing import Any

import otlp
import pytest
from browser import Visitor
from loom.testing import LoomServer
from waiting import get, until
from world import HOSTILE_TRACE, LOOP_TRACE, TURNS, World

FOCUS_ON_TREE = "() => document.activeElement?.getAttribute('role') === 'treegrid'"
SELECTED = "document.querySelector('.wf-row[aria-selected=\"true\"]')"


def market(world: World) -> str:
    """Return a trace through all agents of the market desk."""
    traces = world.get("traces", workflow="market-analyst", q="market.report", limit=1)
    return str(traces["items"][0]["trace_id"])


def test_through_a_trace_with_the_keyboard_alone(visit: Visitor, world: World) -> None:
    reader = visit(world.origin)
    page = reader.open(f"/traces/{market(world)}")
    page.wait_for_selector(".wf-row")
    reader.until(FOCUS_ON_TREE)
    reader.press("ArrowDown", "ArrowDown", "j")
    reader.until(f"() => {SELECTED}?.getAttribute('aria-rowindex') === '4'")
    reader.press("k", "k")
    reader.until(f"() => {SELECTED}?.getAttribute('aria-rowindex') === '2'")
    reader.press("ArrowLeft")
    reader.until(f"() => {SELECTED}?.getAttribute('aria-expanded') === 'false'")
    reader.press("ArrowRight")
    reader.until(f"() => {SELECTED}?.getAttribute('aria-expanded') === 'true'")
    reader.press("Home", "/")
    page.keyboard.type("EventBus.publish")
    page.wait_for_selector('[role="status"]:has-text("/")')
    reader.press("Enter")
    reader.until_selected("EventBus.publish")
    reader.press("Escape")
    reader.until(FOCUS_ON_TREE)
    first = page.evaluate(f"{SELECTED}.getAttribute('aria-rowindex')")
    reader.press("n")
    reader.until(f"first => {SELECTED}?.getAttribute('aria-rowindex') !== first", first)
    reader.press("N")
    reader.until(f"first => {SELECTED}?.getAttribute('aria-rowindex') === first", first)
    reader.press("[", "]", "+")
    reader.expect_address(r"z=")
    reader.press("0", "c")
    reader.expect_address(r"critical=1")
    reader.press("End", "Enter")
    reader.until("() => document.activeElement?.tagName === 'ASIDE'")
    reader.press("Escape")
    reader.until(FOCUS_ON_TREE)
    reader.press("?")
    page.wait_for_selector("dialog[open] >> text=Next error")
    reader.press("Escape")
    page.wait_for_selector("dialog", state="detached")
    assert reader.query("q") == "EventBus.publish"


def test_the_next_error_and_what_its_handler_said(visit: Visitor, world: World) -> None:
    failed = world.get("executions", agent="clerk", state="FAILED")
    order = next(one for one in failed["items"] if one["error_message"] and "no such article" in one["error_message"])
    reader = visit(world.origin)
    page = reader.open(f"/traces/{order['trace_id']}")
    page.wait_for_selector(".wf-row")
    reader.until(FOCUS_ON_TREE)
    reader.press("e")
    page.wait_for_selector("aside >> text=no such article")
    page.click('aside [role="tab"]:has-text("Events")')
    page.wait_for_selector("aside >> text=exception")


def test_siblings_that_are_alike_are_one_row_until_it_is_opened(visit: Visitor, world: World) -> None:
    reader = visit(world.origin)
    page = reader.open(f"/traces/{LOOP_TRACE}")
    rows = "document.querySelectorAll('.wf-row').length"
    reader.until(f"() => {rows} === 3")
    reader.until(FOCUS_ON_TREE)
    reader.press("Home", "ArrowDown", "ArrowRight")
    reader.until(f"() => {rows} === {2 + 2 * TURNS}")
    reader.expect_address(r"fold=x[0-9a-f]{16}")
    page.reload()
    reader.until(f"() => {rows} === {2 + 2 * TURNS}")
    page.click(f'button:has-text("×{TURNS}")')
    reader.until(f"() => {rows} === 3")
    # What is sought is shown, whatever hid it.
    reader.open(f"/traces/{LOOP_TRACE}?q={0x203:016x}")
    page.wait_for_selector('[role="status"]:has-text("/1")')
    page.focus('[role="treegrid"]')
    reader.press("n")
    reader.until_selected("GET /search")


def test_the_work_of_a_trace_as_a_flame_graph(visit: Visitor, world: World) -> None:
    reader = visit(world.origin)
    page = reader.open(f"/traces/{LOOP_TRACE}?view=flame")
    tool = page.locator("tbody tr", has_text="execute_tool search")
    tool.wait_for()
    assert str(TURNS) in tool.locator("td").all_text_contents()
    tool.click()
    page.wait_for_selector("aside >> text=execute_tool search")
    # The frames of the second level: the tool takes most of it, and stands first.
    page.locator("canvas").dblclick(position={"x": 40, "y": 30})
    page.wait_for_selector('button:has-text("Up")')
    page.get_by_role("button", name="All", exact=True).click()
    page.wait_for_selector("text=Spans of one path are one frame")


def test_a_trace_is_taken_along_for_other_tools(visit: Visitor, world: World) -> None:
    page = visit(world.origin).open(f"/traces/{LOOP_TRACE}")
    page.wait_for_selector(".wf-row")

    def saved(entry: str) -> Any:
        page.click('button[aria-label="More"]')
        with page.expect_download() as download:
            page.click(f'[role="menuitem"]:has-text("{entry}")')
        return json.loads(download.value.path().read_text(encoding="utf-8"))

    slices = [event for event in saved("Perfetto")["traceEvents"] if event["ph"] == "X"]
    assert len(slices) == 2 + 2 * TURNS
    resources = saved("OTLP")["result"]["resourceSpans"]
    assert sum(len(scope["spans"]) for one in resources for scope in one["scopeSpans"]) == 2 + 2 * TURNS
    assert len(saved("Jaeger JSON")["data"][0]["spans"]) == 2 + 2 * TURNS


def test_two_runs_are_compared_step_by_step(visit: Visitor, world: World) -> None:
    runs = world.get("traces", workflow="market-analyst", q="market.report", limit=2)["items"]
    first, second = (run["trace_id"] for run in runs)
    reader = visit(world.origin)
    page = reader.open(f"/traces/{first}")
    page.click('button[aria-label="More"]')
    page.click('[role="menuitem"]:has-text("Compare")')
    page.keyboard.type(second)
    reader.press("Enter")
    reader.expect_address(rf"/traces/{first}\.\.\.{second}")
    page.wait_for_selector('tbody tr:has-text("invoke_workflow market-analyst")')
    assert page.locator("tbody tr").count() > 10


def test_what_was_said_to_a_model_is_shown_where_it_is_kept(visit: Visitor, world: World) -> None:
    reader = visit(world.origin)
    page = reader.open(f"/traces/{market(world)}?q=chat")
    page.wait_for_selector('[role="status"]:has-text("/")')
    page.focus('[role="treegrid"]')
    reader.press("n")
    reader.until_selected("chat")
    page.wait_for_selector('aside [role="tab"]:has-text("Model")')
    page.wait_for_selector("aside >> text=Tokens in")
    page.wait_for_selector('aside [role="tabpanel"] >> text="user"')


def test_a_trace_whose_spans_have_not_come_is_waited_for_and_grows(visit: Visitor, world: World) -> None:
    trace = secrets.token_hex(16)
    now = time.time_ns()
    page = visit(world.origin).open(f"/traces/{trace}")
    page.wait_for_selector("text=Waiting for the spans of this trace")
    otlp.send(world.server.otlp_http, [otlp.span(trace, 2, 1, "the child comes first", now)])
    page.wait_for_selector('.wf-row:has-text("the child comes first")')
    page.wait_for_selector("text=/missing|not there/")
    otlp.send(world.server.otlp_http, [otlp.span(trace, 1, None, "the root comes later", now - 1000)])
    page.wait_for_selector('.wf-row:has-text("the root comes later")')


def test_hostile_text_stays_text(visit: Visitor, world: World) -> None:
    reader = visit(world.origin)
    page = reader.open(f"/traces/{HOSTILE_TRACE}?span={0xBAD1:016x}")
    page.wait_for_selector("aside >> text=Attributes")
    page.wait_for_selector(r"text=\u202egnp.evil")
    for tab in ("Events", "Process"):
        page.click(f'aside [role="tab"]:has-text("{tab}")')
    page.focus('[role="treegrid"]')
    reader.press("/")
    page.keyboard.type(otlp.HOSTILE[2])
    page.wait_for_selector('[role="status"]:has-text("/2")')
    by_service = urllib.parse.urlencode({"service": otlp.HOSTILE[0], "q": otlp.HOSTILE[2]})
    for path in (f"/traces?{by_service}", "/agents", "/executions?state=FAILED", "/dead-letters"):
        reader.open(path)
        page.wait_for_selector("table tbody tr")
    assert page.evaluate("window.hacked") is None
    assert page.locator("a[href^='javascript']").count() == 0
    still = world.get("traces/" + HOSTILE_TRACE)
    assert still["spans"] == 2


def test_other_tools_are_a_click_away_where_the_settings_name_them(visit: Visitor, world: World) -> None:
    explore = "http://127.0.0.1:3000/explore?left={trace_id}&from={start_ms}&to={end_ms}"
    settings = f'[links]\njaeger_ui_url = "http://127.0.0.1:16686"\ngrafana_url = "{explore}"\n'
    begin_ms = time.time_ns() // 1_000_000
    trace = secrets.token_hex(16)
    with LoomServer(settings=settings) as server:
        otlp.send(server.otlp_http, [otlp.span(trace, 1, None, "run", begin_ms * 1_000_000, duration_ns=7_000_000)])
        until(lambda: get(server.http, "traces", q=trace)["items"], "the span is stored")
        page = visit(f"http://{server.http}").open(f"/traces/{trace}")
        page.wait_for_selector(".wf-row")
        jaeger = page.get_by_role("link", name="Jaeger").get_attribute("href")
        assert jaeger == f"http://127.0.0.1:16686/trace/{trace}?uiFind="
        grafana = page.get_by_role("link", name="Grafana").get_attribute("href")
        assert grafana == f"http://127.0.0.1:3000/explore?left={trace}&from={begin_ms}&to={begin_ms + 7}"
    # A server that knows of none offers none.
    page = visit(world.origin).open(f"/traces/{market(world)}")
    page.wait_for_selector(".wf-row")
    assert page.get_by_role("link", name="Jaeger").count() == 0


_WATCH_FIRST_ROW = """() => {
    let clicked = 0;
    addEventListener("click", event => { clicked ||= event.timeStamp; }, { capture: true });
    const rows = new MutationObserver(() => {
        if (!document.querySelector(".wf-row")) return;
        rows.disconnect();
        requestAnimationFrame(() => setTimeout(() => { window.firstRow = { clicked, drawn: performance.now() }; }));
    });
    rows.observe(document, { childList: true, subtree: true });
}"""
"""Sets ``firstRow`` when the first row of a waterfall is drawn: when that was, and when the reader had clicked."""


def test_fifty_thousand_spans_few_rows_and_the_last_one_a_key_away(
    visit: Visitor, world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    count = 50_000
    trace = secrets.token_hex(16)
    otlp.send(world.server.otlp_http, otlp.many_spans(trace, count))
    world.until_stored(trace, count)
    reader = visit(world.origin)
    page = reader.open(f"/traces?service=by-hand&operation=run&q={trace}")
    link = f'a[href*="{trace}"]'
    page.wait_for_selector(link)
    page.evaluate(_WATCH_FIRST_ROW)
    page.click(link)
    reader.until("() => window.firstRow")
    times = page.evaluate(
        """trace => {
            const answer = performance.getEntriesByType("resource").findLast(one => one.name.endsWith(trace));
            const { clicked, drawn } = window.firstRow;
            const after = time => Math.round(time - clicked);
            return { asked: after(answer.startTime), answered: after(answer.responseEnd), drawn: after(drawn) };
        }""",
        trace,
    )
    rows = page.locator(".wf-row").count()
    assert 10 < rows < 80
    assert page.locator('[role="treegrid"]').get_attribute("aria-rowcount") == str(count + 1)
    page.locator('[role="treegrid"]').focus()
    reader.press("End")
    page.wait_for_selector(f'.wf-row[aria-rowindex="{count + 1}"]')
    frames = page.evaluate(
        """async () => {
            const grid = document.querySelector('[role="treegrid"]');
            const times = [];
            let last = performance.now();
            for (let at = 0; at < 90; at += 1) {
                grid.scrollTop = at * 400;
                const now = await new Promise(requestAnimationFrame);
                times.push(now - last);
                last = now;
            }
            return times.sort((a, b) => a - b);
        }"""
    )
    # Figures of this machine, which a test does not judge.
    with capsys.disabled():
        print(
            f"\n50,000 spans, ms after the click: {times}; "
            f"frames of scrolling p50 {frames[45]:.0f} ms, p99 {frames[88]:.0f} ms"
        )
