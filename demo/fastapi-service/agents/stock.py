"""Knows what there is and what it costs."""

from __future__ import annotations

import sys
from typing import Any

from loom import Agent, Context

STOCK = {"nut": {"left": 40, "price": 0.05}, "bolt": {"left": 12, "price": 0.25}}

agent = Agent("stock")


@agent.capability(
    "stock.find",
    description="What is left of an item, and its price",
    input_schema={"type": "object", "properties": {"item": {"type": "string"}}, "required": ["item"]},
)
async def find(ctx: Context, args: dict[str, Any]) -> dict[str, Any] | None:
    """Return what there is of an item; null where it is unknown."""
    return STOCK.get(args["item"])


if __name__ == "__main__":
    sys.exit(agent.run())
