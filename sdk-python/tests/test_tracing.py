"""The promise: one event's way is one chain of parents, and the context is where user code looks for it."""

from __future__ import annotations

import asyncio
import contextvars
import itertools
from typing import Any

import loom
import pytest
from conftest import Bus, SpanView, Traces, chain, eventually
from loom import Context, Event
from opentelemetry import baggage, context, trace
from opentelemetry.trace import SpanKind, format_span_id, format_trace_id

tracer = trace.get_tracer("tests", "1.2")

HOP = ["bridge.publish", "EventBus.publish", "bridge.forward", "agent.on_event"]


async def through_one_handler(bus: Bus, handle: Any, **options: Any) -> str:
    """Emit one event under a root span, wait for its handler, and return the trace id."""
    done = asyncio.Event()
    topic = bus.names.topic("traced")

    async def handler(ctx: Context, topic: str, event: Event) -> None:
        try:
            await handle(ctx, topic, event)
        finally:
            done.set()

    await bus.started("receiver", topics=[topic], on_event=handler)
    sender = await bus.started("sender")
    with tracer.start_as_current_span("root") as root:
        await sender.emit(topic, **options)
    await asyncio.wait_for(done.wait(), 15)
    return format_trace_id(root.get_span_context().trace_id)


async def test_two_hops_are_nine_spans_in_one_chain(bus: Bus, traces: Traces) -> None:
    first, second, done = bus.names.topic("sensor", "data"), bus.names.topic("processed", "data"), asyncio.Event()

    async def process(ctx: Context, topic: str, event: Event) -> None:
        await ctx.emit(second, type="processed", payload=event.json() * 1.5)

    async def output(ctx: Context, topic: str, event: Event) -> None:
        done.set()

    processor = await bus.started("processor", topics=[first], on_event=process)
    out = await bus.started("output", topics=[bus.names.topic("processed", "*")], on_event=output)
    sensor = await bus.started("sensor")
    with tracer.start_as_current_span("sensor.emit_data") as root:
        event_id = await sensor.emit(first, type="reading", payload=2, thread_id="t-1", correlation_id="c-1")
    await asyncio.wait_for(done.wait(), 15)

    spans = chain(await traces.whole(format_trace_id(root.get_span_context().trace_id), 9))
    assert [span.name for span in spans] == ["sensor.emit_data", *HOP, *HOP]
    services = [span.service for span in spans if not span.service.startswith("loom")]
    assert services[1:] == [f"agent-{processor.agent_id}", f"agent-{out.agent_id}"]
    assert [span.tags["span.kind"] for span in spans] == [
        "internal", *["consumer", "producer", "producer", "consumer"] * 2
    ]  # fmt: skip
    handled = spans[4].tags
    assert {key: handled[key] for key in EXPECTED} == {
        **EXPECTED,
        "agent.id": processor.agent_id,
        "gen_ai.agent.id": processor.agent_id,
        "gen_ai.agent.name": processor.agent_id,
        "messaging.client.id": processor.agent_id,
        "event.id": event_id,
        "messaging.message.id": event_id,
        "topic": first,
        "messaging.destination.name": first,
        "messaging.destination.subscription.name": first,
        "messaging.message.body.size": 1,
    }
    assert spans[8].tags["thread_id"] == "t-1"
    assert "correlation_id" not in spans[8].tags
    for parent, child in itertools.pairwise(spans):
        assert child.start_us >= parent.start_us, f"{child.name} starts before {parent.name}"


EXPECTED: dict[str, Any] = {
    "event.type": "reading",
    "thread_id": "t-1",
    "correlation_id": "c-1",
    "messaging.message.conversation_id": "t-1",
    "messaging.system": "loom",
    "messaging.operation.name": "on_event",
    "messaging.operation.type": "process",
    "gen_ai.operation.name": "invoke_agent",
    **dict.fromkeys(
        (
            "agent.id",
            "gen_ai.agent.id",
            "gen_ai.agent.name",
            "messaging.client.id",
            "event.id",
            "messaging.message.id",
            "topic",
            "messaging.destination.name",
            "messaging.destination.subscription.name",
            "messaging.message.body.size",
        )
    ),
}


async def test_an_emit_outside_of_spans_is_the_root_of_a_trace(bus: Bus, traces: Traces) -> None:
    topic = bus.names.topic("root")
    seen: list[Any] = []

    async def handle(ctx: Context, topic: str, event: Event) -> None:
        seen.append(event.envelope.trace_id)

    await bus.started(topics=[topic], on_event=handle)
    sender = await bus.started("sender")
    event_id = await sender.emit(topic, type="reading", payload=b"12")
    await sender.emit(topic)
    await eventually(lambda: len(seen) == 2)
    assert seen[0] != seen[1]
    spans = chain(await traces.whole(seen[0], 5))
    assert [span.name for span in spans] == ["agent.emit", *HOP]
    assert spans[0].service == f"agent-{sender.agent_id}"
    tags = spans[0].tags
    assert (tags["span.kind"], tags["event.id"], tags["messaging.operation.type"]) == ("producer", event_id, "send")
    assert (tags["topic"], tags["event.type"], tags["messaging.message.body.size"]) == (topic, "reading", 2)


async def test_user_spans_inside_a_handler_are_its_children_and_the_agent_s(bus: Bus, traces: Traces) -> None:
    async def handle(ctx: Context, topic: str, event: Event) -> None:
        assert trace.get_current_span() is ctx.span
        with tracer.start_as_current_span("llm.call"):
            await asyncio.gather(work("task"), asyncio.to_thread(in_thread))

    async def work(name: str) -> None:
        with tracer.start_as_current_span(name):
            await asyncio.sleep(0)

    def in_thread() -> None:
        with tracer.start_as_current_span("thread"):
            pass

    spans = await traces.whole(await through_one_handler(bus, handle), 8)
    by_name = {span.name: span for span in spans}
    handler = by_name["agent.on_event"]
    assert by_name["llm.call"].parent == handler.id
    assert by_name["task"].parent == by_name["thread"].parent == by_name["llm.call"].id
    assert {by_name[name].service for name in ("llm.call", "task", "thread")} == {handler.service}
    assert len(spans) == 8


async def test_plain_functions_have_their_context(bus: Bus, traces: Traces) -> None:
    topic, answer = bus.names.topic("plain"), bus.names.topic("answer")
    ids: list[Any] = []

    def handle(ctx: Context, topic: str, event: Event) -> None:
        assert trace.get_current_span() is ctx.span
        with tracer.start_as_current_span("in.thread"):
            ctx.blocking.emit(answer)

    async def done(ctx: Context, topic: str, event: Event) -> None:
        ids.append(event.envelope.trace_id)

    await bus.started(topics=[topic], on_event=handle)
    await bus.started("done", topics=[answer], on_event=done)
    await (await bus.started("sender")).emit(topic)
    await eventually(lambda: ids)
    spans = chain(await traces.whole(ids[0], 10))
    assert [span.name for span in spans] == ["agent.emit", *HOP, "in.thread", *HOP]


async def test_a_call_continues_the_trace(bus: Bus, traces: Traces) -> None:
    provider, capability = bus.agent("provider"), bus.names.topic("add")

    @provider.capability(capability)
    async def add(ctx: Context, args: Any) -> Any:
        assert trace.get_current_span() is ctx.span
        assert baggage.get_baggage("tenant") == "acme"
        with tracer.start_as_current_span("adding"):
            return args

    await provider.start()

    async def handle(ctx: Context, topic: str, event: Event) -> None:
        token = context.attach(baggage.set_baggage("tenant", "acme"))
        await ctx.invoke(capability, 1, timeout=10)
        context.detach(token)

    spans = chain(await traces.whole(await through_one_handler(bus, handle), 8))
    assert [span.name for span in spans] == ["root", *HOP, "broker.invoke", "agent.on_action", "adding"]
    served = spans[6]
    assert served.service == spans[7].service == f"agent-{provider.agent_id}"
    assert (served.tags["span.kind"], served.tags["gen_ai.tool.name"]) == ("server", capability)
    assert served.tags["loom.broker.caller"] in served.tags.values()


async def test_a_failing_handler_marks_its_span(bus: Bus, traces: Traces) -> None:
    async def handle(ctx: Context, topic: str, event: Event) -> None:
        raise LookupError("no such order")

    spans = chain(await traces.whole(await through_one_handler(bus, handle), 5))
    failed = spans[-1]
    assert failed.tags["error"] is True
    assert failed.tags["error.type"] == "LookupError"
    assert failed.tags["otel.status_description"] == "LookupError: no such order"
    (log,) = failed.logs
    assert (log["exception.type"], log["exception.message"]) == ("LookupError", "no such order")
    assert "raise LookupError" in log["exception.stacktrace"]
    assert all("error" not in span.tags for span in spans[:-1])


async def test_baggage_travels_through_handlers(bus: Bus) -> None:
    first, second = bus.names.topic("first"), bus.names.topic("second")
    seen: list[Any] = []

    async def forward(ctx: Context, topic: str, event: Event) -> None:
        assert baggage.get_all() == {"tenant": "acme", "näme": "ö,=;", "agent.id": forwarder.agent_id}
        await ctx.emit(second)

    async def end(ctx: Context, topic: str, event: Event) -> None:
        seen.append((dict(baggage.get_all()), event.envelope.trace_id))

    forwarder = await bus.started(topics=[first], on_event=forward)
    ender = await bus.started("end", topics=[second], on_event=end)
    sender = await bus.started("sender")
    with tracer.start_as_current_span("root") as root:
        token = context.attach(baggage.set_baggage("tenant", "acme", baggage.set_baggage("näme", "ö,=;")))
        await sender.emit(first)
        context.detach(token)
    await sender.emit(second)
    await eventually(lambda: len(seen) == 2)
    found = {trace_id: bag for bag, trace_id in seen}
    own = {"agent.id": ender.agent_id}
    assert found.pop(format_trace_id(root.get_span_context().trace_id)) == {"tenant": "acme", "näme": "ö,=;", **own}
    assert list(found.values()) == [own]


async def test_an_unsampled_trace_stays_so_and_is_one_trace(bus: Bus, traces: Traces) -> None:
    remote = trace.SpanContext(0xABC << 64 | 0xDEF, 0x123, is_remote=True, trace_flags=trace.TraceFlags(0))
    topic = bus.names.topic("unsampled")
    seen: list[Any] = []

    async def handle(ctx: Context, topic: str, event: Event) -> None:
        assert not ctx.span.is_recording()
        with tracer.start_as_current_span("child") as child:
            assert not child.is_recording()
            assert child.get_span_context().trace_id == remote.trace_id
        ctx.span.set_attribute("ignored", 1)
        if event.envelope.hop == 0:
            await ctx.emit(topic)
        seen.append(event.envelope)

    await bus.started(topics=[topic], on_event=handle)
    sender = await bus.started("sender")
    token = context.attach(trace.set_span_in_context(trace.NonRecordingSpan(remote)))
    await sender.emit(topic)
    context.detach(token)
    await eventually(lambda: len(seen) == 2)
    assert {e.trace_id for e in seen} == {format_trace_id(remote.trace_id)}
    assert {e.trace_flags for e in seen} == {"00"}
    assert loom.init_telemetry().force_flush()
    assert traces.get(format_trace_id(remote.trace_id)) == []


async def test_spans_of_another_provider_are_parents_too(bus: Bus, traces: Traces) -> None:
    remote = trace.SpanContext(
        0x1234 << 64 | 0x5678,
        0x9ABC,
        is_remote=False,
        trace_flags=trace.TraceFlags(1),
        trace_state=trace.TraceState([("vendor", "value")]),
    )
    topic = bus.names.topic("foreign")
    seen: list[Any] = []

    async def handle(ctx: Context, topic: str, event: Event) -> None:
        seen.append(ctx.span.get_span_context())
        await ctx.emit(bus.names.topic("next"))

    async def following(ctx: Context, topic: str, event: Event) -> None:
        seen.append(ctx.span.get_span_context())

    await bus.started(topics=[topic], on_event=handle)
    await bus.started("next", topics=[bus.names.topic("next")], on_event=following)
    sender = await bus.started("sender")
    with trace.use_span(trace.NonRecordingSpan(remote)):
        await sender.emit(topic)
    await eventually(lambda: len(seen) == 2)
    assert {c.trace_id for c in seen} == {remote.trace_id}
    assert {c.trace_state.to_header() for c in seen} == {"vendor=value"}
    spans = await traces.whole(format_trace_id(remote.trace_id), 8)
    first = next(span for span in spans if span.parent not in {s.id for s in spans})
    assert (first.name, first.parent) == ("bridge.publish", format_span_id(remote.span_id))


async def test_nothing_leaks_from_one_event_to_the_next(bus: Bus) -> None:
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="clean")
    topic = bus.names.topic("leak")
    seen: list[Any] = []

    async def handle(ctx: Context, topic: str, event: Event) -> None:
        seen.append((variable.get(), trace.get_current_span() is ctx.span, baggage.get_baggage("leak")))
        variable.set(event.id)
        context.attach(baggage.set_baggage("leak", "yes"))
        trace.use_span(trace.INVALID_SPAN).__enter__()  # never left
        if event.json() % 3 == 0:
            await asyncio.sleep(0)
        assert variable.get() == event.id

    await bus.started(topics=[topic], on_event=handle)
    sender = await bus.started("sender")
    for number in range(300):
        await sender.emit(topic, payload=number)
    await eventually(lambda: len(seen) == 300)
    assert seen == [("clean", True, None)] * 300


async def test_asyncio_s_tools_work_inside_handlers(bus: Bus) -> None:
    topic = bus.names.topic("tools")
    results: list[Any] = []

    async def handle(ctx: Context, topic: str, event: Event) -> None:
        task = asyncio.current_task()
        assert task is not None
        assert task.cancelling() == 0, "an earlier handler left something behind"
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await asyncio.Event().wait()
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(asyncio.sleep(0, n)) for n in range(3)]
        with pytest.raises(ExceptionGroup):
            await failing_group()
        assert trace.get_current_span() is ctx.span
        results.append([task.result() for task in tasks])

    async def failing_group() -> None:
        async with asyncio.TaskGroup() as failing:
            failing.create_task(asyncio.sleep(5))
            failing.create_task(fail())

    async def fail() -> None:
        await asyncio.sleep(0)
        raise ValueError

    agent = await bus.started(topics=[topic], on_event=handle)
    sender = await bus.started("sender")
    for _ in range(20):
        await sender.emit(topic)
    await eventually(lambda: len(results) + agent.stats()["failed"] == 20)
    assert results == [[0, 1, 2]] * 20


async def test_concurrent_handlers_keep_their_traces_apart(bus: Bus, traces: Traces) -> None:
    first, second = bus.names.topic("a"), bus.names.topic("b")
    seen: dict[Any, Any] = {}

    async def forward(ctx: Context, topic: str, event: Event) -> None:
        await asyncio.sleep(0.001 * (event.json() % 7))
        await ctx.emit(second, payload=event.json())

    async def end(ctx: Context, topic: str, event: Event) -> None:
        seen[event.json()] = event.envelope.trace_id

    await bus.started(topics=[first], on_event=forward)
    await bus.started("end", topics=[second], on_event=end)
    sender = await bus.started("sender")
    roots: dict[int, str] = {}

    async def send(number: int) -> None:
        with tracer.start_as_current_span("root", kind=SpanKind.INTERNAL) as root:
            await asyncio.sleep(0.001 * (number % 3))
            await sender.emit(first, payload=number)
            roots[number] = format_trace_id(root.get_span_context().trace_id)

    await asyncio.gather(*(send(n) for n in range(200)))
    await eventually(lambda: len(seen) == 200)
    assert seen == roots
    for number in (0, 7, 99, 199):
        spans: list[SpanView] = chain(await traces.whole(roots[number], 9))
        assert [span.name for span in spans] == ["root", *HOP, *HOP]


async def test_every_trace_is_whole_at_full_speed(bus: Bus, traces: Traces) -> None:
    first, second, count = bus.names.topic("a"), bus.names.topic("b"), 2000
    ids: list[str] = []

    async def forward(ctx: Context, topic: str, event: Event) -> None:
        await ctx.emit(second)

    async def end(ctx: Context, topic: str, event: Event) -> None:
        ids.append(event.envelope.trace_id)

    await bus.started(topics=[first], on_event=forward)
    await bus.started("end", topics=[second], on_event=end)
    sender = await bus.started("sender")
    for _ in range(count):
        await sender.emit(first)
    await eventually(lambda: len(ids) == count)
    assert len(set(ids)) == count
    for trace_id in ids[:: count // 50]:
        spans = chain(await traces.whole(trace_id, 9))
        assert [span.name for span in spans] == ["agent.emit", *HOP, *HOP]


def test_envelopes_carry_the_context_by_themselves() -> None:
    with tracer.start_as_current_span("root") as root:
        envelope = loom.Envelope(thread_id="t").inject_trace_context()
    found = envelope.extract_trace_context()
    assert found is not None
    own = root.get_span_context()
    assert (found.trace_id, found.span_id, found.is_remote) == (own.trace_id, own.span_id, True)
    assert (envelope.thread_id, envelope.trace_id) == ("t", format_trace_id(own.trace_id))
    assert (envelope.span_id, len(envelope.trace_flags)) == (format_span_id(own.span_id), 2)
    for bad in ("", "00-" + "0" * 32 + "-1234567890abcdef-01", "ff-" + "a" * 32 + "-" + "b" * 16 + "-01", "garbage"):
        assert loom.Envelope(traceparent=bad).extract_trace_context() is None
        assert loom.Envelope(traceparent=bad).trace_id == ""
    assert loom.Envelope().inject_trace_context() == loom.Envelope()
