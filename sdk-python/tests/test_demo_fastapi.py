"""demo/fastapi-service: the commands of its loom.toml, on free ports."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from conftest import ROOT, eventually
from loom.testing import LoomServer, LoomSpans

FOLDER = ROOT / "demo/fastapi-service"
BOUND = re.compile(r"running on (http://127\.0\.0\.1:\d+)")
START = 60.0

TREE = """
GET /quotes/{{item}} [kind=server user.id=ann workflow.id=quote http.response.status_code=200 service=agent-{agent}]
  bridge.publish
    EventBus.publish
      bridge.forward
        agent.on_event [agent.id=quoter user.id=ann workflow.id=quote]
          broker.invoke
            agent.on_action [agent.id=stock user.id=ann workflow.id=quote]
          bridge.publish
            EventBus.publish
              bridge.forward [agent_id={agent}]
"""


class Demo:
    """The agents of the demo's ``loom.toml``, as processes."""

    def __init__(self, server: LoomServer, folder: Path) -> None:
        self._folder = folder
        self._processes: list[subprocess.Popen[bytes]] = []
        agents = tomllib.loads((FOLDER / "loom.toml").read_text(encoding="utf-8"))["agents"]
        for name, agent in agents.items():
            arguments = [("0" if argument == "8000" else argument) for argument in agent["args"]]
            assert agent["command"] == "python"
            with (folder / name).open("wb") as log:
                self._processes.append(
                    subprocess.Popen(
                        [sys.executable, *arguments],
                        cwd=FOLDER,
                        stdout=log,
                        stderr=log,
                        env={**os.environ, **server.environment, "PYTHONDONTWRITEBYTECODE": "1"},
                    )
                )

    async def url(self) -> str:
        found = await eventually(lambda: BOUND.search((self._folder / "web").read_text(encoding="utf-8")), START)
        return str(found[1])

    def stop(self) -> list[int]:
        for process in self._processes:
            process.send_signal(signal.SIGTERM)
        try:
            return [process.wait(START) for process in self._processes]
        finally:
            for process in self._processes:
                process.kill()
                process.wait()


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[tuple[Demo, LoomServer]]:
    # A server of its own: the demo's agents have names that others may have, too.
    with LoomServer(settings="") as server:
        demo = Demo(server, tmp_path)
        yield demo, server
        demo.stop()


@pytest.mark.timeout(240)
async def test_a_request_is_the_root_of_an_agent_run_and_returns_its_result(demo: tuple[Demo, LoomServer]) -> None:
    running, server = demo
    url = await running.url()
    async with httpx.AsyncClient(base_url=url, timeout=15, headers={"x-user": "ann"}) as client:

        async def answers() -> bool:
            """Tell whether both agents are there; a request before that is answered 504."""
            try:
                return (await client.get("/quotes/nut")).status_code == 200
            except httpx.TransportError:
                return False

        await eventually(answers, START)
        response = await client.get("/quotes/bolt", params={"count": 3})
        assert response.json() == {"item": "bolt", "count": 3, "price": 0.75}
        assert (await client.get("/quotes/gold")).status_code == 404
        health = await client.get("/health")
        assert (health.json()["connected"], "traceresponse" in health.headers) == (True, False)
    trace_id = response.headers["traceresponse"].split("-")[1]
    with LoomSpans(server) as spans:
        found = await spans.trace(trace_id)
        agent = found[0].service.removeprefix("agent-")
        assert agent in ("web-1", "web-2")
        await spans.assert_trace(trace_id, TREE.format(agent=agent))
    assert running.stop() == [0, 0, 0]
