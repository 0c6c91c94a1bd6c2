"""Loom in web services: for FastAPI, Starlette, Litestar, Quart, and whatever else speaks ASGI.

    agent = Agent("web")
    app = FastAPI(lifespan=agent_lifespan(agent))
    app.add_middleware(LoomMiddleware)

A request goes on in the trace of its client, or begins one, and everything that it leads to is in it: the agents that
it asks, and what they ask. docs/asgi.md is the guide.
"""

from __future__ import annotations

from loom.asgi.lifespan import agent_lifespan
from loom.asgi.middleware import LoomMiddleware

__all__ = ["LoomMiddleware", "agent_lifespan"]
