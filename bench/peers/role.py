"""A role process, seen from the driver."""

import json
import os
import select
import subprocess
import sys
import tempfile
import time
from typing import Any

from .adapters import BENCH
from .spec import Spec


class Role:
    """A child that talks in lines: a word, and a value as JSON."""

    def __init__(self, name: str, argv: list[str], environment: dict[str, str] | None = None) -> None:
        self.name = name
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115  # lives as long as the process
        self.process = subprocess.Popen(
            argv,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            cwd=BENCH,
            env={**os.environ, **(environment or {})},
        )
        self._buffer = b""

    @staticmethod
    def worker(spec: Spec, environment: dict[str, str]) -> "Role":
        return Role(spec.role, [sys.executable, "-m", "peers.worker", spec.dump()], environment)

    @staticmethod
    def sink(port: int) -> "Role":
        return Role("sink", [sys.executable, "-m", "peers.otel", str(port)])

    def send(self, line: str) -> None:
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(line.encode() + b"\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            # The next line() says how it ended.
            pass

    def line(self, timeout: float) -> tuple[str, Any] | None:
        """The next line, or None when there is none in time."""
        assert self.process.stdout is not None
        end = time.monotonic() + timeout
        while b"\n" not in self._buffer:
            ready, _, _ = select.select([self.process.stdout], [], [], max(0.0, end - time.monotonic()))
            if not ready:
                return None
            data = os.read(self.process.stdout.fileno(), 65536)
            if not data:
                raise RuntimeError(f"the {self.name} ended: {self._last_words()}")
            self._buffer += data
        first, self._buffer = self._buffer.split(b"\n", 1)
        word, _, value = first.decode().partition(" ")
        return word, json.loads(value) if value else None

    def wait(self, word: str, timeout: float) -> Any:
        """The value of the next line with this word; other lines are passed over."""
        end = time.monotonic() + timeout
        while True:
            found = self.line(max(0.0, end - time.monotonic()))
            if found is None:
                raise TimeoutError(f"the {self.name} did not say {word} in {timeout} s: {self._last_words()}")
            if found[0] == word:
                return found[1]

    def quit(self, timeout: float) -> None:
        """Asks it to flush and leave; ends it when it does not in time."""
        self.send("QUIT")
        try:
            self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def _last_words(self) -> str:
        self._errors.seek(0)
        return self._errors.read().decode(errors="replace")[-1500:] or "nothing on stderr"
