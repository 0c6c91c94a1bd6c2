"""Answers quotes: asks the stock what there is, and counts."""

from __future__ import annotations

import sys

from loom import Agent, Context, Event

agent = Agent("quoter")


@agent.on("quotes.wanted")
async def quote(ctx: Context, topic: str, event: Event) -> None:
    """Reply with a price, or without one where the item is unknown."""
    wanted = event.json()
    found = await ctx.invoke("stock.find", {"item": wanted["item"]})
    if found is None:
        await ctx.reply({"item": wanted["item"]})
        return
    count = min(wanted["count"], found["left"])
    await ctx.reply({"item": wanted["item"], "count": count, "price": round(count * found["price"], 2)})


if __name__ == "__main__":
    sys.exit(agent.run())
