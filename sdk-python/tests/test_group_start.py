"""Where a group begins that has not been there before."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import loom
import pytest
from conftest import Bus, Worker, acked
from loom.subscription import acknowledged

# The first agent of the process sets telemetry up: no test may make one before the server is there.
pytestmark = pytest.mark.usefixtures("server")

SECOND = 1_793_491_201_000_000_000


@pytest.mark.parametrize(
    ("start", "place"),
    [
        (None, (0, None, None)),
        ("all", (0, None, None)),
        ("new", (1, None, None)),
        (0, (0, 0, None)),
        (2**64 - 1, (0, 2**64 - 1, None)),
        ("2026-11-01T00:00:01Z", (0, None, SECOND)),
        ("2026-11-01 02:00:01.000001+02:00", (0, None, SECOND + 1000)),
        (datetime(2026, 11, 1, 0, 0, 1, tzinfo=UTC), (0, None, SECOND)),
        (datetime(2026, 10, 31, 19, 0, 1, 7, tzinfo=timezone(-timedelta(hours=5))), (0, None, SECOND + 7000)),
        ("1969-12-31T23:59:59Z", (0, None, 0)),
        (datetime.max.replace(tzinfo=UTC), (0, None, 2**64 - 1)),
    ],
)
def test_a_group_begins_by_name_or_at_an_offset_or_a_time(
    start: Any, place: tuple[int, int | None, int | None]
) -> None:
    share = acknowledged(ack=True, group=None, max_attempts=0, timeout=0.0, start=start, max_in_flight=1)
    assert share is not None
    assert (share.start, share.start_offset, share.start_time_unix_nano) == place


@pytest.mark.parametrize(
    ("start", "what"),
    [
        ("old", "start is 'old': use 'all', 'new', an offset, or a time like"),
        ("123", "start is '123': use"),
        (True, "start is True: use"),
        (1.0, "start is 1.0: use"),
        ([], r"start is \[\]: use"),
        (-1, "start is -1: an offset is 0 or more"),
        (2**64, "has 64 bits"),
        (datetime(2026, 11, 1, tzinfo=UTC).replace(tzinfo=None), "a time without a zone"),
        ("2026-11-01T00:00:00", "a time without a zone"),
        ("2026-11-01", "a time without a zone"),
    ],
)
def test_a_start_that_means_nothing_is_refused(start: Any, what: str) -> None:
    with pytest.raises(loom.InvalidAgent, match=what) as caught:
        loom.Agent("refused").on("orders.>", ack=True, start=start)
    assert (caught.value.code, caught.value.field) == ("invalid_subscription", "hello.subscriptions")


async def test_a_new_group_may_begin_with_what_is_new(bus: Bus) -> None:
    topic, worker = bus.names.kept("new"), Worker()
    sender = await bus.started("sender")
    await sender.emit(topic, payload="old", confirm=True)
    await bus.started(topics=[topic], on_event=worker, ack=True, start="new")
    await sender.emit(topic, payload="new", confirm=True)
    await worker.has(("new", 1))


async def test_a_new_group_may_begin_at_an_offset(bus: Bus) -> None:
    topic, group = bus.names.kept("offset"), bus.names.agent("group")
    all_of_it, later, again = Worker(), Worker(), Worker()
    sender = await bus.started("sender")
    for number in range(3):
        await sender.emit(topic, payload=str(number), confirm=True)
    await bus.started(topics=[topic], on_event=all_of_it, ack=True, start=0)
    await all_of_it.has(("0", 1), ("1", 1), ("2", 1))
    second = all_of_it.events[1].offset
    agent = await bus.started(topics=[topic], on_event=later, ack=True, group=group, start=second)
    await later.has(("1", 1), ("2", 1))
    await acked(agent, 2)
    await agent.stop()
    # It has been there: what it says of its start does not count any more.
    await bus.started(topics=[topic], on_event=again, ack=True, group=group, start=0)
    await sender.emit(topic, payload="3", confirm=True)
    await again.has(("3", 1))


@pytest.mark.parametrize("as_text", [False, True])
async def test_a_new_group_may_begin_at_a_time(bus: Bus, as_text: bool) -> None:
    topic, worker = bus.names.kept("time"), Worker()
    sender = await bus.started("sender")
    await sender.emit(topic, payload="before", confirm=True)
    time = datetime.now(UTC)
    for payload in ("1", "2"):
        await sender.emit(topic, payload=payload, confirm=True)
    await bus.started(topics=[topic], on_event=worker, ack=True, start=time.isoformat() if as_text else time)
    await worker.has(("1", 1), ("2", 1))
