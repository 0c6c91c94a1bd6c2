"""The examples of docs/asgi.md, as they stand there."""

from __future__ import annotations

from typing import Any

import loom
import pytest
from conftest import ROOT
from fastapi import FastAPI
from loom import Context, Event
from loom.testing import LoomServer
from test_asgi import serving

EXAMPLES = [
    part.split("```")[0] for part in (ROOT / "docs/asgi.md").read_text(encoding="utf-8").split("```python\n")[1:]
]


def run(example: str) -> dict[str, Any]:
    names: dict[str, Any] = {"__name__": "example"}
    exec(compile(example, "docs/asgi.md", "exec", dont_inherit=True), names)
    return names


@pytest.fixture(autouse=True)
def address(server: LoomServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOOM_ADDRESS", server.bridge)


async def test_the_service_asks_an_agent_about_its_user(server: LoomServer) -> None:
    async def answer(ctx: Context, topic: str, event: Event) -> None:
        about = loom.get_current_context()
        await ctx.reply({**event.json(), "user": about.user_id, "workflow": about.workflow_id})

    app = run(EXAMPLES[0])["app"]
    async with loom.Agent("guide-quoter", topics=["quotes.wanted"], on_event=answer), serving(app) as client:
        response = await client.get("/quotes/bolt", headers={"x-user": "ann"})
    assert response.json() == {"item": "bolt", "user": "ann", "workflow": "quote"}


async def test_a_lifespan_of_one_s_own_has_the_agent(server: LoomServer) -> None:
    lifespan = run(EXAMPLES[1])["lifespan"]
    async with lifespan(FastAPI()) as state:
        assert (state["agent"].is_connected, state["greeting"]) == (True, "hello")
    assert not state["agent"].is_connected
