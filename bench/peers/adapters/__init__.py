"""One file per system, each with a class `Client(Adapter)`."""

import importlib.util
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Awaitable
from pathlib import Path
from typing import Any, ClassVar

from ..count import Callback, Handler, Session
from ..load import Source
from ..spec import Spec

BENCH = Path(__file__).resolve().parents[2]
"""Where `python -m peers...` runs."""


def free_port() -> int:
    """A port for brokers that cannot be told to choose one and say which."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_port(port: int, process: subprocess.Popen[bytes], timeout: float = 30) -> None:
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        if process.poll() is not None:
            raise RuntimeError(f"the broker left with {process.returncode}")
        try:
            socket.create_connection(("127.0.0.1", port), 0.2).close()
        except OSError:
            time.sleep(0.02)
        else:
            return
    raise RuntimeError(f"the broker does not listen on {port}")


HAVE_UVLOOP = importlib.util.find_spec("uvloop") is not None


class Adapter:
    """What a system gives: a broker for the driver, and four roles for the worker processes.

    Each role may be a plain function that blocks or a coroutine function.
    """

    needs: ClassVar[tuple[str, ...]] = ()
    """Python modules and, with a leading `$`, programs without which the system is not installed."""
    headers: ClassVar[bool] = False
    """Whether an event can carry headers, which W5 needs."""
    graceful: ClassVar[bool] = False
    """Whether a receiving role ends by itself after `session.until_quit()`."""
    uvloop: bool = False
    """Run coroutines on uvloop."""

    def __init__(self, **options: Any) -> None:
        self.processes: list[subprocess.Popen[bytes]] = []
        self.environment: dict[str, str] = {}
        """For the role processes."""
        for name, value in options.items():
            setattr(self, name, value)

    def missing(self) -> list[str]:
        """What of `needs` is not on this machine."""

        def there(need: str) -> bool:
            return bool(shutil.which(need[1:])) if need.startswith("$") else importlib.util.find_spec(need) is not None

        return [need.lstrip("$") for need in self.needs if not there(need)]

    def start_broker(self, folder: str) -> None:
        """Starts what stands in the middle; `folder` is the run's own."""

    def params(self) -> dict[str, Any]:
        """What the roles have to know; becomes attributes of their adapter."""
        return {}

    def report(self) -> dict[str, Any]:
        """What the broker says about the run, asked after every role has left."""
        return {}

    def attach(self, spec: Spec) -> None:
        self.spec = spec
        for name, value in spec.params.items():
            setattr(self, name, value)

    def publisher(self, topic: str, source: Source) -> Awaitable[None] | None:
        """For each batch of `source`: send everything, then flush."""
        raise NotImplementedError

    def subscriber(self, topic: str, callbacks: list[Callback], session: Session) -> Awaitable[None] | None:
        """One subscription per callback, `session.ready()`, receive."""
        raise NotImplementedError

    def bridge(self, topic: str, out_topic: str, handler: Handler, session: Session) -> Awaitable[None] | None:
        """Publishes on `out_topic` what the handler makes of each event."""
        raise NotImplementedError

    def idle(self, count: int, session: Session) -> Awaitable[None] | None:
        """Holds `count` subscriptions (W6)."""
        raise NotImplementedError

    def spawn(self, argv: list[str], folder: str, environment: dict[str, str] | None = None) -> subprocess.Popen[bytes]:
        with Path(folder, f"broker{len(self.processes)}.log").open("wb") as log:
            process = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=BENCH,
                env={**os.environ, **(environment or {})},
            )
        self.processes.append(process)
        return process

    def stop_broker(self) -> None:
        for process in self.processes:
            process.terminate()
        for process in self.processes:
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self.processes = []


def python(code: str) -> list[str]:
    """A command that runs `code` in this interpreter."""
    return [sys.executable, "-c", code]
