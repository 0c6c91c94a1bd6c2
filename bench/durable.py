"""Streams on a disk: a durable publish beside the disk's own sync, and how long a long journal takes to open."""

import json
import os
import shutil
import statistics
import subprocess
import tempfile
import time
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from peers.adapters import HAVE_UVLOOP
from peers.adapters.loom_bus import STREAM, binary, up
from peers.bench import impossible
from peers.machine import peak_mib
from report import Figure, Report

PUBLISHES = 2_000
"""Durable publishes of a run."""
PLAIN, KEPT = "plain.one", "bench.one"
"""Topics without a stream and with one."""
PAYLOAD = b"x" * 256


def journal(report: Report, options: Namespace) -> None:
    program = Path(binary()).with_name("loom-bench")
    if not program.exists():
        report.note(f"journal: {program.name} is not built (make bench builds it)")
        return
    if reason := impossible("loom-stream", "W1"):
        report.note(reason)
        return
    # As in the other parts: nothing is sampled.
    from loom import init_telemetry

    init_telemetry(sampler="always_off")
    with tempfile.TemporaryDirectory(prefix="loom-bench-", dir=options.directory) as folder:
        command = [str(program), "durable", folder, "--runs", str(options.runs)]
        output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
        figures = [Figure(**json.loads(line)) for line in output.splitlines()]
        medians = [_from_python(folder) for _ in range(options.runs)]
    for topic, name in ((PLAIN, "confirmed publish from Python, no stream"), (KEPT, "the same to a stream")):
        goal = "≤ 1.5 × fdatasync" if topic == KEPT else "–"
        figures.append(Figure.of(name, "µs", goal, [found[topic] for found in medians]))
    report.figures("One durable publish at a time, p50", figures)
    _recovery(report, options, program)


def _from_python(folder: str) -> dict[str, float]:
    """Microseconds, at the median, from `emit` in an agent until it is confirmed, by topic."""
    from loom import Agent

    if HAVE_UVLOOP:
        from uvloop import run
    else:
        from asyncio import run

    async def publish(address: str, topic: str) -> float:
        times = []
        async with Agent("bench-publisher", address=address) as agent:
            for _ in range(PUBLISHES):
                begin = time.perf_counter()
                await agent.emit(topic, payload=PAYLOAD, confirm=True)
                times.append((time.perf_counter() - begin) * 1e6)
        return statistics.median(times)

    with tempfile.TemporaryDirectory(dir=folder) as data, _server(data, STREAM) as (_, addresses):
        return {topic: run(publish(addresses["bridge"], topic)) for topic in (PLAIN, KEPT)}


def _recovery(report: Report, options: Namespace, program: Path) -> None:
    """Nothing of a journal is in the page cache when the server opens it, as after a start of the machine."""
    rows = []
    for gib in [1] if options.quick else options.gib:
        if shutil.disk_usage(options.directory or tempfile.gettempdir()).free < (gib + 2) << 30:
            report.note(f"a journal of {gib} GiB needs {gib + 2} GiB of room: --directory names another place")
            continue
        ready, memory = [], []
        with tempfile.TemporaryDirectory(prefix="loom-bench-", dir=options.directory) as folder:
            stream = Path(folder, "data", "streams", "bench")
            stream.mkdir(parents=True)
            subprocess.run([program, "fill", stream, str(gib)], check=True)
            for _ in range(options.runs):
                _forget(stream)
                begin = time.perf_counter()
                with _server(folder, STREAM + f'max_size = "{gib + 1}GiB"\n') as (process, _):
                    ready.append((time.perf_counter() - begin) * 1e3)
                    memory.append(peak_mib(process))
        rows += [
            Figure.of(f"journal of {gib} GiB: `loom up` until ready", "ms", "≤ 2 s for 10 GB", ready),
            Figure.of(f"journal of {gib} GiB: its memory by then", "MiB", "as with a short one", memory),
        ]
    report.figures("Recovery of a long journal, nothing of it in the page cache", rows)


@contextmanager
def _server(folder: str, settings: str) -> Iterator[tuple[subprocess.Popen[bytes], dict[str, Any]]]:
    process, addresses = up(folder, {"OTEL_TRACES_SAMPLER": "always_off"}, settings)
    try:
        yield process, addresses
    finally:
        process.terminate()
        process.wait(60)


def _forget(directory: Path) -> None:
    for path in directory.iterdir():
        with path.open("rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
