"""``LoomSpans`` without pytest's fixtures: when a trace is whole, and what of it is there."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from conftest import Bus, eventually
from loom import Context, Event
from loom.testing import LoomServer, LoomSpans, assert_trace
from opentelemetry import trace
from opentelemetry.trace import format_trace_id

tracer = trace.get_tracer("tests")


@pytest.fixture
def spans(server: LoomServer) -> Iterator[LoomSpans]:
    with LoomSpans(server) as spans:
        yield spans


async def test_calls_requests_barriers_and_emits_without_a_span_are_whole(bus: Bus, spans: LoomSpans) -> None:
    topic, name = bus.names.topic("asked"), bus.names.agent("sum")

    async def answer(ctx: Context, topic: str, event: Event) -> None:
        await ctx.barrier(bus.names.topic("alone"), 1)
        await ctx.reply(await ctx.invoke(name, event.json()))

    provider = bus.agent("provider")

    @provider.capability(name)
    async def total(ctx: Context, numbers: list[int]) -> int:
        return sum(numbers)

    await provider.start()
    await bus.started("answerer", topics=[topic], on_event=answer)
    asker = await bus.started("asker")
    with tracer.start_as_current_span("ask") as root:
        assert (await asker.request(topic, [1, 2])).json() == 3
    await spans.assert_trace(
        root,
        """
        ask
          bridge.publish
            EventBus.publish
              bridge.forward
                agent.on_event
                  broker.invoke [loom.broker.capability=_loom.barrier]
                  broker.invoke
                    agent.on_action
                  bridge.publish
                    EventBus.publish
                      bridge.forward
                        ...
          ~> bridge.forward
        """,
    )


async def test_a_trace_is_found_by_whatever_names_it(bus: Bus, spans: LoomSpans) -> None:
    topic, seen = bus.names.topic("emitted"), list[int]()

    async def handle(ctx: Context, topic: str, event: Event) -> None:
        seen.append(trace.get_current_span().get_span_context().trace_id)

    agent = await bus.started("both", topics=[topic], on_event=handle)
    await agent.emit(topic)
    await eventually(lambda: seen)
    found = await spans.trace(seen[0])
    assert_trace(found, "agent.emit [kind=producer]\n  bridge.publish\n    ...")
    assert await spans.trace(format_trace_id(seen[0]).upper()) == found
    assert await spans.trace(found[-1]) == found
    assert {span.trace_id for span in spans.finished()} == {format_trace_id(seen[0])}
    assert spans.found(seen[0] ^ 1) == []


async def test_what_others_recorded_before_is_not_there(server: LoomServer) -> None:
    with LoomSpans(server) as first:
        tracer.start_span("before").end()
        assert [span.name for span in first.finished()] == ["before"]
    tracer.start_span("between").end()
    with LoomSpans(server) as second:
        assert second.finished() == []
        tracer.start_span("after").end()
        with LoomSpans(server) as third:
            assert [span.name for span in third.finished()] == ["after"]


async def test_a_handler_that_runs_keeps_the_trace_open(bus: Bus, spans: LoomSpans) -> None:
    topic, go, begun = bus.names.topic("slow"), asyncio.Event(), asyncio.Event()

    async def handle(ctx: Context, topic: str, event: Event) -> None:
        begun.set()
        await go.wait()

    agent = await bus.started("slow", topics=[topic], on_event=handle)
    with tracer.start_as_current_span("root") as root:
        await agent.emit(topic)
    await begun.wait()
    with pytest.raises(AssertionError, match=r"was not whole within 0 s:\n(- .*\n)*- agent.on_event has not ended"):
        await spans.trace(root, timeout=0)
    go.set()
    found: Any = await spans.trace(root)
    assert len(found) == 5
