"""Loom: `loom up` in the middle, an `Agent` in each role.

`recorded` traces every event, agents and server alike, into the server's own store; otherwise nothing is sampled.
`kept` puts every topic into a stream with a sync before each acknowledgement, and subscribers acknowledge what they
have handled. `verified` asks in the end whether every trace is whole.
"""

import json
import os
import select
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from ..count import Callback, Handler, Session
from ..load import Source
from . import BENCH, HAVE_UVLOOP, Adapter

STREAM = '[streams.bench]\ntopics = ["bench.>"]\n'
START_LIMIT = 20.0
"""Seconds until `loom up` has to be ready."""


def binary() -> str:
    """The server under test: $LOOM_BIN, else the release build of this checkout."""
    return os.environ.get("LOOM_BIN") or str(BENCH.parent / "target/release/loom")


def up(folder: str, environment: dict[str, str], settings: str = "") -> tuple[subprocess.Popen[bytes], dict[str, str]]:
    """Starts a server on free ports; returns it with its addresses when it is ready."""
    doors = ("--bridge-addr", "--otlp-grpc-addr", "--otlp-http-addr", "--http-addr")
    config = Path(folder, "loom.toml")
    config.write_text(settings)
    argv = [binary(), "up", "--json", "--config", str(config), "--data-dir", str(Path(folder, "data"))]
    argv += [word for door in doors for word in (door, "127.0.0.1:0")]
    log = Path(folder, "loom.log")
    with log.open("wb") as errors:
        process = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            cwd=folder,
            env={**os.environ, **environment},
        )
    assert process.stdout is not None
    ready, _, _ = select.select([process.stdout], [], [], START_LIMIT)
    line = process.stdout.readline() if ready else b""
    if not line:
        process.kill()
        process.wait()
        raise RuntimeError(f"loom up was not ready in {START_LIMIT} s: " + log.read_text(errors="replace")[-1500:])
    addresses: dict[str, str] = json.loads(line)
    return process, addresses


class Client(Adapter):
    needs = ("loom",)
    graceful = True
    uvloop = HAVE_UVLOOP
    recorded = False
    kept = False
    verified = False
    address: str

    def missing(self) -> list[str]:
        return super().missing() + (
            [] if os.access(binary(), os.X_OK) else [f"{binary()} (make build PROFILE=release)"]
        )

    def start_broker(self, folder: str) -> None:
        sampler = {"OTEL_TRACES_SAMPLER": "always_on" if self.recorded else "always_off"}
        process, addresses = up(folder, sampler, STREAM if self.kept else "")
        self.processes.append(process)
        self.address, self.http = addresses["bridge"], addresses["http"]
        self.environment = {**sampler, "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{addresses['otlp_grpc']}"}

    def params(self) -> dict[str, Any]:
        return {"address": self.address}

    def report(self) -> dict[str, Any]:
        """The store's own counters: every span that was made must have been accepted."""
        found = {"stats": self._get("stats")}
        if self.verified:
            begin = time.perf_counter()
            # A trace's own answer waits for the index, and takes no time beside that.
            self._get(f"verify?trace={'f' * 32}")
            indexed = time.perf_counter()
            found["verify"] = self._get("verify")
            found["indexed_s"] = indexed - begin
            found["verify_s"] = time.perf_counter() - indexed
        return found

    def _get(self, route: str) -> Any:
        try:
            with urllib.request.urlopen(f"http://{self.http}/api/v1/{route}", timeout=300) as reply:
                return json.load(reply)
        except urllib.error.HTTPError as error:
            raise RuntimeError(f"{route}: {error.read().decode()}") from error

    async def publisher(self, topic: str, source: Source) -> None:
        from loom import Agent

        agent = Agent("bench-publisher", address=self.address)
        await agent.start()
        emit = agent.emit
        async for batch in source.aphases():
            async for payload, _ in batch:
                await emit(topic, type="bench", payload=payload)
            await agent.flush()
        await agent.stop()

    async def subscriber(self, topic: str, callbacks: list[Callback], session: Session) -> None:
        from loom import Agent

        agents = []
        for number, callback in enumerate(callbacks):

            async def receive(ctx: Any, topic: str, event: Any, callback: Callback = callback) -> None:
                callback(event.payload, None)

            name = f"bench-subscriber-{os.getpid()}-{number}"
            agents.append(Agent(name, topics=[topic], on_event=receive, address=self.address, ack=self.kept))
        await self._serve(agents, session)

    async def bridge(self, topic: str, out_topic: str, handler: Handler, session: Session) -> None:
        from loom import Agent

        async def receive(ctx: Any, topic: str, event: Any) -> None:
            for payload, _ in handler(event.payload, None):
                await ctx.emit(out_topic, type="bench", payload=payload)

        processor = Agent("bench-processor", topics=[topic], on_event=receive, address=self.address, ack=self.kept)
        await self._serve([processor], session)

    async def idle(self, count: int, session: Session) -> None:
        from loom import Agent

        async def receive(ctx: Any, topic: str, event: Any) -> None:
            raise AssertionError(f"nobody publishes here, yet {topic} came")

        topics = [f"idle.{number}" for number in range(count)]
        await self._serve([Agent("bench-idle", topics=topics, on_event=receive, address=self.address)], session)

    async def _serve(self, agents: list[Any], session: Session) -> None:
        for agent in agents:
            await agent.start()
        session.ready()
        await session.until_quit()
        for agent in agents:
            await agent.stop()
