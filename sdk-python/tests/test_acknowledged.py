"""Acknowledged subscriptions: what a handler's end says, and what the server makes of it."""

from __future__ import annotations

import asyncio
import contextlib
import pickle
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import Any

import loom
import pytest
from conftest import Bus, Worker, acked, eventually
from loom import Context, Event, _native
from loom._outcome import UNDECIDED, Failure, Verdict, failure_of
from loom.semconv import attribute
from loom.subscription import Acknowledged, acknowledged
from opentelemetry.trace import StatusCode

# The first agent of the process sets telemetry up: no test may make one before the server is there.
pytestmark = pytest.mark.usefixtures("server")

# ---- the definition ----


def test_an_acknowledged_subscription_has_a_share_in_a_group() -> None:
    options: Any = {"group": None, "max_attempts": 0, "timeout": 0.0, "start": None, "max_in_flight": 1}
    assert acknowledged(ack=False, **options) is None
    # One in the handler and one that waits for it; everything else is the server's to say.
    assert acknowledged(ack=True, **options) == Acknowledged("", 2, 0, 0, 0)
    given = {"group": "workers", "max_attempts": 5, "timeout": 0.0001, "start": "new", "max_in_flight": 64}
    assert acknowledged(ack=True, **(options | given)) == Acknowledged("workers", 128, 5, 1, 1)
    assert acknowledged(ack=True, **(options | {"start": "all", "timeout": 30})) == Acknowledged("", 2, 0, 30_000, 0)
    assert acknowledged(ack=True, **(options | {"timeout": float("inf")})) == Acknowledged("", 2, 0, 0xFFFF_FFFF, 0)


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ({"group": "workers"}, "group given without ack"),
        ({"max_attempts": 5, "start": "new"}, "max_attempts, start given without ack"),
        ({"start": "new"}, "start given without ack"),
        ({"ack": True, "group": ""}, "group '' is not valid"),
        ({"ack": True, "group": "a b"}, "group 'a b' is not valid"),
        ({"ack": True, "max_attempts": -1}, "max_attempts is -1"),
        ({"ack": True, "timeout": float("nan")}, "timeout is nan"),
        ({"ack": True, "timeout": -1.0}, "timeout is -1"),
        ({"timeout": -1.0}, "timeout is -1"),
        ({"start": 0}, "start given without ack"),
    ],
)
def test_options_that_mean_nothing_are_refused(options: dict[str, Any], what: str) -> None:
    agent = loom.Agent("refused")
    with pytest.raises(loom.InvalidAgent, match=what) as caught:
        agent.on("orders.>", **options)
    assert (caught.value.code, caught.value.field) == ("invalid_subscription", "hello.subscriptions")
    with pytest.raises(loom.InvalidAgent, match=what):
        loom.Agent("refused", topics=["orders.>"], on_event=print, **options)


def test_ack_belongs_to_topics() -> None:
    with pytest.raises(loom.InvalidAgent, match="without topics"):
        loom.Agent("refused", ack=True)
    with pytest.raises(loom.InvalidAgent, match="without topics"):
        loom.Agent("refused", start=0)


# ---- the verdict ----


def test_what_a_handler_raises_decides() -> None:
    assert failure_of(ValueError("no")) == Failure(Verdict.RETRY, 0, "ValueError: no")
    assert failure_of(loom.Retry()) == Failure(Verdict.RETRY, 0, "Retry: ")
    assert failure_of(loom.Retry("busy", delay=1.5)) == Failure(Verdict.RETRY, 1500, "Retry: busy")
    assert failure_of(loom.Retry(delay=0.0001)).delay_ms == 1
    assert failure_of(loom.Retry(delay=1e300)).delay_ms == 0xFFFF_FFFF
    assert failure_of(loom.Reject("bad")) == Failure(Verdict.REJECT, 0, "Reject: bad")
    assert UNDECIDED.verdict == 0
    for delay in (-1, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="delay is"):
            loom.Retry(delay=delay)


def test_a_signal_keeps_its_causes() -> None:
    try:
        try:
            try:
                raise KeyError("currency")
            except KeyError as error:
                raise ValueError("no price") from error
        except ValueError as error:
            raise loom.Reject("order 7") from error
    except loom.Reject as error:
        message = failure_of(error).message
    assert message == "Reject: order 7, caused by ValueError: no price, caused by KeyError: 'currency'"


def test_signals_are_no_errors_of_loom_and_can_be_pickled() -> None:
    again = pickle.loads(pickle.dumps(loom.Retry("busy", delay=2)))
    assert (type(again), str(again), again.delay) == (loom.Retry, "busy", 2)
    assert str(pickle.loads(pickle.dumps(loom.Reject("bad")))) == "bad"
    assert not issubclass(loom.Retry, loom.LoomError)
    assert not issubclass(loom.Reject, loom.LoomError)


# ---- against the server ----


def client_of(agent: loom.Agent) -> _native.Client:
    connection = agent._connection  # pyright: ignore[reportPrivateUsage]
    assert connection is not None
    return connection.client


async def test_what_was_handled_does_not_come_again(bus: Bus) -> None:
    topic, group = bus.names.kept("once"), bus.names.agent("group")
    sender = await bus.started("sender")
    for number in range(3):
        await sender.emit(topic, payload=str(number), confirm=True)
    first = Worker()
    agent = await bus.started("first", topics=[topic], on_event=first, ack=True, group=group)
    await first.has(("0", 1), ("1", 1), ("2", 1))
    offsets = [event.offset for event in first.events]
    assert all(offset is not None for offset in offsets)
    assert offsets == sorted(offsets, key=lambda offset: offset or 0)
    await acked(agent, 3)
    await agent.stop()
    second = Worker()
    await bus.started("second", topics=[topic], on_event=second, ack=True, group=group)
    await sender.emit(topic, payload="3", confirm=True)
    await second.has(("3", 1))


async def test_without_a_group_an_agent_has_all_of_them(bus: Bus) -> None:
    topic, workers = bus.names.kept("alone"), [Worker(), Worker()]
    for worker in workers:
        await bus.started(topics=[topic], on_event=worker, ack=True)
    sender = await bus.started("sender")
    await sender.emit(topic, payload="x", confirm=True)
    for worker in workers:
        await worker.has(("x", 1))


async def test_a_handler_that_fails_is_tried_again(bus: Bus) -> None:
    def fail_twice(event: Event) -> None:
        if event.attempt < 3:
            raise ValueError("not yet")

    topic, worker = bus.names.kept("fails"), Worker(fail_twice)
    agent = await bus.started(topics=[topic], on_event=worker, ack=True)
    await agent.emit(topic, payload="x")
    await worker.has(("x", 1), ("x", 2), ("x", 3))
    await acked(agent, 1)
    stats = agent.stats()
    assert (stats["retried"], stats["failed"], stats["handled"]) == (2, 2, 1)


async def test_a_rejected_event_does_not_come_again(bus: Bus) -> None:
    def reject_bad(event: Event) -> None:
        if event.text() == "bad":
            raise loom.Reject("it is bad")

    topic, worker = bus.names.kept("reject"), Worker(reject_bad)
    agent = await bus.started(topics=[topic], on_event=worker, ack=True)
    dead = Worker()
    await bus.started("undertaker", topics=[f"dlq.test.{agent.agent_id}"], on_event=dead)
    for payload in ("bad", "good"):
        await agent.emit(topic, payload=payload)
    await acked(agent, 1)
    await dead.has(("bad", 1))
    assert dead.events[0].metadata["loom-dead-error"] == "Reject: it is bad"
    assert agent.stats()["rejected_deliveries"] == 1
    await agent.emit(topic, payload="later")
    await worker.has(("bad", 1), ("good", 1), ("later", 1))


async def test_a_retry_rests_as_long_as_it_wants(bus: Bus, caplog: pytest.LogCaptureFixture) -> None:
    times: list[float] = []

    def retry_once(event: Event) -> None:
        times.append(monotonic())
        if event.attempt == 1:
            raise loom.Retry("busy", delay=0.25)

    topic, worker = bus.names.kept("retry"), Worker(retry_once)
    agent = await bus.started(topics=[topic], on_event=worker, ack=True)
    await agent.emit(topic, payload="x")
    await worker.has(("x", 1), ("x", 2))
    assert times[1] - times[0] >= 0.25
    await acked(agent, 1)
    assert agent.stats()["retried"] == 1
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


async def test_plain_functions_decide_in_their_thread(bus: Bus) -> None:
    attempts: list[int] = []

    def handle(ctx: Context, topic: str, event: Event) -> None:
        attempts.append(event.attempt)
        if event.attempt == 1:
            raise loom.Retry(delay=0.01)

    topic = bus.names.kept("thread")
    agent = await bus.started(topics=[topic], on_event=handle, ack=True)
    await agent.emit(topic)
    await acked(agent, 1)
    assert attempts == [1, 2]


async def test_spans_of_later_attempts_say_so(bus: Bus) -> None:
    spans: list[Any] = []

    async def handle(ctx: Context, topic: str, event: Event) -> None:
        spans.append(ctx.span)
        if event.attempt == 1:
            raise loom.Retry(delay=0.01)

    topic = bus.names.kept("span")
    agent = await bus.started(topics=[topic], on_event=handle, ack=True)
    await agent.emit(topic)
    await acked(agent, 1)
    first, second = spans
    assert first.status.status_code is StatusCode.ERROR
    assert attribute.MESSAGING_DELIVERY_ATTEMPT not in first.attributes
    assert second.status.status_code is StatusCode.UNSET
    assert second.attributes[attribute.MESSAGING_DELIVERY_ATTEMPT] == 2


async def test_two_agents_share_a_group(bus: Bus) -> None:
    topic, group = bus.names.kept("share"), bus.names.agent("group")
    seen: dict[str, list[str]] = {"a": [], "b": []}
    both = asyncio.Event()

    def handler(name: str) -> Callable[[Context, str, Event], Awaitable[None]]:
        async def handle(ctx: Context, topic: str, event: Event) -> None:
            seen[name].append(event.text())
            if all(seen.values()):
                both.set()
            # Nobody goes on before each has had its share.
            await both.wait()

        return handle

    agents = [
        await bus.started(name, topics=[topic], on_event=handler(name), ack=True, group=group, max_in_flight=2)
        for name in seen
    ]
    sender = await bus.started("sender")
    for number in range(40):
        await sender.emit(topic, payload=str(number))
    await eventually(lambda: sum(agent.stats()["acked"] for agent in agents) == 40)
    assert sorted(seen["a"] + seen["b"], key=int) == [str(number) for number in range(40)]


async def test_the_deliveries_of_a_dead_agent_go_to_another(bus: Bus) -> None:
    topic, group = bus.names.kept("dead"), bus.names.agent("group")
    begun: list[str] = []

    async def hang(ctx: Context, topic: str, event: Event) -> None:
        begun.append(event.text())
        await asyncio.Event().wait()

    dying = await bus.started("dying", topics=[topic], on_event=hang, ack=True, group=group, stop_timeout=0.1)
    sender = await bus.started("sender")
    for number in range(3):
        await sender.emit(topic, payload=str(number))
    await eventually(lambda: len(begun) == 3)
    worker = Worker()
    await bus.started("heir", topics=[topic], on_event=worker, ack=True, group=group)
    client_of(dying).abandon()
    # At once, and not when the server finds that the agent has been silent for too long.
    await eventually(lambda: len(worker.attempts) >= 3, patience=10)
    assert sorted(payload for payload, _ in worker.attempts) == ["0", "1", "2"]


class Proxy:
    """A way to the server that can be cut."""

    def __init__(self, target: str) -> None:
        self._host, _, self._port = target.partition(":")
        self._ends: list[asyncio.StreamWriter] = []

    async def __aenter__(self) -> str:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return f"127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        self.cut()

    def cut(self) -> None:
        for end in self._ends:
            end.transport.abort()
        self._ends.clear()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(self._host, int(self._port))
        self._ends += [writer, back]
        with contextlib.suppress(ConnectionError):
            await asyncio.gather(_copy(reader, back), _copy(there, writer))


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()


async def test_a_lost_connection_brings_its_deliveries_again(bus: Bus) -> None:
    """The handler that runs says nothing on the next connection, and what waited for it is not handled twice."""
    topic, go_on, seen = bus.names.kept("lost"), asyncio.Event(), list[tuple[str, int]]()

    async def handle(ctx: Context, topic: str, event: Event) -> None:
        seen.append((event.text(), event.attempt))
        await go_on.wait()

    sender = await bus.started("sender")
    for number in range(3):
        await sender.emit(topic, payload=str(number), confirm=True)
    proxy = Proxy(bus.server.bridge)
    async with proxy as address:
        agent = await bus.started(topics=[topic], on_event=handle, ack=True, max_in_flight=1, address=address)
        # One in the handler, one that waits for it, and one that the server keeps.
        await eventually(lambda: agent.stats()["received"] == 2 and seen)
        proxy.cut()
        await eventually(lambda: agent.stats()["connections"] == 2 and agent.is_connected)
        await eventually(lambda: agent.stats()["received"] == 4)
        go_on.set()
        await acked(agent, 3)
        assert (agent.stats()["outcomes_dropped"], agent.stats()["handled"]) == (1, 4)
        assert seen[0] == ("0", 1)
        assert sorted(seen[1:]) == [("0", 2), ("1", 2), ("2", 1)]
        await agent.stop()


async def test_a_handler_that_a_stop_cancels_says_nothing(bus: Bus) -> None:
    topic, group, begun = bus.names.kept("stop"), bus.names.agent("group"), asyncio.Event()

    async def hang(ctx: Context, topic: str, event: Event) -> None:
        begun.set()
        await asyncio.Event().wait()

    stopping = await bus.started("stopping", topics=[topic], on_event=hang, ack=True, group=group, stop_timeout=0.2)
    await stopping.emit(topic, payload="x")
    await begun.wait()
    client = client_of(stopping)
    await stopping.stop()
    stats = dict(client.stats())
    names = ("acked", "retried", "rejected_deliveries", "outcomes_dropped")
    assert [stats[name] for name in names] == [0, 0, 0, 0]
    worker = Worker()
    await bus.started("heir", topics=[topic], on_event=worker, ack=True, group=group)
    await eventually(lambda: worker.attempts)
    assert worker.events[0].text() == "x"


async def test_a_thread_keeps_its_order_when_its_first_event_fails(bus: Bus) -> None:
    def fail_first(event: Event) -> None:
        if event.text() == "1" and event.attempt == 1:
            raise loom.Retry(delay=0.1)

    topic, worker = bus.names.kept("order"), Worker(fail_first)
    sender = await bus.started("sender")
    for payload in ("1", "2", "3"):
        await sender.emit(topic, payload=payload, thread_id="thread", confirm=True)
    agent = await bus.started(topics=[topic], on_event=worker, ack=True)
    await acked(agent, 3)
    await worker.has(("1", 1), ("1", 2), ("2", 1), ("3", 1))


async def test_an_outcome_comes_after_what_its_handler_emitted(bus: Bus) -> None:
    topic, answers, seen = bus.names.kept("emits"), bus.names.kept("answers"), Worker()

    async def handle(ctx: Context, topic: str, event: Event) -> None:
        await ctx.emit(answers, payload=event.text())

    sender = await bus.started("sender")
    agent = await bus.started(topics=[topic], on_event=handle, ack=True)
    await bus.started("keeper", topics=[answers], on_event=seen, ack=True)
    for number in range(200):
        await sender.emit(topic, payload=str(number))

    def all_are_acked() -> bool:
        stats = agent.stats()
        # One event each, emitted before: at no moment is an input done whose output is not.
        assert stats["settled"] >= stats["acked"]
        return stats["acked"] == 200

    await eventually(all_are_acked)
    await eventually(lambda: len(seen.attempts) == 200)
    assert [payload for payload, _ in seen.attempts] == [str(number) for number in range(200)]


async def test_an_agent_may_emit_to_itself(bus: Bus) -> None:
    """Outcomes wait for events, which wait for room in a mailbox, which waits for credit: outcomes must not hold it."""
    topic, own = bus.names.kept("self"), bus.names.topic("own")
    agent, seen = bus.agent(credit=1, max_in_flight=1), Worker()
    agent.on(own, capacity=1)(seen)

    @agent.on(topic, ack=True)
    async def handle(ctx: Context, topic: str, event: Event) -> None:
        for _ in range(3):
            await ctx.emit(own)

    await agent.start()
    for _ in range(10):
        await agent.emit(topic)
    await acked(agent, 10)
    await eventually(lambda: len(seen.events) == 30)


async def test_what_no_stream_keeps_cannot_be_acknowledged(bus: Bus) -> None:
    with pytest.raises(loom.InvalidAgent, match="no stream keeps"):
        await bus.started(topics=[bus.names.topic("passing")], on_event=Worker(), ack=True)


async def test_events_of_other_subscriptions_have_no_offset(bus: Bus) -> None:
    worker, topic = Worker(), bus.names.kept("plain")
    agent = await bus.started(topics=[topic], on_event=worker)
    await agent.emit(topic, payload="x")
    await worker.has(("x", 1))
    assert worker.events[0].offset is None
