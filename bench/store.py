"""The trace store: what a span costs on its way in, and how long questions take beside a load."""

import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse
import urllib.request
from argparse import Namespace
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from peers.adapters.loom_bus import binary, up
from peers.machine import cpu_seconds, rss_mib
from peers.stores import AGENTS, send, sqlite_bytes
from peers.stores.loom_store import KEEP
from report import Figure, Report
from store_peers import beside_peers

QUESTIONS = 200
LOAD = 2_000
"""Spans a second that come while questions are asked."""


def store(report: Report, options: Namespace) -> None:
    program = Path(binary()).with_name("loom-bench")
    if not program.exists() or not Path(binary()).exists():
        report.note("store: loom or loom-bench is not built (make bench builds them)")
        return
    sizes = [100_000] if options.quick else [1_000_000, *([10_000_000] if options.large else [])]
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory(prefix="loom-bench-", dir=options.directory) as folder:
        process, addresses = up(folder, {}, KEEP)
        try:
            stored = 0
            for size in sizes:
                figures += _fill(report, process, addresses, folder, stored, size)
                figures += _ask(process, addresses, size)
                stored = size
        finally:
            process.terminate()
            process.wait(300)
    report.figures("The trace store", figures)
    beside_peers(report, options)


def _fill(
    report: Report, process: "subprocess.Popen[bytes]", addresses: dict[str, str], folder: str, before: int, size: int
) -> list[Figure]:
    """Fills the store up to a size as fast as it takes spans, until the last can be found."""
    print(f"store: filling it up to {size} spans", file=sys.stderr, flush=True)
    spans = (size - before) // 12 * 12
    begin, cpu = time.perf_counter(), cpu_seconds([process])
    sent = _send(addresses, spans, before // 12)
    peak = 0.0
    while _metric(addresses, "loom_store_lag_spans") > 0:
        peak = max(peak, rss_mib([process]))
        time.sleep(0.2)
    took, cpu = time.perf_counter() - begin, cpu_seconds([process]) - cpu
    database = Path(folder, "data", "traces.db")
    report.keep({"store": size, "sent": {key: sent[key] for key in ("spans", "seconds", "refused")}, "seconds": took})
    name = f"up to {size / 1e6:g} M spans"
    return [
        Figure.of(f"ingest, all indexes, {name}", "spans/s", "≥ 60 k", [spans / took]),
        Figure.of(f"CPU of the server, {name}", "µs/span", "≤ 10", [cpu / spans * 1e6]),
        Figure.of(f"database, {name}", "B/span", "≤ 400", [sqlite_bytes(database) / size]),
        Figure.of(f"memory of the server, {name}", "MiB", "≤ 150", [max(peak, rss_mib([process]))]),
    ]


def _ask(process: "subprocess.Popen[bytes]", addresses: dict[str, str], size: int) -> list[Figure]:
    """Asks over HTTP, one question after the other, while spans come."""
    print(f"store: asking beside {LOAD} spans/s", file=sys.stderr, flush=True)
    known = [trace for first, traces in _SAMPLES.items() if first < size for trace in traces]
    done = threading.Event()
    loader = threading.Thread(target=_keep_sending, args=(addresses, size, done))
    loader.start()
    try:
        now, hour = time.time_ns(), 3_600_000_000_000
        figures = []
        kinds: dict[str, tuple[str, Callable[[int], str]]] = {
            "trace by id": ("≤ 10", lambda n: f"/api/traces/{known[n % len(known)]}"),
            "search by agent and hour": (
                "≤ 50",
                lambda n: (
                    "/api/v1/traces?"
                    + urllib.parse.urlencode(
                        {
                            "agent": AGENTS[n % len(AGENTS)],
                            "from": now - (n % 23 + 1) * hour,
                            "to": now - (n % 23) * hour,
                            # The same, as Jaeger's clients say it.
                            "start": (now - (n % 23 + 1) * hour) // 1000,
                            "end": (now - (n % 23) * hour) // 1000,
                            "limit": 20,
                        }
                    )
                ),
            ),
            "metrics of an agent over 24 h": (
                "≤ 100",
                lambda n: f"/api/v1/observability/agents/{AGENTS[n % len(AGENTS)]}/metrics?time_range=24h",
            ),
        }
        for what, (goal, path) in kinds.items():
            times = sorted(_timed(addresses, path(n)) for n in range(QUESTIONS))
            p95 = times[int(len(times) * 0.95) - 1]
            name = f"{what}, {size / 1e6:g} M spans"
            figures.append(Figure.of(f"{name}, p50", "ms", "–", [statistics.median(times)]))
            figures.append(Figure.of(f"{name}, p95", "ms", goal, [p95]))
        figures.append(Figure.of(f"memory of the server, {size / 1e6:g} M spans", "MiB", "≤ 150", [rss_mib([process])]))
    finally:
        done.set()
        loader.join()
    return figures


def _keep_sending(addresses: dict[str, str], size: int, done: threading.Event) -> None:
    first = 3_000_000_000 + size
    while not done.is_set():
        _send(addresses, 5 * LOAD, first, "--rate", str(LOAD), "--hours", "1")
        first += LOAD


def _send(addresses: dict[str, str], spans: int, first: int, *more: str) -> dict[str, Any]:
    sent = send(addresses["otlp_http"], spans, first, *more)
    _SAMPLES.setdefault(first, sent["traces"])
    return sent


_SAMPLES: dict[int, list[str]] = {}
"""Ids of traces that were sent, by the number of the first."""


def _timed(addresses: dict[str, str], path: str) -> float:
    """Milliseconds of one question."""
    begin = time.perf_counter()
    with urllib.request.urlopen(f"http://{addresses['http']}{path}", timeout=60) as answer:
        answer.read()
    return (time.perf_counter() - begin) * 1e3


def _metric(addresses: dict[str, str], name: str) -> float:
    with urllib.request.urlopen(f"http://{addresses['http']}/metrics", timeout=60) as answer:
        lines: Iterable[str] = answer.read().decode().splitlines()
    return next(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith((f"{name} ", f"{name}{{")))
