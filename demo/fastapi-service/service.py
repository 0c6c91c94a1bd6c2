"""The web service: a request asks the agents, and its response is their answer.

Run it with `loom run demo/fastapi-service`, or by hand beside a server: `uvicorn service:app --reload`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import loom
from fastapi import FastAPI, HTTPException, Request
from loom.asgi import LoomMiddleware, agent_lifespan

TIMEOUT_S = 5.0


def identify(scope: Mapping[str, Any]) -> dict[str, object]:
    """Say whom a request is about. A real service asks its session; this one believes a header."""
    headers = dict(scope["headers"])
    return {"workflow_id": "quote", "user_id": headers.get(b"x-user", b"anonymous").decode("latin-1")}


# FastAPI's spans of its own inner steps are left out: the request's and those of the agents are enough here.
app = FastAPI(lifespan=agent_lifespan(loom.Agent, "web"), telemetry={"operation_spans": False})
app.add_middleware(LoomMiddleware, identify=identify, trace_response=True, excluded=["/health"])


@app.get("/quotes/{item}")
async def quote(item: str, request: Request, count: int = 1) -> dict[str, Any]:
    """Ask for a price and wait for the answer."""
    agent: loom.Agent = request.state.agent
    try:
        reply = await agent.request("quotes.wanted", {"item": item, "count": count}, timeout=TIMEOUT_S)
    except loom.DeadlineExceeded as error:
        raise HTTPException(504, "no agent has answered in time") from error
    answer: dict[str, Any] = reply.json()
    if "price" not in answer:
        raise HTTPException(404, f"nobody sells {item}")
    return answer


@app.get("/health")
async def health(request: Request) -> dict[str, Any]:
    """Tell whether this worker can work; no span, since it is asked all the time."""
    agent: loom.Agent = request.state.agent
    return {"agent": agent.agent_id, "connected": agent.is_connected}
