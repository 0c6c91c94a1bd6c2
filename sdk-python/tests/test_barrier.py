"""Agents and handlers that wait for each other, some of which die."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import loom
import pytest
from conftest import Bus, Servers, Traces, eventually, start_script
from loom import Context, Event
from opentelemetry import trace
from opentelemetry.trace import format_trace_id

COME = """
    import sys, loom

    async def main(agent):
        print("COMES", flush=True)
        print(await agent.barrier(sys.argv[2], 3, timeout=60), flush=True)

    loom.Agent(sys.argv[1]).run(main)
"""


async def others(agent: loom.Agent, name: str, parties: int) -> int:
    """Look how many wait: come for a moment. Fewer than ``parties - 1``, or the round is complete."""
    with pytest.raises(loom.DeadlineExceeded) as caught:
        await agent.barrier(name, parties, timeout=0.01)
    came = re.fullmatch(rf'(\d+) of {parties} came to the barrier "{re.escape(name)}" within \d+ ms', str(caught.value))
    assert came, caught.value
    return int(came[1]) - 1


async def waiting(agent: loom.Agent, name: str, parties: int, count: int) -> None:
    async def look() -> bool:
        return await others(agent, name, parties) == count

    await eventually(look)


async def test_all_go_on_when_the_last_has_come(bus: Bus) -> None:
    name = bus.names.topic("start")
    one, two, three, probe = [await bus.started() for _ in range(4)]
    for _ in range(3):
        first = asyncio.create_task(one.barrier(name, 4, timeout=20))
        await waiting(probe, name, 4, 1)
        second = asyncio.create_task(two.barrier(name, 4, timeout=20))
        await waiting(probe, name, 4, 2)
        assert not first.done()
        last = await asyncio.gather(three.barrier(name, 4, timeout=20), probe.barrier(name, 4, timeout=20))
        assert (await first, await second, sorted(last)) == (0, 1, [2, 3])


async def test_handlers_of_one_agent_meet(bus: Bus) -> None:
    topic = bus.names.topic("work")
    met: list[int] = []

    async def handle(ctx: Context, where: str, event: Event) -> None:
        met.append(await ctx.barrier(topic, 3, timeout=20))

    def plain(ctx: Context, where: str, event: Event) -> None:
        met.append(ctx.blocking.barrier(topic, 3, timeout=20))

    agent = bus.agent()
    agent.on(bus.names.topic("work", "*"))(handle)
    agent.on(topic)(plain)
    await agent.start()
    for segments in (("a",), ("b",), ()):
        await agent.emit(bus.names.topic("work", *segments))
    await eventually(lambda: sorted(met) == [0, 1, 2])


async def test_more_handlers_meet_than_may_run_at_once(bus: Bus) -> None:
    """Who waits at a barrier gives its place to the next one; when all have met no more run at once than may."""
    topic, go_on = bus.names.topic("work"), asyncio.Event()
    running: list[int] = []
    most = 0

    async def handle(ctx: Context, where: str, event: Event) -> None:
        nonlocal most
        if event.text() == "meet":
            await ctx.barrier(topic, 10, timeout=20)
            return
        running.append(1)
        most = max(most, len(running))
        await go_on.wait()
        running.pop()

    agent = await bus.started(topics=[topic], on_event=handle, max_in_flight=2)
    for _ in range(10):
        await agent.emit(topic, payload="meet")
    await eventually(lambda: agent.stats()["handled"] == 10)
    for _ in range(10):
        await agent.emit(topic, payload="work")
    await eventually(lambda: len(running) == 2)
    await agent.flush()
    await eventually(lambda: agent.stats()["received"] == 20)
    go_on.set()
    await eventually(lambda: agent.stats()["handled"] == 20)
    assert most == 2


async def test_a_party_that_dies_has_not_come(bus: Bus) -> None:
    name = bus.names.topic("start")
    one, two, probe = [await bus.started() for _ in range(3)]
    process = start_script(COME, bus.server.environment, bus.names.agent("mortal"), name)
    try:
        assert process.stdout is not None
        assert await asyncio.to_thread(process.stdout.readline) == "COMES\n"
        await waiting(probe, name, 3, 1)
        process.kill()
        await waiting(probe, name, 3, 0)
        first = asyncio.create_task(one.barrier(name, 3, timeout=20))
        await waiting(probe, name, 3, 1)
        met = await asyncio.gather(first, two.barrier(name, 3, timeout=20), probe.barrier(name, 3, timeout=20))
        assert sorted(met) == [0, 1, 2]
    finally:
        process.kill()
        process.communicate()


async def test_who_gives_up_has_not_come(bus: Bus) -> None:
    name = bus.names.topic("start")
    one, probe = await bus.started(), await bus.started()
    impatient = asyncio.create_task(one.barrier(name, 3, timeout=60))
    await waiting(probe, name, 3, 1)
    impatient.cancel()
    await waiting(probe, name, 3, 0)


async def test_a_restart_of_the_server_is_waited_through(bus: Bus, servers: Servers) -> None:
    """The rounds are gone with the server; who waited comes again by itself."""
    name = bus.names.topic("start")
    first_server = servers.start()
    one, two, probe = [await bus.started(address=servers.address) for _ in range(3)]
    first = asyncio.create_task(one.barrier(name, 3, timeout=60))
    await waiting(probe, name, 3, 1)
    first_server.kill()
    await eventually(lambda: not one.is_connected)
    servers.start()
    await eventually(lambda: probe.is_connected)
    await waiting(probe, name, 3, 1)
    met = await asyncio.gather(first, two.barrier(name, 3, timeout=20), probe.barrier(name, 3, timeout=20))
    assert sorted(met) == [0, 1, 2]
    await bus.stop()


async def test_without_a_server_its_time_ends_all_the_same(bus: Bus, servers: Servers) -> None:
    server = servers.start()
    one = await bus.started(address=servers.address)
    server.kill()
    await eventually(lambda: not one.is_connected)
    with pytest.raises(loom.DeadlineExceeded):
        await one.barrier("away", 2, timeout=0.1)
    waiting = asyncio.create_task(one.barrier("away", 2, timeout=60))
    await asyncio.sleep(0)
    await one.stop()
    with pytest.raises(loom.LoomError, match="stopped"):
        await waiting


async def test_its_numbers_are_checked(bus: Bus) -> None:
    one, two = await bus.started(), await bus.started()
    for time in (0.0, float("nan")):
        with pytest.raises(ValueError, match="seconds"):
            await one.barrier("b", 2, timeout=time)
    for name, parties in (("b", 0), ("", 2)):
        with pytest.raises(loom.InvalidEvent):
            await one.barrier(name, parties, timeout=1)
    name = bus.names.topic("disagreed")
    first = asyncio.create_task(one.barrier(name, 3, timeout=60))
    await waiting(two, name, 3, 1)
    with pytest.raises(loom.InvalidEvent, match="waits for 3 parties, not 2"):
        await two.barrier(name, 2, timeout=1)
    first.cancel()


async def test_no_agent_may_stand_in_for_the_server(bus: Bus) -> None:
    agent = bus.agent()

    async def stand_in(ctx: Context, args: Any) -> Any:
        return {"position": 0}

    agent.capability("_loom.barrier")(stand_in)
    with pytest.raises(loom.InvalidAgent, match="server's own"):
        await agent.start()


async def test_a_meeting_is_in_the_trace_of_each_party(bus: Bus, traces: Traces) -> None:
    name = bus.names.topic("start")
    one, two = await bus.started(), await bus.started()
    tracer = trace.get_tracer("tests")
    ids: list[str] = []

    async def come(agent: Any) -> None:
        with tracer.start_as_current_span("come") as span:
            ids.append(format_trace_id(span.get_span_context().trace_id))
            await agent.barrier(name, 2, timeout=20)

    await asyncio.gather(come(one), come(two))
    for trace_id in ids:
        spans = {span.name: span for span in await traces.whole(trace_id, 2)}
        meeting = spans["broker.invoke"]
        assert meeting.parent == spans["come"].id
        assert (meeting.tags["loom.broker.capability"], meeting.tags["loom.broker.provider"]) == (
            "_loom.barrier",
            "loom",
        )
