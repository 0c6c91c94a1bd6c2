"""A server that stops and starts again under agents that publish and handle: nothing is lost, and all are told."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import Any

import loom
import pytest
from conftest import Bus, Servers, eventually
from loom import ConnectionChange, Context, Event

SETTINGS = """
[server]
drain_grace = "1s"

[streams.orders]
topics = ["orders.>"]
"""
ROUNDS = 3


async def test_nothing_is_lost_and_nobody_sees_an_exception(
    bus: Bus, servers: Servers, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "loom")
    accepted: list[str] = []
    handled: set[str] = set()
    bills: set[str] = set()
    changes: list[ConnectionChange] = []
    errors: list[loom.LoomError] = []

    async def bill(ctx: Context, topic: str, event: Event) -> None:
        await ctx.emit("orders.billed", payload=event.id)
        handled.add(event.id)

    async def book(ctx: Context, topic: str, event: Event) -> None:
        bills.add(event.text())

    def started() -> Any:
        return servers.start(settings=SETTINGS, data_dir=tmp_path / "data")

    common: dict[str, Any] = {"address": servers.address, "on_error": errors.append}
    server = started()
    for _ in range(2):
        biller = bus.agent("biller", on_connection=changes.append, **common)
        biller.on("orders.created", ack=True, group="billing")(bill)
        await biller.start()
    bookkeeper = bus.agent("bookkeeper", **common)
    bookkeeper.on("orders.billed", ack=True)(book)
    await bookkeeper.start()
    shop = await bus.started("shop", **common)
    is_over = False

    async def sell() -> None:
        while not is_over:
            accepted.append(await shop.emit("orders.created", payload="x", confirm=True))

    # Any exception of an emit ends its task, and fails the test.
    selling = [asyncio.create_task(sell()) for _ in range(8)]

    for round_ in range(ROUNDS):
        before = len(accepted)
        await eventually(lambda: len(accepted) > before + 200)  # noqa: B023 - used within the round
        # Stopped as a supervisor does it: SIGTERM, and wait for the end.
        assert await asyncio.to_thread(server.stop) == 0
        server = await asyncio.to_thread(started)
        await eventually(lambda: sum(change.is_connected for change in changes) == 2 * (round_ + 2))  # noqa: B023
    is_over = True
    await asyncio.gather(*selling)
    await eventually(lambda: handled >= set(accepted))
    await eventually(lambda: bills >= set(accepted))
    assert errors == []
    assert shop.stats()["settled"] == shop.stats()["published"] == len(accepted)
    for agent_changes in ([c for c in changes if c.is_connected], [c for c in changes if not c.is_connected]):
        assert max(change.streams for change in agent_changes) >= ROUNDS
    assert {change.reason for change in changes if not change.is_connected} == {"the server is shutting down"}
    lines = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert lines == []
    assert "lost its connection" in caplog.text
    assert "connected again" in caplog.text
    await bus.stop()


async def test_each_change_of_the_connection_is_told(
    bus: Bus, servers: Servers, caplog: pytest.LogCaptureFixture
) -> None:
    changes: list[ConnectionChange] = []

    def tell(change: ConnectionChange) -> None:
        changes.append(change)
        raise ValueError("the callback's own")

    server = servers.start()
    agent = await bus.started(address=servers.address, on_connection=tell)
    assert changes == [ConnectionChange(is_connected=True, streams=1)]
    server.kill()
    await eventually(lambda: len(changes) == 2)
    assert (changes[1].is_connected, changes[1].streams) == (False, 1)
    assert changes[1].reason
    server = servers.start()
    await eventually(lambda: len(changes) == 3)
    assert changes[2] == ConnectionChange(is_connected=True, streams=2)
    # A callback that fails is its own matter.
    assert caplog.text.count("the callback's own") >= 3
    assert await agent.emit(bus.names.topic("after"), confirm=True)
    await agent.stop()
    assert len(changes) == 3
