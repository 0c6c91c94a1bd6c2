"""Handlers whose time is up: cancelled where they can be, told where they cannot, and a TIMEOUT in any case."""

from __future__ import annotations

import asyncio
import math
import threading
from typing import Any

import loom
import pytest
from conftest import Bus, SpanView, Traces, eventually
from loom import Context, Event
from loom._deadlines import Deadlines, Running
from loom.semconv import attribute

# The first agent of the process sets telemetry up: no test may make one before the server is there.
pytestmark = pytest.mark.usefixtures("server")

SHORT = 0.05
"""Seconds. Nothing is asserted about how long anything takes: only what happens when this is over."""
FOR_EVER = 3600.0


async def handler_span(traces: Traces, trace_id: str, name: str = "agent.on_event") -> SpanView:
    async def look() -> list[SpanView]:
        spans = await asyncio.to_thread(traces.get, trace_id)
        return [span for span in spans if span.name == name]

    found: list[SpanView] = await eventually(look)
    return found[0]


def trace_of(ctx: Context) -> str:
    return f"{ctx.span.get_span_context().trace_id:032x}"


def assert_timed_out(span: SpanView) -> None:
    assert span.tags[attribute.EXECUTION_STATE] == "TIMEOUT"
    assert span.tags[attribute.ERROR_TYPE] == "DeadlineExceeded"
    assert span.tags["error"] is True
    assert "longer than its 0.05 s" in span.tags["otel.status_description"]


# ---- the watch itself ----


async def test_who_is_due_is_cancelled_and_nobody_else() -> None:
    loop = asyncio.get_running_loop()
    deadlines = Deadlines(loop)
    tasks = [loop.create_task(asyncio.sleep(FOR_EVER)) for _ in range(5)]
    seconds = [FOR_EVER, SHORT, math.inf, SHORT / 2, SHORT]
    running = [Running(each, task=task) for each, task in zip(seconds, tasks, strict=True)]
    for each in running:
        deadlines.enter(each)
    deadlines.leave(running[4])
    await asyncio.wait([tasks[1], tasks[3]])
    assert [task.cancelled() for task in tasks] == [False, True, False, True, False]
    assert [each.is_over for each in running] == [False, True, False, True, False]
    assert deadlines.timed_out == 2
    deadlines.close()
    for task in tasks:
        task.cancel()


async def test_one_who_enters_later_and_is_due_earlier_is_watched() -> None:
    loop = asyncio.get_running_loop()
    deadlines = Deadlines(loop)
    long, short = (loop.create_task(asyncio.sleep(FOR_EVER)) for _ in range(2))
    deadlines.enter(Running(FOR_EVER, task=long))
    deadlines.enter(Running(SHORT, task=short))
    await asyncio.wait([short])
    assert short.cancelled()
    assert not long.done()
    deadlines.close()
    long.cancel()


def test_what_the_handler_says_itself_counts() -> None:
    running = Running(1.0)
    running.check()
    error = ValueError("no")
    assert running.explain(error) is error
    running.expire("it took too long")
    late = running.explain(error)
    assert isinstance(late, loom.DeadlineExceeded)
    assert (str(late), late.__cause__) == ("it took too long", error)
    for own in (loom.Retry(delay=1), loom.Reject("no"), KeyboardInterrupt()):
        assert running.explain(own) is own
    with pytest.raises(loom.DeadlineExceeded, match="too long"):
        running.check()


@pytest.mark.parametrize("timeout", [-1.0, math.nan])
def test_what_is_no_time_is_refused(timeout: float) -> None:
    with pytest.raises(loom.InvalidAgent, match="timeout is"):
        loom.Agent("refused", timeout=timeout)
    agent = loom.Agent("refused")
    with pytest.raises(loom.InvalidAgent, match="timeout is"):
        agent.on("topic", timeout=timeout)
    with pytest.raises(loom.InvalidAgent, match="timeout is"):
        agent.capability("name", timeout=timeout)


@pytest.mark.parametrize("options", [{"heartbeat": -1.0}, {"heartbeat_timeout": math.inf}])
def test_what_is_no_heartbeat_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="number of seconds"):
        loom.Agent("refused", **options)


# ---- handlers of events ----


async def test_a_handler_that_sleeps_is_cancelled(bus: Bus, traces: Traces) -> None:
    topic = bus.names.topic("slow")
    seen: list[tuple[str, bool]] = []
    agent = bus.agent("worker", timeout=SHORT)

    @agent.on(topic)
    async def handle(ctx: Context, topic: str, event: Event) -> None:
        try:
            await asyncio.sleep(FOR_EVER)
        finally:
            seen.append((trace_of(ctx), ctx.is_cancelled))

    await agent.start()
    await agent.emit(topic)
    await eventually(lambda: agent.stats()["timed_out"] == 1)
    (trace_id, was_told) = (await eventually(lambda: seen))[0]
    assert was_told
    assert_timed_out(await handler_span(traces, trace_id))
    assert (agent.stats()["failed"], agent.stats()["handled"]) == (1, 0)


async def test_a_subscription_may_have_a_limit_of_its_own(bus: Bus) -> None:
    slow, quick = bus.names.topic("slow"), bus.names.topic("quick")
    agent = bus.agent("worker", timeout=SHORT)
    release = asyncio.Event()

    @agent.on(slow, timeout=math.inf)
    async def wait(ctx: Context, topic: str, event: Event) -> None:
        await release.wait()

    @agent.on(quick)
    async def sleep(ctx: Context, topic: str, event: Event) -> None:
        await asyncio.sleep(FOR_EVER)

    await agent.start()
    await agent.emit(slow)
    await agent.emit(quick)
    await eventually(lambda: agent.stats()["timed_out"] == 1)
    assert agent.stats()["handled"] == 0
    release.set()
    await eventually(lambda: agent.stats()["handled"] == 1)
    assert agent.stats()["timed_out"] == 1


async def test_one_that_swallows_its_cancellation_has_timed_out_all_the_same(bus: Bus) -> None:
    topic = bus.names.topic("stubborn")
    agent = bus.agent("worker", timeout=SHORT, max_in_flight=1)

    @agent.on(topic)
    async def handle(ctx: Context, topic: str, event: Event) -> None:
        if event.text() == "sleep":
            try:
                await asyncio.sleep(FOR_EVER)
            except asyncio.CancelledError:
                return

    await agent.start()
    await agent.emit(topic, payload="sleep")
    # The only worker goes on, and nothing of the cancellation is left on it.
    await agent.emit(topic, payload="next")
    await eventually(lambda: agent.stats()["handled"] == 1)
    assert (agent.stats()["failed"], agent.stats()["timed_out"]) == (1, 1)


async def test_a_function_in_a_thread_is_told_and_counted(bus: Bus, traces: Traces) -> None:
    topic = bus.names.topic("thread")
    contexts: list[Context] = []
    release = threading.Event()
    agent = bus.agent("worker", timeout=SHORT)

    @agent.on(topic)
    def handle(ctx: Context, topic: str, event: Event) -> None:
        contexts.append(ctx)
        release.wait()

    await agent.start()
    await agent.emit(topic)
    try:
        await eventually(lambda: agent.stats()["timed_out"] == 1)
        await eventually(lambda: agent.stats()["abandoned"] == 1)
        assert contexts[0].is_cancelled
        assert_timed_out(await handler_span(traces, trace_of(contexts[0])))
    finally:
        release.set()


async def test_what_timed_out_is_tried_again(bus: Bus) -> None:
    topic = bus.names.kept("again")
    attempts: list[int] = []
    agent = bus.agent("worker")

    @agent.on(topic, ack=True, timeout=1.0)
    async def handle(ctx: Context, topic: str, event: Event) -> None:
        attempts.append(event.attempt)
        if event.attempt == 1:
            await asyncio.sleep(FOR_EVER)

    await agent.start()
    await agent.emit(topic, confirm=True)
    await eventually(lambda: agent.stats()["handled"] == 1)
    assert attempts == [1, 2]
    assert agent.stats()["timed_out"] == 1


# ---- calls ----


async def test_a_capability_has_the_limit_of_its_agent(bus: Bus) -> None:
    provider = bus.agent("provider", timeout=SHORT)
    name = bus.names.agent("sleep")

    @provider.capability(name)
    async def sleep(ctx: Context, args: Any) -> None:
        await asyncio.sleep(FOR_EVER)

    await provider.start()
    caller = await bus.started("caller")
    with pytest.raises(loom.HandlerFailed, match=r"longer than its 0\.05 s"):
        await caller.invoke(name)
    assert provider.stats()["timed_out"] == 1


async def test_a_call_whose_caller_waits_no_longer_has_timed_out(bus: Bus, traces: Traces) -> None:
    provider = bus.agent("provider")
    name = bus.names.agent("sleep")
    contexts: list[Context] = []

    @provider.capability(name)
    async def sleep(ctx: Context, args: Any) -> None:
        contexts.append(ctx)
        await asyncio.sleep(FOR_EVER)

    await provider.start()
    caller = await bus.started("caller")
    with pytest.raises(loom.DeadlineExceeded):
        await caller.invoke(name, timeout=SHORT)
    await eventually(lambda: contexts and contexts[0].is_cancelled)
    span = await handler_span(traces, trace_of(contexts[0]), "agent.on_action")
    assert span.tags[attribute.EXECUTION_STATE] == "TIMEOUT"


async def test_a_call_that_was_cancelled_has_not_timed_out(bus: Bus, traces: Traces) -> None:
    provider = bus.agent("provider")
    name = bus.names.agent("sleep")
    contexts: list[Context] = []

    @provider.capability(name)
    async def sleep(ctx: Context, args: Any) -> None:
        contexts.append(ctx)
        await asyncio.sleep(FOR_EVER)

    await provider.start()
    caller = await bus.started("caller")
    call = asyncio.ensure_future(caller.invoke(name))
    await eventually(lambda: contexts)
    call.cancel()
    span = await handler_span(traces, trace_of(contexts[0]), "agent.on_action")
    assert attribute.EXECUTION_STATE not in span.tags
    assert span.tags[attribute.ERROR_TYPE] == "CancelledError"
    assert contexts[0].is_cancelled
