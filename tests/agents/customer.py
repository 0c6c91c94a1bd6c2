"""Asks the calculator inside a handler, by a call and by a request."""

from __future__ import annotations

import sys

from loom import Agent, Context, Event

agent = Agent("customer")


@agent.on("order.new")
async def order(ctx: Context, topic: str, event: Event) -> None:
    """Have the same sum made in both ways."""
    numbers = event.json()
    called = await ctx.invoke("calc.add", numbers, timeout=10)
    answered = await ctx.request("calc.ask", numbers, timeout=10)
    if called != answered.json():
        raise ValueError(f"{called} is not {answered.json()}")
    print(f"sum {called['sum']}", flush=True)


if __name__ == "__main__":
    sys.exit(agent.run())
