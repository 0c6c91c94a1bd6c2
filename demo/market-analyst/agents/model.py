"""Serves a stand-in for a model, so that the demo needs no network and no key, and tells where."""

from __future__ import annotations

import sys

from completions import serve
from loom import Agent, Context

agent = Agent("model")
base_url = serve()


@agent.capability("model.address", description="base URL of the stand-in for a model")
async def address(ctx: Context, args: object) -> str:
    """Tell where it listens."""
    return base_url


if __name__ == "__main__":
    sys.exit(agent.run())
