"""The real server, as a process of its own, on free ports."""

from __future__ import annotations

import contextlib
import json
import os
import select
import shutil
import subprocess
import tempfile
import time
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType
    from typing import IO

__all__ = ["LoomServer", "find_binary"]

BINARY = "LOOM_BIN"
"""Path of the server's binary; without it, ``loom`` is looked up in PATH."""
NO_BINARY = f"no loom binary: put it into PATH, or name it with {BINARY}"


def find_binary() -> str | None:
    """Return the path of the server's binary; None where there is none."""
    return os.environ.get(BINARY) or shutil.which("loom")


class LoomServer:
    """``loom up`` on this machine. Its addresses are known when the constructor returns.

    ``ports`` fixes ports by listener (``{"bridge": 50051}``); all others are free ones. ``settings`` is the text of a
    ``loom.toml``; without it the server reads the one of this directory, as ``loom up`` does. What it keeps is gone
    with it, unless ``data_dir`` names a directory for it.
    """

    def __init__(
        self,
        *arguments: str,
        ports: Mapping[str, int] | None = None,
        settings: str | None = None,
        data_dir: str | os.PathLike[str] | None = None,
        environment: Mapping[str, str] | None = None,
        start_timeout: float = 30.0,
    ) -> None:
        binary = find_binary()
        if binary is None:
            raise FileNotFoundError(NO_BINARY)
        fixed = dict(ports or {})
        command = [binary, "up", "--json"]
        command += ["--ephemeral"] if data_dir is None else ["--data-dir", os.fspath(data_dir)]
        for name in ("bridge", "otlp_grpc", "otlp_http", "http"):
            command += [f"--{name.replace('_', '-')}-addr", f"127.0.0.1:{fixed.get(name, 0)}"]
        self._settings = None if settings is None else _file(settings)
        if self._settings is not None:
            command += ["--config", self._settings.name]
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the process
        self._process = subprocess.Popen(  # noqa: S603 - the binary is the caller's choice
            [*command, *arguments],
            stdout=subprocess.PIPE,
            stderr=self._log,
            env={**os.environ, **(environment or {})},
        )
        addresses = json.loads(self._first_line(start_timeout))
        self.bridge: str = addresses["bridge"]
        self.otlp_grpc: str = addresses["otlp_grpc"]
        self.otlp_http: str = addresses["otlp_http"]
        self.http: str = addresses["http"]

    def _first_line(self, timeout: float) -> bytes:
        output = self._process.stdout
        assert output is not None  # noqa: S101 - asked for above
        line = b""
        deadline = time.monotonic() + timeout
        while not line.endswith(b"\n"):
            left = deadline - time.monotonic()
            readable, _, _ = select.select([output], [], [], max(0.0, left))
            part = os.read(output.fileno(), 4096) if readable else b""
            if not part:
                log = self.log()
                self.kill()
                why = "did not become ready in time" if left <= 0 else "ended"
                raise RuntimeError(f"the Loom server {why}:\n{log[-4000:]}")
            line += part
        return line

    @property
    def environment(self) -> dict[str, str]:
        """Variables that point a process at this server."""
        return {
            "LOOM_ADDRESS": self.bridge,
            "LOOM_HTTP": self.http,
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{self.otlp_grpc}",
        }

    @property
    def pid(self) -> int:
        """Process id of the server."""
        return self._process.pid

    def log(self) -> str:
        """Return what the server has logged so far."""
        if self._log.closed:
            return ""
        # Read at an offset: seeking would move the position at which the server writes.
        size = os.fstat(self._log.fileno()).st_size
        return os.pread(self._log.fileno(), size, 0).decode(errors="replace")

    def stop(self, timeout: float = 15.0) -> int:
        """Ask the server to drain and leave; return its exit code."""
        if self._process.poll() is None:
            self._process.terminate()
        try:
            return self._process.wait(timeout)
        finally:
            self.kill()

    def kill(self) -> None:
        """End the server without a word."""
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        self._process.wait()
        self._close()

    def _close(self) -> None:
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._log.close()
        if self._settings is not None:
            self._settings.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._process.poll() is None:
            self.stop()


def _file(text: str) -> IO[str]:
    """Make a file that is gone when it is closed."""
    file = tempfile.NamedTemporaryFile("w", encoding="utf-8", prefix="loom-", suffix=".toml")  # noqa: SIM115 - see above
    file.write(text)
    file.flush()
    return file
