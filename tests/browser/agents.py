"""Agents whose executions end in each state, and a post that publishes what it is told. The first argument says which.

clerk     does what the order says
keeper    never comes to the end of an order
courier   delivers what is near, and is lost with what is far
post      publishes `TOPIC TEXT` for each line of its input
"""

from __future__ import annotations

import asyncio
import math
import os
import sys

from loom import Agent, Context, Event, Reject


def clerk() -> int:
    """Handle orders as their text says."""
    agent = Agent("clerk")

    @agent.on("orders.desk", ack=True, group="clerks", max_attempts=2, timeout=0.3)
    async def decide(ctx: Context, topic: str, event: Event) -> None:
        text = event.text()
        if text == "slow":
            await asyncio.Event().wait()
        if text == "bad":
            raise ValueError("no such article")
        if text == "wrong":
            raise Reject("<img src=x onerror=alert(1)> is no order")

    return agent.run()


def keeper() -> int:
    """Keep one order, and let the others wait."""
    agent = Agent("keeper", max_in_flight=1)

    @agent.on("orders.hold", ack=True, group="keepers", timeout=math.inf)
    async def keep(ctx: Context, topic: str, event: Event) -> None:
        await asyncio.Event().wait()

    return agent.run()


def courier() -> int:
    """Deliver one order, and be gone with the next."""
    agent = Agent("courier")

    @agent.on("orders.trip", ack=True, group="couriers")
    async def deliver(ctx: Context, topic: str, event: Event) -> None:
        if event.text() == "far":
            # Between a begin that the server knows and an end that nobody tells.
            os._exit(1)

    return agent.run()


def post() -> int:
    """Publish line by line; each is confirmed before the next is read."""
    agent = Agent("post")

    async def publish(agent: Agent) -> None:
        while line := await asyncio.to_thread(sys.stdin.readline):
            topic, _, text = line.rstrip("\n").partition(" ")
            await agent.emit(topic, payload=text, confirm=True)
            print(text, flush=True)

    return agent.run(publish)


if __name__ == "__main__":
    sys.exit({"clerk": clerk, "keeper": keeper, "courier": courier, "post": post}[sys.argv[1]]())
