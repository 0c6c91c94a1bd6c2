"""Opik, an old one and the newest, as they are: all calls of a handler are in one of its traces.

Each version has an environment of its own below ``target/``. Opik's server is a stand-in that keeps what it is sent.
"""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from loom.testing import LoomServer

pytestmark = pytest.mark.timeout(300)
ROOT = Path(__file__).resolve().parents[2]
VERSIONS = ["opik==1.9.104", "opik"]

AGENT = """
import asyncio, sys
from concurrent.futures import ThreadPoolExecutor

import loom
from completions import serve
from openai import OpenAI
from opik.integrations.openai import track_openai

client = track_openai(OpenAI(base_url=serve(), api_key="none"))
pool = ThreadPoolExecutor(3)
agent = loom.Agent("thinker", instrument=["opik"])
done = asyncio.Event()


def call(model):
    messages = [{"role": "system", "content": "decide"}, {"role": "user", "content": "?"}]
    client.chat.completions.create(model=model, messages=messages)


@agent.on("think")
async def think(ctx, topic, event):
    for _ in range(3):
        call("sequential")
    list(pool.map(call, ["pooled"] * 3))
    await asyncio.gather(*(asyncio.to_thread(call, "parallel") for _ in range(3)))


@agent.on("think")
def think_in_a_thread(ctx, topic, event):
    call("plain")
    call("plain")
    agent_loop.call_soon_threadsafe(done.set)


async def main(agent):
    global agent_loop
    agent_loop = asyncio.get_running_loop()
    await agent.emit("think")
    await asyncio.wait_for(done.wait(), 60)
    await agent.stop()
    # No flush: what is left goes out at the process' end.


agent.run(main)
"""

SETTINGS = """
[agents.thinker]
command = "{python}"
args = ["agent.py"]
env = {{ OPIK_PROJECT_NAME = "of-the-settings", OPIK_URL_OVERRIDE = "{url}", PYTHONPATH = "{path}" }}
restart = "never"
"""


class OpikStandIn:
    """Takes what Opik's client sends, and keeps it."""

    def __init__(self) -> None:
        self.traces: dict[str, dict[str, Any]] = {}
        self.spans: dict[str, dict[str, Any]] = {}
        stand_in = self

        class Requests(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                self._answer(200, b"{}")

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length") or 0))
                if self.headers.get("content-encoding") == "gzip":
                    body = gzip.decompress(body)
                for kind in ("traces", "spans"):
                    if self.path.endswith(f"/{kind}/batch"):
                        getattr(stand_in, kind).update((one["id"], one) for one in json.loads(body)[kind])
                self._answer(204, b"")

            def _answer(self, code: int, body: bytes) -> None:
                self.send_response(code)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Requests)
        self.url = f"http://127.0.0.1:{self._server.server_port}/api/"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def opik() -> Iterator[OpikStandIn]:
    stand_in = OpikStandIn()
    yield stand_in
    stand_in.close()


@pytest.fixture(params=VERSIONS)
def python(request: pytest.FixtureRequest) -> Path:
    """Return the interpreter of an environment with this version."""
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    version = str(request.param)
    folder = target / "opik" / version.replace("==", "-")
    python = folder / "bin" / "python"
    if not (folder / ".made").exists():
        uv = Path(sys.executable).with_name("uv")
        subprocess.run([uv, "venv", "--clear", "--quiet", "--python", sys.executable, folder], check=True)
        needs = [version, "openai", "opentelemetry-instrumentation-threading"]
        subprocess.run([uv, "pip", "install", "--quiet", "--python", python, *needs], check=True)
        (folder / ".made").touch()
    return python


def test_calls_of_a_handler_are_in_one_trace(
    python: Path, opik: OpikStandIn, server: LoomServer, tmp_path: Path
) -> None:
    path = f"{ROOT / 'sdk-python' / 'python'}:{ROOT / 'demo' / 'market-analyst' / 'agents'}"
    (tmp_path / "agent.py").write_text(AGENT)
    (tmp_path / "loom.toml").write_text(SETTINGS.format(python=python, url=opik.url, path=path))
    environment = {
        **os.environ,
        **server.environment,
        "HOME": str(tmp_path),
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        "OPIK_ANALYTICS_ENABLE": "false",
        "OPIK_PROJECT_NAME": "of-the-shell",
        "OPIK_SENTRY_ENABLE": "false",
        "OPIK_WORKSPACE": "default",
    }
    command = [os.environ["LOOM_BIN"], "run", str(tmp_path), "--for", "120s"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=180, check=False)
    assert done.returncode == 0, done.stdout + done.stderr

    handlers = {trace["name"]: trace["id"] for trace in opik.traces.values()}
    assert sorted(handlers) == ["think", "think_in_a_thread"], done.stdout + done.stderr
    assert len(opik.traces) == 2
    roots = {span["name"]: span for span in opik.spans.values() if span.get("parent_span_id") is None}
    assert sorted(roots) == sorted(handlers)
    for name, models in (("think", ["sequential", "pooled", "parallel"] * 3), ("think_in_a_thread", ["plain"] * 2)):
        calls = [s for s in opik.spans.values() if s.get("parent_span_id") == roots[name]["id"]]
        assert sorted(s["model"] for s in calls) == sorted(models)
        assert {s["trace_id"] for s in calls} == {handlers[name]}
    # What the settings say goes before what the shell says.
    assert {one["project_name"] for one in (*opik.traces.values(), *opik.spans.values())} == {"of-the-settings"}
