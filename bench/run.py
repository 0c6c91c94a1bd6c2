"""Loom's figures beside those of its installed peers: `make bench`.

Seven parts: `bus` (Rust, inside one process), `python` (real agents around a real server, and the same work for the
peers), `context` (what spans, phases and identity cost a Python process), `journal` (one durable publish at a time,
recovery of a long journal), `store` (spans into the trace store, and questions beside them; the same of its peers),
`verify` (is every trace of a million events whole?) and `server` (start and memory).
Prints a Markdown table and keeps it, with the raw lines, under bench/results.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from context import costs
from durable import journal
from peers.adapters import BENCH
from peers.adapters.loom_bus import binary, up
from peers.bench import QUIET_CORES, WORKLOADS, impossible, measure
from peers.machine import describe, rss_mib
from peers.measure import FAN_OUT, Plan
from peers.systems import SYSTEMS
from report import Figure, Report, spread
from store import store

STARTS = 10
"""Starts of the server that are timed."""


@dataclass(frozen=True)
class Row:
    """One line of the Python table."""

    label: str
    system: str
    traced: bool = False
    """By hand with the Python OpenTelemetry SDK: W5 instead of W1 and W3."""

    def workload(self, column: str) -> str | None:
        if not self.traced:
            return column
        return f"W5-{column}" if f"W5-{column}" in WORKLOADS else None


ROWS = (
    Row("**loom**", "loom"),
    Row("**loom**, every span recorded", "loom-recorded"),
    Row("**loom**, kept and acknowledged", "loom-stream"),
    Row("**loom** without uvloop", "loom-asyncio"),
    Row("nats", "nats"),
    Row("nats without uvloop", "nats-asyncio"),
    Row("nats, traced by hand", "nats", traced=True),
    Row("nats JetStream, pull and acknowledge", "jetstream"),
    Row("Redis Streams, groups and acknowledge", "redis-streams"),
    Row("Redis Streams, synced before the answer", "redis-streams-fsync"),
    Row("zenoh, channel", "zenoh"),
    Row("zenoh, callback", "zenoh-callback"),
    Row("zenoh, traced by hand", "zenoh", traced=True),
    Row("zmq", "zmq"),
    Row("limit: TCP relay", "tcp-py"),
    Row("limit: TCP relay, batches", "tcp-py-batched"),
)
COLUMNS = {
    "W0": "W0 publishes/s",
    "W1": "W1 events/s",
    "W2": "W2 p50 / p99 µs",
    "W3": "W3 events/s",
    "W3L": "W3L p50 / p99 µs",
    "W4": "W4 deliveries/s",
    "W6": "W6 KiB/subscription",
}


def bus(report: Report, options: argparse.Namespace) -> None:
    """The Rust program prints one JSON object a line, the fields of a `Figure`."""
    program = Path(binary()).with_name("loom-bench")
    if not program.exists():
        report.note(f"bus: {program.name} is not built (cargo build --release --package loom-bench)")
        return
    command = [str(program), "bus", "--runs", str(options.runs)]
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    report.figures("Inside one process (Rust)", [Figure(**json.loads(line)) for line in output.splitlines()])


def python(report: Report, options: argparse.Namespace) -> None:
    """Column by column, so that what is compared is measured close together in time."""
    cells: dict[tuple[Row, str], str] = {}
    rows = [row for row in ROWS if not options.systems or row.system in options.systems]
    for column in options.workloads:
        for row in rows:
            workload = row.workload(column)
            if workload is None:
                continue
            if reason := impossible(row.system, workload):
                report.note(reason)
                continue
            cells[row, column] = _cell(report, options, row, workload)
    setting = f"Payload {options.size} B, W2 and W3L at 1,000 events/s, medians of {options.runs} (lowest–highest)."
    report.add("", "## Python client → server → Python client", "", setting)
    report.table(
        ("system", *(COLUMNS[column] for column in options.workloads)),
        (
            (row.label, *(cells.get((row, column), "–") for column in options.workloads))
            for row in rows
            if any((row, column) in cells for column in options.workloads)
        ),
    )


def _cell(report: Report, options: argparse.Namespace, row: Row, workload: str) -> str:
    plan = replace(Plan.default(row.system, workload), size=options.size)
    if options.quick:
        plan = replace(plan, events=max(1000, plan.events // 10))
    print(f"{workload} {row.label} ({plan.events} events)", file=sys.stderr, flush=True)
    try:
        result = measure(plan, options.runs, options.quiet)
    except (OSError, RuntimeError) as error:
        # One system that fails must not cost the table of the others.
        report.note(f"{row.label} {workload} failed: {error}")
        return "failed"
    report.keep(result)
    for remark in _remarks(plan, result):
        report.note(f"{row.label} {workload}: {remark}")
    if workload == "W6":
        return spread(result["kib_per_subscription"])
    if latency := result.get("latency_us"):
        return " / ".join(spread(latency[quantile], "{:.0f}".format) for quantile in ("p50", "p99"))
    return spread(result["events_per_s"])


def _remarks(plan: Plan, result: dict[str, Any]) -> Iterable[str]:
    """What makes a figure less than it looks."""
    expected = plan.events * (FAN_OUT if plan.base == "W4" else 1) * result["runs"]
    for key, what in (("lost", "lost"), ("disorder", "out of order"), ("wrong", "wrong")):
        if result.get(key):
            yield f"{result[key]} events of {expected} {what}"
    if (foreign := max(result.get("foreign_cores", [0.0]))) > QUIET_CORES:
        yield f"others used {foreign:.2f} cores meanwhile"


def verify(report: Report, options: argparse.Namespace) -> None:
    """A million events through sensor, processor and output, every one kept and recorded: is every trace whole?"""
    if reason := impossible("loom-verified", "W3"):
        report.note(reason)
        return
    plan = Plan.default("loom-verified", "W3")
    if options.quick:
        plan = replace(plan, events=plan.events // 10)
    print(f"verify ({2 * plan.events} events)", file=sys.stderr, flush=True)
    result = measure(plan, 1, options.quiet)
    report.keep(result)
    found = result["verify"][0]
    faults = sum(found["faults"].values())
    figures = [
        Figure.of("events accepted", "", "all", [found["accepted"]]),
        Figure.of("their spans", "", "–", [found["spans"]]),
        Figure.of("faults", "", "0", [faults]),
        Figure.of("until the last of them is indexed, once all agents have left", "s", "–", result["indexed_s"]),
        Figure.of("`loom verify` then", "s", "seconds", result["verify_s"]),
    ]
    report.figures("Proof that every trace is whole", figures)


def server(report: Report, options: argparse.Namespace) -> None:
    """Start and memory of `loom up`."""
    if not Path(binary()).exists():
        report.note("server: loom is not built (make build PROFILE=release)")
        return
    starts, memory = [], []
    for _ in range(options.runs if options.quick else STARTS):
        with tempfile.TemporaryDirectory(prefix="peers-") as folder:
            begin = time.perf_counter()
            process, _ = up(folder, {})
            starts.append((time.perf_counter() - begin) * 1e3)
            memory.append(rss_mib([process]))
            process.terminate()
            process.wait(20)
    figures = [
        Figure.of("`loom up` until ready", "ms", "≤ 300 ms", starts),
        Figure.of("memory when ready", "MiB", "–", memory),
    ]
    ours = (run for run in report.kept() if run.get("system", "").startswith("loom"))
    if after := [run["broker_rss_mib"]["max"] for run in ours if "broker_rss_mib" in run]:
        figures.append(Figure.of("memory after each run above", "MiB", "≤ 60 MiB", after))
    report.figures("Server", figures)


PARTS = {
    "bus": bus,
    "python": python,
    "context": costs,
    "journal": journal,
    "store": store,
    "verify": verify,
    "server": server,
}


def commit() -> str:
    """The state that was measured."""
    command = ["git", "describe", "--always", "--dirty"]
    return subprocess.run(command, cwd=BENCH, capture_output=True, text=True, check=False).stdout.strip() or "unknown"


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="make bench BENCH='…'", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS), help="parts to run")
    parser.add_argument("--systems", nargs="+", choices=SYSTEMS, help="rows of the Python table")
    parser.add_argument("--workloads", nargs="+", choices=COLUMNS, default=list(COLUMNS), help="its columns")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--size", type=int, default=256, help="bytes of a payload")
    parser.add_argument("--quiet", type=float, default=QUIET_CORES, help="cores that others may use during a run")
    parser.add_argument("--gib", type=int, nargs="+", default=[1, 10], help="sizes of the journals that are recovered")
    parser.add_argument("--directory", help="where journals stand (default: the system's place for temporary files)")
    large = "the store with 10 million spans too, and its peers with 120,000: 5 GB, 40 minutes"
    parser.add_argument("--large", action="store_true", help=large)
    parser.add_argument("--install", action="store_true", help="get peers of the store that are not there: 650 MB")
    parser.add_argument("--quick", action="store_true", help="one run of a tenth of the events: does everything work?")
    options = parser.parse_args()
    if options.quick:
        options.runs = 1
    return options


def main() -> None:
    options = arguments()
    report = Report(BENCH / "results")
    python_version, today = sys.version.split()[0], f"{datetime.now(UTC):%Y-%m-%d}"
    report.add("# Bench", "", f"{describe()}; Python {python_version}; commit {commit()}; {today}.")
    for name, part in PARTS.items():
        if name in options.only:
            part(report, options)
    report.finish()


if __name__ == "__main__":
    main()
