"""Capabilities: called by other agents, with deadlines, errors and cancellation."""

from __future__ import annotations

import asyncio
from typing import Any

import loom
import pytest
from conftest import Bus, eventually
from loom import Context


async def provider(bus: Bus) -> loom.Agent:
    """An agent that adds, fails, waits and tells what became of it."""
    agent = bus.agent("provider", stop_timeout=0.5)
    prefix = bus.names.topic()
    state: dict[str, Any] = {"waiting": 0, "cancelled": 0}

    @agent.capability(f"{prefix}.add", description="adds", input_schema={"type": "object"})
    async def add(ctx: Context, args: dict[str, float]) -> float:
        return args["a"] + args["b"]

    @agent.capability(f"{prefix}.plain")
    def plain(ctx: Context, args: str) -> str:
        """Shout."""
        return args.upper()

    @agent.capability(f"{prefix}.caller")
    async def caller(ctx: Context, args: object) -> str:
        return ctx.caller

    @agent.capability(f"{prefix}.fail")
    async def fail(ctx: Context, args: str) -> None:
        if args == "loom":
            raise loom.PermissionDenied("not for you")
        raise ValueError("no such thing")

    @agent.capability(f"{prefix}.wait")
    async def wait(ctx: Context, args: object) -> None:
        state["waiting"] += 1
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            state["cancelled"] += 1
            raise

    @agent.capability(f"{prefix}.state")
    async def tell(ctx: Context, args: object) -> dict[str, Any]:
        return state

    @agent.capability(f"{prefix}.bytes")
    async def reverse(ctx: Context, args: bytes) -> bytes:
        return args[::-1]

    @agent.capability(f"{prefix}.nothing")
    async def nothing(ctx: Context, args: object) -> object:
        return args

    await agent.start()
    return agent


async def test_a_call_returns_the_result(bus: Bus) -> None:
    await provider(bus)
    caller, prefix = await bus.started("caller"), bus.names.topic()
    assert await caller.invoke(f"{prefix}.add", {"a": 1, "b": 2}, timeout=10) == 3
    assert await caller.invoke(f"{prefix}.plain", "shout", timeout=10) == "SHOUT"
    assert await caller.invoke(f"{prefix}.bytes", b"\x00\xff", timeout=10) == b"\xff\x00"
    assert await caller.invoke(f"{prefix}.nothing", timeout=10) is None
    assert await caller.invoke(f"{prefix}.caller", timeout=10) == caller.agent_id
    results = await asyncio.gather(*(caller.invoke(f"{prefix}.add", {"a": n, "b": 1}, timeout=20) for n in range(300)))
    assert results == [n + 1 for n in range(300)]


async def test_calls_pass_every_bound_twice(bus: Bus) -> None:
    """1,024 calls may be open at once; what is counted must be uncounted."""
    await provider(bus)
    caller, prefix = await bus.started("caller"), bus.names.topic()
    for round_ in range(25):
        results = await asyncio.gather(
            *(caller.invoke(f"{prefix}.nothing", (round_, n), timeout=20) for n in range(100))
        )
        assert results == [[round_, n] for n in range(100)]


async def test_faults_are_exceptions_by_their_code(bus: Bus) -> None:
    await provider(bus)
    caller, prefix = await bus.started("caller"), bus.names.topic()
    with pytest.raises(loom.HandlerFailed, match="ValueError: no such thing"):
        await caller.invoke(f"{prefix}.fail", "x", timeout=10)
    with pytest.raises(loom.PermissionDenied, match="not for you"):
        await caller.invoke(f"{prefix}.fail", "loom", timeout=10)
    with pytest.raises(loom.UnknownCapability, match="unheard"):
        await caller.invoke(f"{prefix}.unheard", timeout=10)
    with pytest.raises(loom.InvalidEvent, match="JSON"):
        await caller.invoke(f"{prefix}.add", object(), timeout=10)


async def test_a_deadline_cancels_the_provider(bus: Bus) -> None:
    await provider(bus)
    caller, prefix = await bus.started("caller"), bus.names.topic()
    with pytest.raises(loom.DeadlineExceeded):
        await caller.invoke(f"{prefix}.wait", timeout=0.1)

    async def cancelled() -> bool:
        state = await caller.invoke(f"{prefix}.state", timeout=10)
        return bool(state["cancelled"] == 1)

    await eventually(cancelled)


async def test_a_cancelled_caller_cancels_the_call(bus: Bus) -> None:
    await provider(bus)
    caller, prefix = await bus.started("caller"), bus.names.topic()
    call = asyncio.create_task(caller.invoke(f"{prefix}.wait", timeout=30))

    async def state(key: str) -> bool:
        found = await caller.invoke(f"{prefix}.state", timeout=10)
        return bool(found[key] == 1)

    await eventually(lambda: state("waiting"))
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    await eventually(lambda: state("cancelled"))


async def test_a_provider_that_leaves_is_noticed(bus: Bus) -> None:
    agent = await provider(bus)
    caller, prefix = await bus.started("caller"), bus.names.topic()
    call = asyncio.create_task(caller.invoke(f"{prefix}.wait", timeout=30))

    async def waiting() -> bool:
        found = await caller.invoke(f"{prefix}.state", timeout=10)
        return bool(found["waiting"] == 1)

    await eventually(waiting)
    leaving = asyncio.create_task(agent.stop())
    with pytest.raises((loom.ProviderGone, loom.Cancelled)):
        await call
    with pytest.raises(loom.UnknownCapability):
        await caller.invoke(f"{prefix}.add", {"a": 1, "b": 2}, timeout=10)
    await leaving


async def test_handlers_may_call_and_capabilities_may_emit(bus: Bus) -> None:
    await provider(bus)
    prefix, topic = bus.names.topic(), bus.names.topic("sum")
    sums: list[float] = []

    async def handle(ctx: Context, topic: str, event: loom.Event) -> None:
        sums.append(await ctx.invoke(f"{prefix}.add", event.json(), timeout=10))

    await bus.started(topics=[topic], on_event=handle, max_in_flight=2)
    sender = await bus.started("sender")
    for n in range(50):
        await sender.emit(topic, payload={"a": n, "b": n})
    await eventually(lambda: len(sums) == 50)
    assert sorted(sums) == [2 * n for n in range(50)]


async def test_capabilities_are_defined_once_and_by_the_rules(bus: Bus) -> None:
    agent = bus.agent()

    @agent.capability("calc.add")
    async def add(ctx: Context, args: object) -> None: ...

    with pytest.raises(loom.InvalidAgent, match="stands twice"):
        agent.capability("calc.add")
    with pytest.raises(loom.InvalidAgent, match="is not valid"):
        agent.capability("calc add")
