"""One file per trace store, each with a `Store`: it takes spans by OTLP over HTTP, and answers three questions."""

import json
import os
import sqlite3
import subprocess
import time
import urllib.request
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import psutil

from ..adapters.loom_bus import binary

SPANS_PER_TRACE = 12
AGENTS = [f"processor-{team}" for team in range(8)]
"""Each handles one event, and calls one model, in every eighth of the traces that `loom-bench spans` sends."""


@dataclass(frozen=True)
class Question:
    """What is asked over HTTP, and what every store has to say alike."""

    address: str
    path: str
    read: Callable[[Any], Any]
    """Makes that of the answer's JSON."""
    body: bytes | None = None

    def ask(self, timeout: float = 60) -> tuple[float, Any]:
        """Milliseconds until the answer is here, and what it says; to read it is not counted."""
        kind = {"content-type": "application/json"}
        request = urllib.request.Request(f"http://{self.address}{self.path}", self.body, kind)
        begin = time.perf_counter()
        with urllib.request.urlopen(request, timeout=timeout) as reply:  # noqa: S310 - http, as above
            answer = reply.read()
        took = (time.perf_counter() - begin) * 1e3
        return took, self.read(json.loads(answer))


class Store:
    """A store that runs for one measurement, in a folder of its own. Times are ns since 1970."""

    name: ClassVar[str]
    version: str = ""
    """Of a peer, once it runs."""
    usual: ClassVar[int]
    """Spans that it takes in a minute or a few: whole traces."""
    large: ClassVar[int]
    """Spans for those who have the time: whole traces."""
    poll: ClassVar[float]
    """Seconds from one look at what is stored to the next, at least: each costs CPU that is measured."""
    process: subprocess.Popen[bytes]
    otlp: str
    """Address of its receiver of OTLP over HTTP."""
    database: Path
    """Its SQLite file, where it has one."""

    def missing(self) -> str | None:
        """Why it cannot be measured here, or None."""
        return None

    def install(self) -> None:
        """Gets it if it is not there."""

    def start(self, folder: str) -> None:
        """Returns when it takes spans and questions."""
        raise NotImplementedError

    def stop(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def launch(
        self, command: Sequence[str | Path], folder: str, ready: Callable[[], object], limit: float, **own: str
    ) -> None:
        """Starts a peer with variables of its own, and asks until it answers, for so many seconds."""
        log = Path(folder, f"{self.name}.log")
        # What this environment says of the peer and of OpenTelemetry is meant for others.
        others = ("OTEL_", self.name.upper())
        kept = {name: text for name, text in os.environ.items() if not name.startswith(others)}
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd=folder, env={**kept, **own}
            )
        try:
            self._wait(log, ready, limit)
            self._loopback_only()
        except BaseException:
            self.stop()
            raise

    def _wait(self, log: Path, ready: Callable[[], object], limit: float) -> None:
        end = time.monotonic() + limit
        while time.monotonic() < end and self.process.poll() is None:
            try:
                ready()
            except OSError:
                time.sleep(0.1)
            else:
                return
        raise RuntimeError(f"it did not become ready: {log.read_text(errors='replace')[-1500:]}")

    def _loopback_only(self) -> None:
        """Fails for a peer that others could reach, whatever it was told."""
        sockets = psutil.Process(self.process.pid).net_connections("inet")
        listening = {socket.laddr.ip for socket in sockets if socket.status == psutil.CONN_LISTEN}
        if beyond := listening - {"127.0.0.1", "::ffff:127.0.0.1", "::1"}:
            raise RuntimeError(f"it listens beyond the loopback: {beyond}")

    def stored(self) -> int:
        """Spans that its API can find."""
        raise NotImplementedError

    def trace(self, trace_id: str) -> Question:
        """All of a trace: its spans are counted."""
        raise NotImplementedError

    def search(self, agent: str, begin: int, end: int) -> Question:
        """The newest 20 runs of an agent: the traces that they are in, in the order of their ids."""
        raise NotImplementedError

    def metrics(self, agent: str, begin: int, end: int) -> Question | None:
        """Runs of an agent, calls of models, tokens in and out; percentiles are asked for, too. None: it cannot say."""
        raise NotImplementedError

    def bytes(self) -> int:
        """What it takes of the disk."""
        return sqlite_bytes(self.database)


def sqlite_bytes(database: Path) -> int:
    """Length of a database, with what stands in its write-ahead log only."""
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        pages, size = (connection.execute(f"PRAGMA {what}").fetchone()[0] for what in ("page_count", "page_size"))
    return int(pages * size)


def send(address: str, spans: int, first: int, *more: str, timeout: float | None = None) -> dict[str, Any]:
    """Sends whole traces to a receiver of OTLP over HTTP; says how long it took, and the ids of some of the traces."""
    program = Path(binary()).with_name("loom-bench")
    command = [str(program), "spans", address, str(spans), "--first", str(first), *more]
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE, timeout=timeout).stdout
    sent: dict[str, Any] = json.loads(output)
    return sent
