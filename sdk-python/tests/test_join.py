"""Events that belong together, handled by one call."""

from __future__ import annotations

import asyncio
from typing import Any

import loom
import pytest
from conftest import Bus, Traces, eventually, start_script
from loom import Context, Event, Joined
from opentelemetry import trace
from opentelemetry.trace import format_trace_id

pytestmark = pytest.mark.usefixtures("server")

WAITER = """
    import sys, loom
    agent = loom.Agent(sys.argv[1])

    @agent.join(sys.argv[2], sys.argv[3], ack=True, group=sys.argv[4], timeout=60)
    async def handle(ctx, joined):
        print("JOINED", *[event.text() for event in joined], flush=True)
        await ctx.emit(sys.argv[5], payload=" ".join(sorted(event.text() for event in joined)))

    @agent.on(sys.argv[2])
    async def tell(ctx, topic, event):
        print("SEEN", flush=True)

    async def main(agent):
        print("READY", flush=True)
        await agent.wait_closed()

    agent.run(main)
"""


async def joining(
    bus: Bus, seen: list[Joined], *patterns: str, options: dict[str, Any] | None = None, **of_agent: Any
) -> loom.Agent:
    async def handle(ctx: Context, joined: Joined) -> None:
        seen.append(joined)

    agent = bus.agent("joiner", **of_agent)
    given: dict[str, Any] = options or {}
    agent.join(*patterns, **given)(handle)
    await agent.start()
    return agent


async def test_one_call_handles_what_belongs_together(bus: Bus) -> None:
    a, b, c = (bus.names.topic(name) for name in "abc")
    seen: list[Joined] = []
    await joining(bus, seen, a, b, bus.names.topic("c", "*"))
    sender = await bus.started("sender")
    for topic in (a, b, f"{c}.x"):
        for order in range(20):
            await sender.emit(topic, payload=topic, correlation_id=f"order-{order}")
    await eventually(lambda: len(seen) == 20)
    assert sorted(joined.key for joined in seen) == sorted(f"order-{order}" for order in range(20))
    for joined in seen:
        assert ([event.text() for event in joined], joined.missing, joined.is_complete) == ([a, b, f"{c}.x"], (), True)
        assert joined[-1].topic == f"{c}.x"
    assert "missing=[]" in repr(seen[0])


async def test_time_that_is_over_brings_what_is_there(bus: Bus) -> None:
    a, b = bus.names.topic("a"), bus.names.topic("b")
    seen: list[Joined] = []
    await joining(bus, seen, a, b, options={"by": "thread_id", "timeout": 0.3})
    sender = await bus.started("sender")
    for text in ("one", "two"):
        await sender.emit(a, payload=text, thread_id="t-1")
    await eventually(lambda: seen)
    assert ([event.text() for event in seen[0]], seen[0].missing, seen[0].is_complete) == (["one", "two"], (b,), False)
    # What comes later begins anew.
    await sender.emit(b, payload="late", thread_id="t-1")
    await eventually(lambda: len(seen) == 2)
    assert ([event.text() for event in seen[1]], seen[1].missing) == (["late"], (a,))


async def test_more_wait_than_handlers_may_run(bus: Bus) -> None:
    """An event that waits for its partner takes no place from the partner."""
    a, b = bus.names.topic("a"), bus.names.topic("b")
    seen: list[Joined] = []
    agent = await joining(bus, seen, a, b, options={"timeout": 60}, max_in_flight=2)
    sender = await bus.started("sender")
    for number in range(200):
        await sender.emit(a, correlation_id=str(number))
    for number in range(200):
        await sender.emit(b, correlation_id=str(number))
    await eventually(lambda: len(seen) == 200)
    assert all(joined.is_complete for joined in seen)
    assert agent.stats()["failed"] == 0


async def test_an_event_that_belongs_to_nothing_is_told(bus: Bus, caplog: pytest.LogCaptureFixture) -> None:
    a, b = bus.names.topic("a"), bus.names.topic("b")
    agent = await joining(bus, [], a, b)
    sender = await bus.started("sender")
    await sender.emit(a)
    await eventually(lambda: agent.stats()["failed"] == 1)
    assert "an event without correlation_id cannot be joined" in caplog.text


async def test_a_plain_function_may_join(bus: Bus) -> None:
    a, b, done = bus.names.topic("a"), bus.names.topic("b"), bus.names.topic("done")
    seen: list[str] = []

    def handle(ctx: Context, joined: Joined) -> None:
        ctx.blocking.emit(done, payload="".join(event.text() for event in joined))

    async def keep(ctx: Context, topic: str, event: Event) -> None:
        seen.append(event.text())

    agent = bus.agent()
    agent.join(a, b)(handle)
    agent.on(done)(keep)
    await agent.start()
    await agent.emit(a, payload="1", correlation_id="c")
    await agent.emit(b, payload="2", correlation_id="c")
    await eventually(lambda: seen == ["12"])


def test_its_options_are_checked() -> None:
    agent = loom.Agent("joiner")

    async def handle(ctx: Context, joined: Joined) -> None: ...

    wrong: list[tuple[tuple[str, ...], dict[str, Any]]] = [
        (("a",), {}),
        ((), {}),
        (("a", "a"), {}),
        (("a", "b"), {"by": "sender"}),
        (("a", "b"), {"timeout": 0.0}),
        (("a", "b"), {"timeout": float("nan")}),
    ]
    for patterns, options in wrong:
        with pytest.raises(loom.InvalidAgent):
            agent.join(*patterns, **options)(handle)


# ---- acknowledged ----


async def test_joined_events_come_again_until_they_are_handled(bus: Bus) -> None:
    a, b = bus.names.kept("a"), bus.names.kept("b")
    calls: list[tuple[list[int], bool]] = []

    async def handle(ctx: Context, joined: Joined) -> None:
        calls.append((sorted(event.attempt for event in joined), joined.is_complete))
        if len(calls) < 3:
            raise loom.Retry("not yet", delay=0.01)

    agent = bus.agent("joiner")
    agent.join(a, b, ack=True, timeout=60)(handle)
    await agent.start()
    sender = await bus.started("sender")
    for topic in (a, b):
        await sender.emit(topic, correlation_id="c", thread_id="t", confirm=True)
    await eventually(lambda: agent.stats()["acked"] == 2)
    assert calls == [([1, 1], True), ([2, 2], True), ([3, 3], True)]
    assert agent.stats()["retried"] == 4


async def test_joined_events_are_rejected_together(bus: Bus) -> None:
    a, b = bus.names.kept("a"), bus.names.kept("b")

    async def handle(ctx: Context, joined: Joined) -> None:
        raise loom.Reject("nonsense")

    agent = bus.agent("joiner")
    agent.join(a, b, ack=True, timeout=60)(handle)
    await agent.start()
    for topic in (a, b):
        await agent.emit(topic, correlation_id="c", confirm=True)
    await eventually(lambda: agent.stats()["rejected_deliveries"] == 2)


async def test_what_waited_in_an_agent_that_dies_is_joined_by_the_next(bus: Bus) -> None:
    a, b, done = bus.names.kept("a"), bus.names.kept("b"), bus.names.topic("done")
    group, seen = bus.names.agent("group"), asyncio.Queue[str]()

    async def keep(ctx: Context, topic: str, event: Event) -> None:
        await seen.put(event.text())

    await bus.started("keeper", topics=[done], on_event=keep)
    sender = await bus.started("sender")

    def start() -> Any:
        return start_script(WAITER, bus.server.environment, bus.names.agent("waiter"), a, b, group, done)

    first = start()
    second = None
    try:
        assert await asyncio.to_thread(first.stdout.readline) == "READY\n"
        await sender.emit(a, payload="early", correlation_id="c", confirm=True)
        assert await asyncio.to_thread(first.stdout.readline) == "SEEN\n"
        first.kill()
        await asyncio.to_thread(first.wait)
        second = start()
        assert await asyncio.to_thread(second.stdout.readline) == "READY\n"
        await sender.emit(b, payload="late", correlation_id="c", confirm=True)
        assert await asyncio.wait_for(seen.get(), 20) == "early late"
    finally:
        for process in (first, second):
            if process is not None:
                process.kill()
                process.communicate()


# ---- the trace ----


async def test_the_span_of_the_last_arrival_is_linked_to_all(bus: Bus, traces: Traces) -> None:
    a, b = bus.names.topic("a"), bus.names.topic("b")
    marks: list[Any] = []

    async def handle(ctx: Context, joined: Joined) -> None:
        span: Any = ctx.span
        assert ctx.event is joined[-1]
        marks.extend((link.attributes["event.id"], link.attributes.get("loom.join.last")) for link in span.links)
        assert marks == [(joined[0].id, None), (joined[1].id, True)]

    agent = bus.agent("joiner")
    agent.join(a, b)(handle)
    await agent.start()
    sender = await bus.started("sender")
    tracer = trace.get_tracer("tests")
    ids: list[str] = []
    for topic in (a, b):
        with tracer.start_as_current_span("root") as root:
            await sender.emit(topic, correlation_id="c")
        ids.append(format_trace_id(root.get_span_context().trace_id))
    await eventually(lambda: marks)
    first = {span.name: span for span in await traces.whole(ids[0], 5)}
    last = {span.name: span for span in await traces.whole(ids[1], 5)}
    # The first one's handler ended when the second event came; the work was done in the span of the last.
    assert first["agent.on_event"].links == set()
    joined = last["agent.on_event"]
    assert joined.parent == last["bridge.forward"].id
    assert joined.links == {first["bridge.forward"].id}
