"""Tasks that agents bid for: proposals, awards, rejections, and bidders that die."""

from __future__ import annotations

import asyncio
from typing import Any

import loom
import pytest
from conftest import Bus, Traces, eventually, start_script
from loom import Context, Event, Proposal
from opentelemetry import trace
from opentelemetry.trace import format_trace_id

MORTAL = """
    import asyncio, sys, loom

    async def bid(ctx, task):
        return {"price": 1}

    async def perform(ctx, task, bid):
        print("AWARDED", flush=True)
        await asyncio.Event().wait()

    async def main(agent):
        print("READY", flush=True)
        await agent.wait_closed()

    agent = loom.Agent(sys.argv[1])
    agent.contractor(sys.argv[2], bid=bid, perform=perform)
    agent.run(main)
"""
"""The cheapest of all, which never finishes."""


async def contractor(bus: Bus, topic: str, price: int | None) -> loom.Agent:
    async def bid(ctx: Context, task: Any) -> Any:
        return None if price is None else {"price": price}

    async def perform(ctx: Context, task: Any, bid: Any) -> Any:
        return {"done": task["what"], "for": bid["price"], "by": price}

    agent = bus.agent("contractor")
    agent.contractor(topic, bid=bid, perform=perform)
    await agent.start()
    return agent


def price(proposal: Proposal) -> int:
    found: int = proposal.bid["price"]
    return found


async def test_the_best_proposal_is_awarded_and_the_others_are_rejected(bus: Bus) -> None:
    topic = bus.names.topic("task")
    agents = [await contractor(bus, topic, price) for price in (7, 5, 9, None)]
    caller = await bus.started("caller")
    proposals = await caller.call_for_proposals(topic, {"what": "wall"}, n=4, timeout=20)
    assert (len(proposals), proposals.refused, proposals.missing) == (3, 1, 0)
    bidders = [agent.agent_id for agent in agents[:3]]
    assert {p.sender: price(p) for p in proposals} == dict(zip(bidders, (7, 5, 9), strict=True))
    best = min(proposals, key=price)
    assert await proposals.award(best, timeout=20) == {"done": "wall", "for": 5, "by": 5}
    for proposal in proposals:
        with pytest.raises(loom.InvalidEvent, match="not open"):
            await proposals.award(proposal)
    # Also where the caller would not know: nobody holds a proposal any more.
    for agent in agents:
        await eventually(lambda: open_proposals(agent) == 0)  # noqa: B023 - used within the round


def open_proposals(agent: loom.Agent) -> int:
    return agent.stats()["proposals_open"]


async def test_a_bidder_that_dies_with_the_award_is_noticed_and_the_next_one_gets_it(bus: Bus) -> None:
    topic = bus.names.topic("task")
    await contractor(bus, topic, 5)
    caller = await bus.started("caller")
    process = start_script(MORTAL, bus.server.environment, bus.names.agent("mortal"), topic)
    try:
        assert process.stdout is not None
        assert await asyncio.to_thread(process.stdout.readline) == "READY\n"
        proposals = await caller.call_for_proposals(topic, {"what": "roof"}, n=2, timeout=20)
        cheapest, next_one = sorted(proposals, key=price)
        award = asyncio.create_task(proposals.award(cheapest, timeout=60))
        assert await asyncio.to_thread(process.stdout.readline) == "AWARDED\n"
        process.kill()
        with pytest.raises(loom.ProviderGone, match="left before it answered"):
            await award
        assert (await proposals.award(next_one, timeout=20))["by"] == 5
    finally:
        process.kill()
        process.communicate()


async def test_a_bidder_that_died_with_its_proposal_is_noticed(bus: Bus) -> None:
    topic = bus.names.topic("task")
    agent = await contractor(bus, topic, 5)
    caller = await bus.started("caller")
    proposals = await caller.call_for_proposals(topic, {"what": "roof"}, n=1, timeout=20)
    await agent.stop()
    with pytest.raises(loom.ProviderGone, match="award another one"):
        await proposals.award(proposals[0])
    # The same agent again knows nothing of what it proposed before.
    await agent.start()
    assert open_proposals(agent) == 0


async def test_nobody_may_be_there(bus: Bus) -> None:
    caller = await bus.started("caller")
    proposals = await caller.call_for_proposals(bus.names.topic("nobody"), timeout=0.05, n=2)
    assert (list(proposals), proposals.refused, proposals.missing) == ([], 0, 2)
    await proposals.reject()


async def test_work_that_fails_is_told_and_late_work_is_stopped(bus: Bus) -> None:
    topic, cancelled = bus.names.topic("task"), asyncio.Event()

    async def bid(ctx: Context, task: Any) -> Any:
        return task

    async def perform(ctx: Context, task: Any, bid: Any) -> Any:
        if task == "fail":
            raise ValueError("no bricks")
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    agent = bus.agent("contractor")
    agent.contractor(topic, bid=bid, perform=perform)
    await agent.start()
    caller = await bus.started("caller")
    proposals = await caller.call_for_proposals(topic, "fail", n=1, timeout=20)
    with pytest.raises(loom.HandlerFailed, match="no bricks"):
        await proposals.award(proposals[0])
    proposals = await caller.call_for_proposals(topic, "slow", n=1, timeout=20)
    with pytest.raises(loom.DeadlineExceeded):
        await proposals.award(proposals[0], timeout=0.1)
    await asyncio.wait_for(cancelled.wait(), 15)


async def test_a_proposal_that_is_not_open_any_more(bus: Bus) -> None:
    """Its time is over, or a second caller has seen the same reply."""
    topic = bus.names.topic("task")
    agent = await contractor(bus, topic, 5)
    caller = await bus.started("caller")
    proposals = await caller.call_for_proposals(topic, {"what": "roof"}, n=1, timeout=20, open_for=0.001)
    await eventually(lambda: open_proposals(agent) == 0)
    with pytest.raises(loom.HandlerFailed, match="not open any more"):
        await proposals.award(proposals[0])
    for wrong in (0.0, float("nan"), 1e9):
        with pytest.raises(ValueError, match="open_for"):
            await caller.call_for_proposals(topic, open_for=wrong)


async def test_a_bid_that_fails_refuses(bus: Bus, caplog: pytest.LogCaptureFixture) -> None:
    topic = bus.names.topic("task")

    async def bid(ctx: Context, task: Any) -> Any:
        raise RuntimeError("cannot count")

    async def perform(ctx: Context, task: Any, bid: Any) -> Any:
        raise AssertionError("nobody has awarded anything")

    agent = bus.agent("contractor")
    agent.contractor(topic, bid=bid, perform=perform)
    await agent.start()
    caller = await bus.started("caller")
    proposals = await caller.call_for_proposals(topic, n=1, timeout=20)
    assert (len(proposals), proposals.refused, proposals.missing) == (0, 1, 0)
    await eventually(lambda: agent.stats()["failed"] == 1)
    assert "cannot count" in caplog.text


async def test_open_proposals_are_bounded(bus: Bus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("loom.contract._MAX_HELD", 2)
    topic = bus.names.topic("task")
    agent = await contractor(bus, topic, 5)
    caller = await bus.started("caller")
    found = [await caller.call_for_proposals(topic, {"what": "x"}, n=1, timeout=20) for _ in range(3)]
    assert [proposals.refused for proposals in found] == [0, 0, 1]
    assert open_proposals(agent) == 2
    await found[0].reject()
    await eventually(lambda: open_proposals(agent) == 1)
    assert (await caller.call_for_proposals(topic, {"what": "x"}, n=1, timeout=20)).refused == 0


async def test_answers_that_are_no_proposals(bus: Bus) -> None:
    topic = bus.names.topic("task")

    async def answer(ctx: Context, topic: str, event: Event) -> None:
        assert event.type == "cfp"
        await ctx.reply("hello", type="propose", metadata={"loom-contract": "1", "loom-award": "calc.add"})

    await bus.started("other", topics=[topic], on_event=answer)
    caller = await bus.started("caller")
    proposals = await caller.call_for_proposals(topic, n=1, timeout=20)
    assert (len(proposals), proposals.refused) == (0, 1)


async def test_plain_functions_bid_perform_and_award(bus: Bus) -> None:
    topic, ask = bus.names.topic("task"), bus.names.topic("ask")
    results: list[Any] = []

    def bid(ctx: Context, task: Any) -> Any:
        return 5

    def perform(ctx: Context, task: Any, bid: Any) -> Any:
        return task * bid

    def handle(ctx: Context, where: str, event: Event) -> None:
        proposals = ctx.blocking.call_for_proposals(topic, 7, n=1, timeout=20)
        results.append(ctx.blocking.award(proposals, proposals[0], timeout=20))

    agent = bus.agent("contractor")
    agent.contractor(topic, bid=bid, perform=perform)
    await agent.start()
    caller = await bus.started("caller", topics=[ask], on_event=handle)
    await caller.emit(ask)
    await eventually(lambda: results == [35])


async def test_call_bid_and_work_are_one_trace(bus: Bus, traces: Traces) -> None:
    topic = bus.names.topic("task")
    agent = await contractor(bus, topic, 5)
    caller = await bus.started("caller")
    with trace.get_tracer("tests").start_as_current_span("root") as root:
        proposals = await caller.call_for_proposals(topic, {"what": "x"}, n=1, timeout=20)
        await proposals.award(proposals[0], timeout=20)
    # root; call and bid; the proposal's way back; the award.
    spans = await traces.whole(format_trace_id(root.get_span_context().trace_id), 1 + 4 + 3 + 2)
    by_name = {span.name: span for span in spans if span.service.startswith("agent-")}
    assert by_name["agent.on_action"].service == by_name["agent.on_event"].service == f"agent-{agent.agent_id}"
    top = next(span for span in spans if span.name == "root")
    assert len(top.links) == 1
    assert len(spans) == 10
