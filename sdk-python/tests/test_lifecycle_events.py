"""What handlers tell of themselves: events on their span, spans of tools, and contents only where they are wanted."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from conftest import Bus, SpanView, Traces, eventually
from loom import Context, Event
from loom.config import Settings
from loom.contents import CAPTURE_CONTENT
from loom.semconv import attribute, event
from opentelemetry import trace

# The first agent of the process sets telemetry up: no test may make one before the server is there.
pytestmark = pytest.mark.usefixtures("server")

Work = Callable[[Context], Coroutine[Any, Any, None]]


async def spans_of(bus: Bus, traces: Traces, count: int, work: Work, **options: Any) -> dict[str, SpanView]:
    """Let a handler do this work; return the agent's spans of its trace by name."""
    topic = bus.names.topic("work")
    trace_ids: list[str] = []
    agent = bus.agent("worker", **options)

    @agent.on(topic)
    async def handle(ctx: Context, topic: str, event: Event) -> None:
        trace_ids.append(f"{ctx.span.get_span_context().trace_id:032x}")
        await work(ctx)

    await agent.start()
    await agent.emit(topic)
    await eventually(lambda: trace_ids)
    # agent.emit, bridge.publish, EventBus.publish, bridge.forward come before.
    spans = await traces.whole(trace_ids[0], 4 + count)
    return {span.name: span for span in spans}


def told(span: SpanView) -> list[tuple[str, str | None]]:
    """Names of the events on a span, with the tool that each is about."""
    names = {event.AGENT_THINKING, event.TOOL_EXECUTING, event.TOOL_COMPLETED}
    return [(log["event"], log.get(attribute.GEN_AI_TOOL_NAME)) for log in span.logs if log["event"] in names]


async def test_thoughts_and_tools_are_told_without_their_contents(bus: Bus, traces: Traces) -> None:
    async def work(ctx: Context) -> None:
        ctx.thinking("a secret")
        async with ctx.tool("search", query="another secret") as tool:
            assert trace.get_current_span() is tool.span
            with ctx.tool("fetch"):
                ctx.thinking()
        assert trace.get_current_span() is ctx.span

    spans = await spans_of(bus, traces, 3, work)
    handler, search, fetch = (spans[name] for name in ("agent.on_event", "execute_tool search", "execute_tool fetch"))
    assert told(handler) == [
        ("agent_thinking", None),
        ("tool_executing", "search"),
        ("tool_executing", "fetch"),
        ("agent_thinking", None),
        ("tool_completed", "fetch"),
        ("tool_completed", "search"),
    ]
    assert handler.logs[0][attribute.THOUGHT_SIZE] in (8, "8")
    assert (search.parent, fetch.parent) == (handler.id, search.id)
    assert search.tags[attribute.GEN_AI_OPERATION_NAME] == "execute_tool"
    assert search.tags[attribute.GEN_AI_TOOL_NAME] == "search"
    assert "secret" not in str([span._asdict() for span in spans.values()])


async def test_contents_are_captured_where_the_agent_wants_it_and_cut(bus: Bus, traces: Traces) -> None:
    async def work(ctx: Context) -> None:
        ctx.thinking("x" * 5000)
        with ctx.tool("search", query="ü", at=object):
            pass

    spans = await spans_of(bus, traces, 2, work, capture_content=True)
    thought = spans["agent.on_event"].logs[0]
    assert thought[attribute.THOUGHT] == "x" * 4096
    arguments = spans["execute_tool search"].tags[attribute.GEN_AI_TOOL_ARGUMENTS]
    assert arguments == '{"query": "ü", "at": "<class \'object\'>"}'


async def test_a_tool_that_fails_says_so(bus: Bus, traces: Traces) -> None:
    async def work(ctx: Context) -> None:
        with ctx.tool("search"):
            raise KeyError("nothing")

    spans = await spans_of(bus, traces, 2, work)
    tool, handler = spans["execute_tool search"], spans["agent.on_event"]
    assert tool.tags["error"] is True
    assert tool.tags[attribute.ERROR_TYPE] == "KeyError"
    done = next(log for log in handler.logs if log["event"] == event.TOOL_COMPLETED)
    assert done[attribute.ERROR_TYPE] == "KeyError"


async def test_a_tool_that_is_cancelled_has_failed(bus: Bus, traces: Traces) -> None:
    async def work(ctx: Context) -> None:
        async with ctx.tool("search"):
            await asyncio.sleep(3600)

    spans = await spans_of(bus, traces, 2, work, timeout=0.05)
    tool, handler = spans["execute_tool search"], spans["agent.on_event"]
    assert (tool.tags["error"], tool.tags[attribute.ERROR_TYPE]) == (True, "CancelledError")
    assert told(handler) == [("tool_executing", "search"), ("tool_completed", "search")]
    assert handler.tags[attribute.EXECUTION_STATE] == "TIMEOUT"


@pytest.mark.parametrize(
    ("given", "variable", "expected"),
    [(None, "", False), (None, "True", True), (False, "true", False), (True, "", True)],
)
def test_who_decides_about_contents(
    monkeypatch: pytest.MonkeyPatch, given: bool | None, variable: str, expected: bool
) -> None:
    monkeypatch.setenv(CAPTURE_CONTENT, variable)
    options: dict[str, Any] = {"address": None, "token": None, "max_in_flight": 1, "credit": 1, "buffer_bytes": 1}
    times: dict[str, Any] = {"emit_timeout": None, "stop_timeout": 1.0, "heartbeat": 0.0, "heartbeat_timeout": 0.0}
    settings = Settings.from_environment(**options, **times, capture_content=given)
    assert settings.capture_content is expected
