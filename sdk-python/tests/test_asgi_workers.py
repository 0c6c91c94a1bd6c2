"""Several workers, and reloads: each worker process has an agent of its own under the application's name."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import loom
import pytest
from conftest import Names, eventually
from loom import Context, Event
from loom.asgi import agent_lifespan
from loom.testing import LoomServer, LoomSpans
from opentelemetry import trace

tracer = trace.get_tracer("tests")
# Each test starts several processes, one after the other.
pytestmark = pytest.mark.timeout(240)

SERVICE = """
import os

import loom
from fastapi import FastAPI, Request
from loom.asgi import LoomMiddleware, agent_lifespan

VERSION = 1
ID = os.environ["SERVICE_ID"]

app = FastAPI(lifespan=agent_lifespan({agent}), telemetry={{"tracing": False}})
app.add_middleware(LoomMiddleware)


@app.get("/who")
async def who(request: Request):
    agent = request.state.agent
    return [agent.agent_id, os.getpid(), VERSION, (await agent.request(ID, b"")).text()]
"""
MANY = "loom.Agent, ID"
ONE = "loom.Agent(ID)"
START = 60.0
"""Seconds in which a process has begun to serve, on a machine that is busy."""
BOUND = re.compile(r"running on (http://127\.0\.0\.1:\d+)")


class Answer(NamedTuple):
    agent: str
    pid: int
    version: int
    text: str


class Uvicorn:
    """``uvicorn`` as it is started by hand, with its log in a file."""

    def __init__(self, folder: Path, server: LoomServer, agent_id: str, service: str, *arguments: str) -> None:
        folder.mkdir()
        self.file = folder / "service.py"
        self.file.write_text(service, encoding="utf-8")
        self._log = folder / "log"
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "uvicorn", "service:app", "--port", "0", *arguments],
                cwd=folder,
                stderr=log,
                stdout=log,
                env={**os.environ, **server.environment, "SERVICE_ID": agent_id, "PYTHONDONTWRITEBYTECODE": "1"},
                start_new_session=True,
            )

    @property
    def log(self) -> str:
        return self._log.read_text(encoding="utf-8")

    async def url(self) -> str:
        found = await eventually(lambda: BOUND.search(self.log), START)
        return str(found[1])

    async def who(self) -> Answer:
        """Ask over a new connection, which any of the workers may take."""
        async with httpx.AsyncClient(timeout=15) as client:
            response = await client.get(f"{await self.url()}/who", headers=loom.to_headers())
            return Answer(*response.raise_for_status().json())

    async def first(self) -> Answer:
        """Ask until there is an answer: a supervisor tells its address before a worker listens."""
        answers: list[Answer] = []

        async def look() -> bool:
            try:
                answers.append(await self.who())
            except httpx.TransportError:
                return False
            return True

        await eventually(look, START)
        return answers[0]

    async def workers(self, count: int, *without: int) -> dict[str, int]:
        """Ask until so many workers have answered, none of which is among ``without``; return their agents."""
        found: dict[str, int] = {}

        async def look() -> bool:
            with_new = await asyncio.gather(*(self.who() for _ in range(8)), return_exceptions=True)
            found.update((a.agent, a.pid) for a in with_new if isinstance(a, Answer) and a.pid not in without)
            return len(found) >= count

        await eventually(look, START)
        return found

    def stop(self) -> int:
        self._process.send_signal(signal.SIGTERM)
        try:
            return self._process.wait(START)
        finally:
            if self._process.poll() is None:
                self._process.kill()
                self._process.wait()


class Start:
    def __init__(self, folder: Path, server: LoomServer) -> None:
        self._folder, self._server = folder, server
        self.started: list[Uvicorn] = []

    def __call__(self, agent_id: str, agent: str, *arguments: str) -> Uvicorn:
        folder, service = self._folder / str(len(self.started)), SERVICE.format(agent=agent)
        running = Uvicorn(folder, self._server, agent_id, service, *arguments)
        self.started.append(running)
        return running


@pytest.fixture
def start(tmp_path: Path, server: LoomServer) -> Iterator[Start]:
    start = Start(tmp_path, server)
    yield start
    for running in start.started:
        running.stop()
        # Shown where a test fails.
        sys.stdout.write(running.log)


@pytest.fixture
async def answering(server: LoomServer, names: Names) -> Any:
    """The agent that the services ask: its topic is their id."""
    topic = names.agent("web")

    async def answer(ctx: Context, topic: str, event: Event) -> None:
        await ctx.reply("here")

    async with loom.Agent(names.agent("answering"), topics=[topic], on_event=answer, address=server.bridge):
        yield topic


async def test_each_worker_has_its_agent_and_a_new_one_takes_a_free_id(
    start: Start, answering: str, server: LoomServer
) -> None:
    service = start(answering, MANY, "--workers", "2")
    workers = await service.workers(2)
    assert set(workers) == {f"{answering}-1", f"{answering}-2"}
    with LoomSpans(server) as spans, tracer.start_as_current_span("client") as root:
        answer = await service.who()
        root.end()
        await spans.assert_trace(
            root,
            f"""
            client
              GET /who [kind=server]
                bridge.publish
                  EventBus.publish
                    bridge.forward
                      agent.on_event
                        bridge.publish
                          EventBus.publish
                            bridge.forward [agent_id={answer.agent}]
            """,
        )

    # Killed without a word: the server frees its id, and uvicorn starts another worker.
    dead = workers[f"{answering}-1"]
    os.kill(dead, signal.SIGKILL)
    again = await service.workers(2, dead)
    assert set(again) == {f"{answering}-1", f"{answering}-2"}
    assert again[f"{answering}-2"] == workers[f"{answering}-2"]
    assert service.stop() == 0
    assert "in use" not in service.log


async def test_a_reload_gives_the_agent_to_the_next_process(start: Start, answering: str) -> None:
    service = start(answering, ONE, "--reload")
    before = await service.first()
    assert before[2:] == (1, "here")
    service.file.write_text(service.file.read_text(encoding="utf-8").replace("VERSION = 1", "VERSION = 22"))
    answers: list[Answer] = []

    async def reloaded() -> bool:
        try:
            answers.append(await service.who())
        except httpx.TransportError:
            return False
        return answers[-1].version == 22

    await eventually(reloaded, START)
    assert answers[-1].agent == before.agent == answering
    assert answers[-1].pid != before.pid
    assert "in use" not in service.log


async def test_workers_that_share_one_agent_are_refused_and_told_what_to_do(start: Start, answering: str) -> None:
    first = start(answering, ONE)
    await first.first()
    second = start(answering, ONE)
    await eventually(lambda: "Application startup failed" in second.log, START)
    assert f'agent_lifespan(make_agent, "{answering}")' in second.log
    assert (await first.who()).text == "here"


async def test_more_workers_than_ids_are_told(server: LoomServer, names: Names) -> None:
    web = names.agent("web")
    lifespan = agent_lifespan(lambda name: loom.Agent(name, address=server.bridge), web, max_workers=1)
    async with lifespan(None) as state:
        assert state["agent"].agent_id == f"{web}-1"
        with pytest.raises(loom.AgentIdInUse, match="max_workers"):
            async with lifespan(None):
                pass


async def test_a_server_that_is_away_can_be_given_up(port: int) -> None:
    agent = loom.Agent("nowhere", address=f"127.0.0.1:{port}")
    with pytest.raises(TimeoutError):
        async with agent_lifespan(agent, start_timeout=0.05)(None):
            pass
    assert not agent.is_connected


def test_its_arguments_are_checked() -> None:
    with pytest.raises(TypeError, match="make_agent"):
        agent_lifespan(loom.Agent("a"), "b")
    with pytest.raises(TypeError, match="make_agent"):
        agent_lifespan(loom.Agent)
