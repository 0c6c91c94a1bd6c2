"""Events from emit to handler, without a look at traces."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import threading
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import loom
import pytest
from conftest import PATIENCE, Bus, Names, eventually
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from loom import Context, Event
from loom._payload import decode, encode
from loom.testing import LoomServer


class Inbox:
    """A handler that keeps what it gets."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    async def __call__(self, ctx: Context, topic: str, event: Event) -> None:
        assert topic == event.topic
        self.events.append(event)

    async def has(self, count: int) -> list[Event]:
        await eventually(lambda: len(self.events) >= count)
        assert len(self.events) == count
        return self.events


async def test_an_event_arrives_as_it_was_emitted(bus: Bus) -> None:
    inbox, topic = Inbox(), bus.names.topic("order", "created")
    await bus.started(topics=[topic], on_event=inbox)
    sender = await bus.started("sender")
    before = datetime.now(UTC) - timedelta(seconds=1)
    event_id = await sender.emit(
        topic,
        type="order.created",
        payload=b"\x00\xff",
        thread_id="thread-1",
        correlation_id="order-7",
        reply_to=bus.names.topic("answers"),
        ttl=9,
        metadata={"region": "eu", "ä": "ö", "trace_id": "never stored"},
    )
    (event,) = await inbox.has(1)
    assert event.id == event_id
    assert (event.topic, event.type, event.payload) == (topic, "order.created", b"\x00\xff")
    assert event.content_type == "application/octet-stream"
    assert before < event.time < datetime.now(UTC) + timedelta(seconds=1)
    assert event.time_unix_nano // 1000 == round(event.time.timestamp() * 1_000_000)
    assert (event.envelope.thread_id, event.envelope.correlation_id) == ("thread-1", "order-7")
    assert (event.envelope.reply_to, event.envelope.ttl) == (bus.names.topic("answers"), 9)
    assert (event.envelope.sender, event.attempt) == (sender.agent_id, 1)
    assert (event.metadata["region"], event.metadata["ä"]) == ("eu", "ö")
    assert event.metadata["trace_id"] == event.envelope.trace_id != "never stored"
    assert event.metadata["traceparent"] == event.envelope.traceparent
    with pytest.raises(TypeError):
        event.metadata["region"] = "us"  # type: ignore[index]  # pyright: ignore[reportIndexIssue]
    with pytest.raises(AttributeError):
        event.topic = "other"  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]


@pytest.mark.parametrize(
    ("payload", "content_type"),
    [
        (b"bytes", "application/octet-stream"),
        (bytearray(b"array"), "application/octet-stream"),
        (memoryview(b"view"), "application/octet-stream"),
        ("tëxt", "text/plain; charset=utf-8"),
        ({"list": [1, 2.5, None, True]}, "application/json"),
        (None, "application/json"),
        (7, "application/json"),
    ],
)
async def test_payloads_have_a_type(bus: Bus, payload: object, content_type: str) -> None:
    inbox, topic = Inbox(), bus.names.topic("payload")
    await bus.started(topics=[topic], on_event=inbox)
    sender = await bus.started("sender")
    await sender.emit(topic, payload=payload)
    (event,) = await inbox.has(1)
    assert event.content_type == content_type
    if content_type == "application/json":
        assert event.json() == payload
    elif isinstance(payload, str):
        assert event.text() == payload
    else:
        assert event.payload == payload


async def test_payloads_that_cannot_be_written_or_read_are_refused(bus: Bus) -> None:
    inbox, topic = Inbox(), bus.names.topic("payload")
    await bus.started(topics=[topic], on_event=inbox)
    sender = await bus.started("sender")
    for payload in (object(), {"not": {1, 2}}, float("nan")):
        with pytest.raises(loom.InvalidEvent, match="JSON cannot write it"):
            await sender.emit(topic, payload=payload)
    await sender.emit(topic, payload=b"\xff\xfe")
    (event,) = await inbox.has(1)
    with pytest.raises(loom.InvalidEvent, match="not UTF-8"):
        event.text()
    with pytest.raises(ValueError, match="Expecting value"):
        event.json()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(payload=st.binary() | st.text() | JSON)
def test_what_is_encoded_is_decoded(payload: object) -> None:
    assert decode(*encode(payload)) == payload


RESERVED = {"trace_id", "span_id", "trace_flags", "traceparent", "tracestate", "baggage"}
KEYS = st.text(min_size=1).filter(lambda key: key not in RESERVED)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(events=st.lists(st.tuples(st.binary(max_size=2000), st.dictionaries(KEYS, st.text(), max_size=4)), max_size=20))
def test_any_bytes_and_headers_pass_through_the_bus(
    server: LoomServer, events: list[tuple[bytes, dict[str, str]]]
) -> None:
    async def main() -> list[tuple[bytes, dict[str, str]]]:
        names = Bus(server, Names())
        inbox, topic = Inbox(), names.names.topic("any")
        await names.started(topics=[topic], on_event=inbox)
        sender = await names.started("sender")
        for payload, metadata in events:
            await sender.emit(topic, payload=payload, metadata=metadata)
        got = await inbox.has(len(events))
        await names.stop()
        return [(e.payload, {k: v for k, v in e.metadata.items() if k not in RESERVED}) for e in got]

    assert asyncio.run(main()) == events


async def test_patterns_match_as_in_nats(bus: Bus) -> None:
    one, tail, exact = Inbox(), Inbox(), Inbox()
    agent, topic = bus.agent(), bus.names.topic
    agent.on(topic("*", "data"))(one)
    agent.on(topic(">"))(tail)
    agent.on(topic("a", "data"))(exact)
    await agent.start()
    sender = await bus.started("sender")
    for name in (topic("a", "data"), topic("b", "data"), topic("b", "c", "data"), topic("x")):
        await sender.emit(name)
    await tail.has(4)
    assert [e.topic for e in one.events] == [topic("a", "data"), topic("b", "data")]
    assert [e.topic for e in exact.events] == [topic("a", "data")]


async def test_one_publisher_s_events_keep_their_order(bus: Bus) -> None:
    seen: list[int] = []
    topic = bus.names.topic("count")

    async def handle(ctx: Context, topic: str, event: Event) -> None:
        seen.append(event.json())

    await bus.started(topics=[topic], on_event=handle)
    sender = await bus.started("sender")
    for number in range(5000):
        await sender.emit(topic, payload=number)
    await eventually(lambda: len(seen) == 5000)
    assert seen == list(range(5000))


async def test_handlers_may_be_plain_functions(bus: Bus) -> None:
    topic, answers = bus.names.topic("plain"), Inbox()
    threads: set[str] = set()

    def handle(ctx: Context, topic: str, event: Event) -> None:
        threads.add(threading.current_thread().name)
        ctx.blocking.emit(bus.names.topic("answer"), payload=event.payload)

    await bus.started(topics=[topic], on_event=handle)
    await bus.started("answers", topics=[bus.names.topic("answer")], on_event=answers)
    sender = await bus.started("sender")
    for number in range(20):
        await sender.emit(topic, payload=str(number), thread_id="conversation")
    events = await answers.has(20)
    assert {e.text() for e in events} == {str(n) for n in range(20)}
    assert {(e.thread_id, e.envelope.hop) for e in events} == {("conversation", 1)}
    assert threading.main_thread().name not in threads


async def test_the_blocking_side_refuses_to_block_the_loop(bus: Bus) -> None:
    topic = bus.names.topic("loop")
    failures: list[Any] = []

    async def handle(ctx: Context, topic: str, event: Event) -> None:
        try:
            ctx.blocking.emit("any.topic")
        except loom.LoomError as error:
            failures.append(str(error))

    await bus.started(topics=[topic], on_event=handle)
    await (await bus.started("sender")).emit(topic)
    await eventually(lambda: failures)
    assert "await the method of ctx itself" in failures[0]


async def test_partials_and_methods_are_handlers_and_generators_are_not(bus: Bus) -> None:
    inbox, topic = Inbox(), bus.names.topic("partial")

    async def handle(prefix: str, ctx: Context, topic: str, event: Event) -> None:
        await inbox(ctx, topic, event)

    async def stream(ctx: Context, topic: str, event: Event) -> Any:
        yield event

    with pytest.raises(TypeError, match="generator"):
        bus.agent(topics=[topic], on_event=stream)
    await bus.started(topics=[topic], on_event=functools.partial(handle, "prefix"))
    await (await bus.started("sender")).emit(topic)
    await inbox.has(1)


async def test_a_failing_handler_hurts_nobody(bus: Bus, caplog: pytest.LogCaptureFixture) -> None:
    topic = bus.names.topic("fail")
    handled: list[Any] = []

    async def handle(ctx: Context, topic: str, event: Event) -> None:
        number = event.json()
        if number == 1:
            raise ValueError("number one")
        if number == 2:
            raise asyncio.CancelledError
        if number == 3:
            await asyncio.sleep(0)
            raise KeyError("three")
        handled.append(number)

    agent = await bus.started(topics=[topic], on_event=handle)
    sender = await bus.started("sender")
    for number in range(6):
        await sender.emit(topic, payload=number)
    await eventually(lambda: len(handled) == 3)
    assert handled == [0, 4, 5]
    await eventually(lambda: agent.stats()["failed"] == 3)
    assert agent.stats()["handled"] == 3
    record = next(r for r in caplog.records if "number one" in r.getMessage())
    assert len(record.trace_id) == 32  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]
    assert record.trace_id in record.getMessage()  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]


async def test_no_more_handlers_run_than_allowed_and_no_fewer(bus: Bus) -> None:
    topic, gate = bus.names.topic("slow"), asyncio.Event()
    running, most, done = 0, 0, 0

    async def handle(ctx: Context, topic: str, event: Event) -> None:
        nonlocal running, most, done
        running += 1
        most = max(most, running)
        await gate.wait()
        running -= 1
        done += 1

    await bus.started(topics=[topic], on_event=handle, max_in_flight=5)
    sender = await bus.started("sender")
    for _ in range(50):
        await sender.emit(topic)
    await eventually(lambda: running == 5)
    gate.set()
    await eventually(lambda: done == 50)
    assert most == 5


async def test_what_comes_while_a_worker_is_on_its_way_is_not_left_lying(bus: Bus) -> None:
    topic, gate = bus.names.topic("slow"), asyncio.Event()
    running = 0

    async def handle(ctx: Context, topic: str, event: Event) -> None:
        nonlocal running
        running += 1
        await gate.wait()

    agent = await bus.started(topics=[topic], on_event=handle, max_in_flight=5)

    async def emit(count: int) -> None:
        async with bus.agent("sender") as sender:
            for _ in range(count):
                await sender.emit(topic)

    def come(count: int) -> None:
        """Let events come while the loop stands still, so that it takes none of them before all are there."""
        sender = threading.Thread(target=asyncio.run, args=(emit(count),))
        sender.start()
        sender.join(PATIENCE)
        deadline = time.monotonic() + PATIENCE
        while agent.stats()["waiting"] < count:
            assert time.monotonic() < deadline
            time.sleep(0.001)

    come(2)
    # In each round the loop looks at descriptors, then at timers: the others come when it has taken these two and no
    # worker has run yet.
    asyncio.get_running_loop().call_later(0, come, 10)
    await eventually(lambda: running == 5)
    gate.set()
    await eventually(lambda: running == 12)


async def test_backpressure_reaches_emit_and_nothing_is_lost(bus: Bus) -> None:
    topic, gate, count = bus.names.topic("pressure"), asyncio.Event(), 30_000
    seen: Counter[int] = Counter()

    async def handle(ctx: Context, topic: str, event: Event) -> None:
        await gate.wait()
        seen[event.json()] += 1

    agent = bus.agent(credit=100, max_in_flight=10)
    agent.on(topic, capacity=500)(handle)
    await agent.start()
    sender = await bus.started("sender", buffer_bytes=100_000)
    emitted = 0

    async def emit() -> None:
        nonlocal emitted
        for number in range(count):
            await sender.emit(topic, payload=number)
            emitted += 1

    task = asyncio.create_task(emit())

    async def is_full() -> bool:
        with contextlib.suppress(loom.DeadlineExceeded):
            # Longer than emit ever waits for the buffers of its spans.
            await sender.emit(topic, payload=-1, timeout=1.5)
            return False
        return True

    await eventually(is_full)
    assert emitted < count, "emit never waited"
    with pytest.raises(loom.DeadlineExceeded, match="away or too slow"):
        await sender.emit(topic, payload=-1, timeout=0.05)
    gate.set()
    await task
    await eventually(lambda: len(seen.keys() - {-1}) == count, patience=40)
    assert {times for number, times in seen.items() if number >= 0} == {1}


async def test_confirm_says_what_became_of_the_event(bus: Bus) -> None:
    errors: list[loom.LoomError] = []
    sender = await bus.started("sender", on_error=errors.append)
    topic = bus.names.topic("confirm")
    assert await sender.emit(topic, confirm=True)
    inbox: list[loom.LoomError] = []

    async def handle(ctx: Context, topic: str, event: Event) -> None:
        try:
            await ctx.emit(topic, ttl=1, confirm=True)
            await ctx.emit(topic, ttl=1, confirm=True)
        except loom.LoomError as error:
            inbox.append(error)

    await bus.started(topics=[topic], on_event=handle)
    await sender.emit(topic, ttl=1)
    await eventually(lambda: inbox)
    assert isinstance(inbox[0], loom.EventExpired)
    assert inbox[0].code == "event_expired"
    assert errors == []


async def test_a_rejection_that_nobody_waits_for_is_reported(bus: Bus, caplog: pytest.LogCaptureFixture) -> None:
    errors: list[loom.LoomError] = []
    flushed: list[tuple[int, int]] = []
    topic = bus.names.topic("circle")

    async def again(ctx: Context, topic: str, event: Event) -> None:
        await ctx.emit(topic, ttl=1)
        # A flush waits for a rejection, too, and does not swallow it.
        await agent.flush()
        flushed.append((event.envelope.hop, len(errors)))

    agent = await bus.started(topics=[topic], on_event=again, on_error=errors.append)
    await agent.emit(topic, ttl=1)
    await eventually(lambda: flushed)
    assert flushed == [(0, 1)]
    assert isinstance(errors[0], loom.EventExpired)
    assert agent.stats()["rejected"] == 1
    assert "was rejected" in caplog.text


async def test_bad_topics_are_refused_before_they_are_sent(bus: Bus) -> None:
    sender = await bus.started("sender")
    for topic, fault in [
        ("", "empty"),
        ("a..b", "segment 2 is empty"),
        ("a.b c", "segment 2"),
        ("a.*", "only a subscription's pattern"),
        ("x" * 300, "300 bytes"),
    ]:
        with pytest.raises(loom.InvalidEvent, match=fault) as caught:
            await sender.emit(topic)
        assert (caught.value.code, caught.value.field) == ("invalid_topic", "event.topic")
    assert sender.stats()["published"] == 0


async def test_events_beyond_the_limit_are_refused_before_they_are_sent(bus: Bus) -> None:
    inbox, topic = Inbox(), bus.names.topic("large")
    await bus.started(topics=[topic], on_event=inbox)
    sender = await bus.started("sender")
    with pytest.raises(loom.EventTooLarge, match="send a reference") as caught:
        await sender.emit(topic, payload=b"x" * 1_100_000)
    assert caught.value.field == "event.payload"
    await sender.emit(topic, payload=b"x" * 1_000_000)
    (event,) = await inbox.has(1)
    assert len(event.payload) == 1_000_000


async def test_wrong_types_are_refused(bus: Bus) -> None:
    sender: Any = await bus.started("sender")
    topic = bus.names.topic("types")
    for options in ({"type": 7}, {"thread_id": 7}, {"ttl": -1}, {"ttl": "x"}, {"metadata": {"a": 1}}):
        with pytest.raises((TypeError, OverflowError)):
            await sender.emit(topic, **options)
    with pytest.raises(TypeError):
        await sender.emit(7)
    assert sender.stats()["published"] == 0


async def test_definitions_are_checked_before_the_start(bus: Bus) -> None:
    with pytest.raises(loom.InvalidAgent, match="agent id"):
        loom.Agent("not an id")
    with pytest.raises(loom.InvalidAgent, match="without on_event"):
        loom.Agent("a", topics=["b"])
    with pytest.raises(loom.InvalidAgent, match="without topics"):
        loom.Agent("a", on_event=Inbox())
    with pytest.raises(loom.InvalidAgent, match="segment 2"):
        loom.Agent("a").on("b.>.c")
    with pytest.raises(ValueError, match="realtime, batched, background"):
        loom.Agent("a").on("b", qos="fast")
    with pytest.raises(ValueError, match="max_in_flight is 0"):
        loom.Agent("a", max_in_flight=0)
    agent = await bus.started()
    with pytest.raises(loom.LoomError, match="started already"):
        agent.on("late")
    idle = loom.Agent("never-started")
    with pytest.raises(loom.LoomError, match=r"await agent\.start\(\) first"):
        await idle.emit("a.b")


async def test_flush_waits_until_all_is_on_the_bus(bus: Bus) -> None:
    sender = await bus.started("sender")
    for _ in range(3000):
        await sender.emit(bus.names.topic("flush"))
    await sender.flush()
    stats = sender.stats()
    assert (stats["published"], stats["settled"], stats["rejected"]) == (3000, 3000, 0)
    await sender.flush()
