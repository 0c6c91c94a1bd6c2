"""Provides calc.add, and answers requests on calc.ask."""

from __future__ import annotations

import sys
from typing import Any

from loom import Agent, Context, Event

agent = Agent("calculator")


@agent.capability("calc.add", description="Adds two numbers")
async def add(ctx: Context, args: Any) -> dict[str, float]:
    """Add what was given; a missing number is the caller's fault."""
    return {"sum": args["a"] + args["b"]}


@agent.on("calc.ask")
async def answer(ctx: Context, topic: str, event: Event) -> None:
    """Answer on the topic that the request names."""
    asked = event.json()
    await ctx.reply({"sum": asked["a"] + asked["b"]})


if __name__ == "__main__":
    sys.exit(agent.run())
