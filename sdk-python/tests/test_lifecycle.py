"""Servers that come and go, and agents that start and stop."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import threading
from pathlib import Path
from typing import Any

import loom
import pytest
from conftest import Bus, Servers, eventually
from loom import Context, Event
from loom.testing import LoomServer

# ---- the server ----


async def test_the_server_may_come_later(bus: Bus, servers: Servers, caplog: pytest.LogCaptureFixture) -> None:
    agent = bus.agent(address=servers.address)
    starting = asyncio.create_task(agent.start())
    await eventually(lambda: "cannot reach" in caplog.text)
    assert not starting.done()
    with servers.start():
        await asyncio.wait_for(starting, 15)
        assert agent.is_connected
        assert await agent.emit(bus.names.topic("late"), confirm=True)
        await agent.stop()
    lines = [r for r in caplog.records if r.levelno >= logging.WARNING and agent.agent_id in r.getMessage()]
    assert len(lines) == 1, [r.getMessage() for r in lines]
    assert "`loom up`" in lines[0].getMessage()
    assert "LOOM_ADDRESS" in lines[0].getMessage()


async def test_a_start_can_be_given_up(bus: Bus, servers: Servers) -> None:
    agent = bus.agent(address=servers.address)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await agent.start()
    assert not agent.is_connected
    with pytest.raises(loom.LoomError, match="not started"):
        agent.stats()


async def test_agents_survive_a_restart_of_the_server(
    bus: Bus, servers: Servers, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "loom")
    topic = bus.names.topic("restart")
    seen: list[Any] = []

    async def handle(ctx: Context, topic: str, event: Event) -> None:
        seen.append(event.text())

    first = servers.start()
    receiver = await bus.started("receiver", topics=[topic], on_event=handle, address=servers.address)
    sender = await bus.started("sender", address=servers.address)
    await sender.emit(topic, payload="before", confirm=True)
    await eventually(lambda: seen == ["before"])
    first.kill()
    await eventually(lambda: not sender.is_connected and not receiver.is_connected)
    # Waits in the buffer, goes out under the same id when the server is back.
    await sender.emit(topic, payload="meanwhile")
    with servers.start():
        await eventually(lambda: sender.is_connected and receiver.is_connected)
        await sender.flush()
        await sender.emit(topic, payload="after", confirm=True)
        await eventually(lambda: "after" in seen)
        assert sender.stats()["connections"] == 2
        assert sender.stats()["unconfirmed"] == 0
        assert sender.stats()["settled"] == 3
        await receiver.stop()
        await sender.stop()
    assert "reconnects by itself" in caplog.text
    assert "connected again" in caplog.text


async def test_what_was_sent_and_not_acknowledged_is_sent_again(bus: Bus, servers: Servers) -> None:
    """The receiver may see an event twice, under one id; it never misses one that its sender was told is settled."""
    topic = bus.names.topic("again")
    ids: list[Any] = []

    async def handle(ctx: Context, topic: str, event: Event) -> None:
        ids.append(event.id)

    server = servers.start()
    sender = await bus.started("sender", address=servers.address)
    emitted: list[str] = []
    stop = False

    async def emit() -> None:
        while not stop:
            for _ in range(50):
                emitted.append(await sender.emit(topic, payload=b"x" * 200))  # noqa: PERF401 - one at a time
            await asyncio.sleep(0)

    task = asyncio.create_task(emit())
    await eventually(lambda: sender.stats()["settled"] > 2000)
    # Frozen before it is killed: what is sent from now on is never acknowledged.
    os.kill(server.pid, signal.SIGSTOP)
    unsettled = sender.stats()["published"] - sender.stats()["settled"]
    await eventually(lambda: sender.stats()["published"] - sender.stats()["settled"] > unsettled + 1000)
    server.kill()
    server = servers.start()
    await bus.started("receiver", topics=[topic], on_event=handle, address=servers.address)
    before = sender.stats()["settled"]
    await eventually(lambda: sender.is_connected and sender.stats()["settled"] > before + 2000)
    stop = True
    await task
    await sender.flush()
    stats = sender.stats()
    assert stats["settled"] == stats["published"] == len(emitted)
    assert stats["resent"] > 0
    await eventually(lambda: emitted[-1] in ids)
    assert set(ids) <= set(emitted)
    await bus.stop()


async def test_two_processes_with_one_id_are_told_so(bus: Bus, caplog: pytest.LogCaptureFixture) -> None:
    first = await bus.started()
    second = loom.Agent(first.agent_id, address=bus.server.bridge)
    with pytest.raises(loom.AgentIdInUse) as caught:
        await second.start()
    assert caught.value.code == "agent_id_in_use"
    assert first.agent_id in str(caught.value)
    assert first.is_connected
    await first.emit(bus.names.topic("unharmed"), confirm=True)
    await first.stop()
    await second.start()
    await second.stop()


async def test_a_wrong_token_is_refused(bus: Bus, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("secret-of-the-server")
    with LoomServer("--token-file", str(token)) as server:
        for wrong in ("", "wrong"):
            with pytest.raises(loom.PermissionDenied, match="LOOM_TOKEN"):
                await bus.started(address=server.bridge, token=wrong)
        agent = await bus.started(address=server.bridge, token="secret-of-the-server")
        await agent.stop()


async def test_garbage_on_the_port_is_no_reason_to_give_up(bus: Bus, caplog: pytest.LogCaptureFixture) -> None:
    """Something else listens there: the agent says so and goes on trying."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(10)
        agent = bus.agent(address=f"127.0.0.1:{listener.getsockname()[1]}")
        starting = asyncio.create_task(agent.start())
        for _ in range(2):
            connection, _ = await asyncio.to_thread(listener.accept)
            with connection:
                connection.sendall(b"HTTP/1.1 200 OK\r\n\r\nno bridge here")
        await eventually(lambda: "cannot reach" in caplog.text)
        assert not starting.done()
        starting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await starting


async def test_an_address_that_is_none_is_refused(bus: Bus) -> None:
    with pytest.raises(loom.LoomError, match="address"):
        await bus.started(address="not an address")


# ---- stopping ----


async def test_a_stop_lets_handlers_end_and_sends_what_they_emit(bus: Bus) -> None:
    topic, answer, go_on = bus.names.topic("work"), bus.names.topic("answer"), asyncio.Event()
    seen: list[Any] = []

    async def handle(ctx: Context, topic: str, event: Event) -> None:
        await go_on.wait()
        await ctx.emit(answer, payload=event.json())

    async def keep(ctx: Context, topic: str, event: Event) -> None:
        seen.append(event.json())

    worker = await bus.started("worker", topics=[topic], on_event=handle, max_in_flight=8)
    await bus.started("keeper", topics=[answer], on_event=keep)
    sender = await bus.started("sender")
    for number in range(40):
        await sender.emit(topic, payload=number)
    await sender.flush()
    await eventually(lambda: worker.stats()["received"] == 40)
    stopping = asyncio.create_task(worker.stop())
    # One turn of the loop: the stop runs until it waits for the handlers.
    await asyncio.sleep(0)
    assert not stopping.done()
    go_on.set()
    await stopping
    await eventually(lambda: len(seen) == 40)
    assert sorted(seen) == list(range(40))


async def test_a_stop_is_bounded_and_says_what_it_left(bus: Bus, caplog: pytest.LogCaptureFixture) -> None:
    topic, begun = bus.names.topic("stuck"), asyncio.Event()
    cancelled: list[Any] = []

    async def handle(ctx: Context, topic: str, event: Event) -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append(event.id)
            raise

    worker = await bus.started("worker", topics=[topic], on_event=handle, max_in_flight=2, stop_timeout=0.4)
    sender = await bus.started("sender")
    for _ in range(5):
        await sender.emit(topic)
    await begun.wait()
    await eventually(lambda: worker.stats()["received"] == 5)
    async with asyncio.timeout(5):
        await worker.stop()
    assert len(cancelled) == 2
    assert "3 received events unhandled" in caplog.text
    await worker.stop()


async def test_nothing_is_taken_after_the_stop(bus: Bus) -> None:
    agent = await bus.started()
    with pytest.raises(loom.LoomError, match="started already"):
        await agent.start()
    await agent.stop()
    with pytest.raises(loom.ConnectionLost, match="has been stopped"):
        await agent.emit(bus.names.topic("late"))
    with pytest.raises(loom.ConnectionLost, match="has been stopped"):
        await agent.invoke("any.capability", timeout=1)
    with pytest.raises(loom.ConnectionLost, match="has been stopped"):
        await agent.request(bus.names.topic("late"), timeout=1)


async def test_an_agent_may_start_again(bus: Bus) -> None:
    topic = bus.names.topic("again")
    seen: list[Any] = []

    async def handle(ctx: Context, topic: str, event: Event) -> None:
        seen.append(event.id)

    agent = bus.agent(topics=[topic], on_event=handle)
    for round_ in range(3):
        async with agent:
            await agent.emit(topic)
            await eventually(lambda: len(seen) == round_ + 1)  # noqa: B023 - used within the round


async def test_waiting_emits_end_with_the_agent(bus: Bus, servers: Servers) -> None:
    server = servers.start()
    agent = await bus.started(address=servers.address, buffer_bytes=1000, stop_timeout=0.3)
    server.kill()
    await eventually(lambda: not agent.is_connected)

    async def emit() -> None:
        while True:
            await agent.emit(bus.names.topic("x"), payload=b"x" * 100)

    task = asyncio.create_task(emit())
    last = -1

    def stands_still() -> bool:
        nonlocal last
        last, before = agent.stats()["published"], last
        return 0 < last == before

    await eventually(stands_still)
    await agent.stop()
    with pytest.raises(loom.LoomError, match="stopped"):
        await task


async def test_loops_without_add_reader_are_served_by_a_thread(bus: Bus, monkeypatch: pytest.MonkeyPatch) -> None:
    topic = bus.names.topic("thread")
    seen: list[Any] = []

    async def handle(ctx: Context, topic: str, event: Event) -> None:
        seen.append(event.json())

    def missing(*_: object) -> None:
        raise NotImplementedError

    monkeypatch.setattr(type(asyncio.get_running_loop()), "add_reader", missing)
    agent = await bus.started(topics=[topic], on_event=handle)
    for number in range(2000):
        await agent.emit(topic, payload=number)
    await eventually(lambda: len(seen) == 2000)
    assert seen == list(range(2000))
    await agent.stop()
    await eventually(lambda: not [t for t in threading.enumerate() if t.name == "loom-wake"])


def test_the_server_of_tests_takes_settings() -> None:
    with pytest.raises(RuntimeError, match="no_such_section"):
        LoomServer(settings="[no_such_section]\nkey = 1\n")


def test_the_server_of_tests_says_why_it_did_not_start() -> None:
    with pytest.raises(RuntimeError, match="unexpected argument"):
        LoomServer("--no-such-flag")
    assert os.environ["LOOM_BIN"]
