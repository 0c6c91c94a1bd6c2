"""Prices: the closes of sixty days, made up from the symbol, so that they are the same each time."""

from __future__ import annotations

import random
import sys

from loom import Agent, Context, Event

agent = Agent("data")
DAYS = 60


def closes(symbol: str) -> list[float]:
    """Walk at random from 100; the symbol is the seed."""
    chance = random.Random(symbol)  # noqa: S311 - prices, not secrets
    price, found = 100.0, []
    for _ in range(DAYS):
        price *= 1 + chance.gauss(0.0005, 0.02)
        found.append(round(price, 2))
    return found


@agent.on("market.request")
async def load(ctx: Context, topic: str, event: Event) -> None:
    """Load the prices of the symbol, and hand them to all analysts."""
    symbol = event.json()["symbol"]
    with ctx.phase("tool_execution"), ctx.tool("prices", symbol=symbol):
        prices = closes(symbol)
    await ctx.emit("market.data", payload={"symbol": symbol, "closes": prices}, correlation_id=event.correlation_id)


if __name__ == "__main__":
    sys.exit(agent.run())
