"""`make demo`: run trace-test for a few readings, show one linked trace, and prove that it is whole.

Exit code 0 only if a trace went sensor -> processor -> output as exactly nine spans in one chain of parents.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
PROJECT = ROOT / "demo" / "trace-test"
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
LOOM = os.environ.get("LOOM_BIN") or str(TARGET / "debug" / "loom")

# Name and service of each span, from the root to the leaf.
CHAIN = [
    ("sensor.emit_data", "agent-sensor-agent"),
    ("bridge.publish", "loom"),
    ("EventBus.publish", "loom"),
    ("bridge.forward", "loom"),
    ("agent.on_event", "agent-processor-agent"),
    ("bridge.publish", "loom"),
    ("EventBus.publish", "loom"),
    ("bridge.forward", "loom"),
    ("agent.on_event", "agent-output-agent"),
]


class DemoError(Exception):
    """The demo did not show what it promises."""


class Server:
    """`loom up` on free ports, whatever else runs on this machine, and commands that speak with it."""

    def __init__(self) -> None:
        # The demo's own, made anew each time, so that no trace of an earlier run can be taken for one of this run.
        self.data = TARGET / "demo"
        shutil.rmtree(self.data, ignore_errors=True)
        # Settings of the shell belong to the user's own servers and collectors.
        self.environment = {n: v for n, v in os.environ.items() if not n.startswith(("LOOM_", "OTEL_"))}
        self.environment["LOOM_PYTHON"] = sys.executable
        self.environment.setdefault("SENSOR_INTERVAL_S", "0.5")
        doors = ("bridge", "otlp-grpc", "otlp-http", "http")
        ports = [argument for door in doors for argument in (f"--{door}-addr", "127.0.0.1:0")]
        command = [LOOM, "up", "--json", "--data-dir", str(self.data), "--log", "warn", *ports]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=self.environment)
        ready = self.process.stdout.readline() if self.process.stdout else ""
        if not ready:
            raise DemoError("the server did not start; it has said why")
        addresses = json.loads(ready)
        self.http: str = addresses["http"]
        self.environment |= {"LOOM_ADDRESS": addresses["bridge"], "LOOM_HTTP": self.http}

    def loom(self, *arguments: str) -> None:
        """Run a command and show what it prints."""
        ended = subprocess.run([LOOM, *arguments], env=self.environment, check=False)
        if ended.returncode != 0:
            raise DemoError(f"loom {arguments[0]} ended with code {ended.returncode}")

    def ask(self, *arguments: str) -> Any:
        """Run a command and read the JSON that it prints."""
        ended = subprocess.run([LOOM, *arguments, "--json"], env=self.environment, check=True, stdout=subprocess.PIPE)
        return json.loads(ended.stdout)

    def stop(self) -> None:
        """Let the server drain and flush."""
        self.process.terminate()
        self.process.wait()


def newest_whole(server: Server) -> str:
    """Find the newest trace that went through all agents; the very last reading may still be on its way."""
    for trace in server.ask("traces")["items"]:
        if trace["spans"] == len(CHAIN) and trace["root_name"] == CHAIN[0][0]:
            return str(trace["trace_id"])
    raise DemoError("no trace went through all three agents")


def check_chain(trace: dict[str, Any]) -> None:
    """Walk the trace, as Jaeger's JSON, from its root by parent ids: every span must be the next one of the chain."""
    children: dict[str | None, list[dict[str, Any]]] = {}
    for span in trace["spans"]:
        parents = [reference["spanID"] for reference in span["references"] if reference["refType"] == "CHILD_OF"]
        children.setdefault(parents[0] if parents else None, []).append(span)
    if len(trace["spans"]) != len(CHAIN):
        raise DemoError(f"the trace has {len(trace['spans'])} spans, not {len(CHAIN)}")
    parent: str | None = None
    for name, service in CHAIN:
        found = children.get(parent, [])
        names = [(span["operationName"], trace["processes"][span["processID"]]["serviceName"]) for span in found]
        if names != [(name, service)]:
            raise DemoError(f"where {name} of {service} should be there is {names or 'nothing'}")
        parent = found[0]["spanID"]


def show(server: Server, traces: int) -> None:
    """Run the agents until enough traces are whole, and show the newest."""
    server.loom("run", str(PROJECT), "--until-traces", str(traces), "--for", "60s", "--log", "warn")
    trace_id = newest_whole(server)
    print(f"\nOne reading, one trace: {trace_id}\n", flush=True)
    server.loom("trace", trace_id, "--check")
    check_chain(server.ask("trace", trace_id)["data"][0])
    print(f"\nExactly {len(CHAIN)} spans in one chain: Python -> Rust -> Python, twice.")
    print(f"trace  {trace_id}\nURL    http://{server.http}/trace/{trace_id}", flush=True)


def main() -> int:
    """Run the demo and return its exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--traces", type=int, default=3, help="whole traces to wait for (default: 3)")
    parser.add_argument("--keep", action="store_true", help="leave the server running until Ctrl-C")
    arguments = parser.parse_args()
    server = None
    try:
        server = Server()
        show(server, arguments.traces)
        if arguments.keep:
            print("The server runs until Ctrl-C.", flush=True)
            server.process.wait()
        else:
            again = f"{LOOM} up --data-dir {server.data} --http-addr {server.http}"
            print(f"The server stops now. To open the URL, start it again: {again}", flush=True)
    except DemoError as failure:
        print(f"demo failed: {failure}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    finally:
        if server is not None:
            server.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
