"""What context costs: the span of a handler, a phase, and the identity on a span of the OpenTelemetry SDK.

`costs` is the part of the bench. `python context.py MODE` is one process of it, which prints a figure in microseconds.
"""

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from argparse import Namespace
from collections.abc import Callable

from peers.adapters import BENCH
from peers.adapters.loom_bus import up
from peers.bench import impossible
from report import Figure, Report

EVENTS = 50_000
SPANS = 50_000
WHO = {"workflow_id": "onboarding", "session_id": "s-4711", "user_id": "u-17", "tenant_id": "acme"}
TOPIC = "context.bench"


def costs(report: Report, options: Namespace) -> None:
    if reason := impossible("loom", "W1"):
        report.note(reason)
        return
    figures: dict[str, list[float]] = {}
    for _ in range(options.runs):
        spans = {mode: _child(mode) for mode in ("sdk", "stamp", "phase")}
        handlers = {mode: _handled(mode) for mode in ("off", "recorded")}
        found = {
            "OpenTelemetry SDK: a span": spans["sdk"],
            "identity stamped on it, five attributes": spans["stamp"],
            "Loom: a phase of a handler": spans["phase"],
            "an event handled, nothing recorded": handlers["off"],
            "`agent.on_event` recorded, with identity": handlers["recorded"] - handlers["off"],
        }
        for name, value in found.items():
            figures.setdefault(name, []).append(value)
    goals = {"identity": "≤ 1.5", "Loom: a phase": "≤ 4", "`agent.on_event`": "≤ 4"}

    def goal(name: str) -> str:
        return next((goal for start, goal in goals.items() if name.startswith(start)), "–")

    rows = [Figure.of(name, "µs", goal(name), values) for name, values in figures.items()]
    report.figures("Context in a Python process, CPU of the calling thread", rows)


def _child(mode: str, **environment: str) -> float:
    command = [sys.executable, str(BENCH / "context.py"), mode]
    output = subprocess.run(
        command, check=True, stdout=subprocess.PIPE, text=True, env={**os.environ, **environment}, timeout=120
    )
    return float(json.loads(output.stdout))


def _handled(mode: str) -> float:
    """Run a sender and a receiver on a server of their own; the receiver's figure."""
    with tempfile.TemporaryDirectory(prefix="loom-bench-") as folder:
        process, addresses = up(folder, {"OTEL_TRACES_SAMPLER": "always_off"})
        environment = {**os.environ, "LOOM_ADDRESS": addresses["bridge"]}
        environment["OTEL_EXPORTER_OTLP_ENDPOINT"] = f"http://{addresses['otlp_grpc']}"
        if mode == "off":
            environment["OTEL_SDK_DISABLED"] = "true"
        command = [sys.executable, str(BENCH / "context.py")]
        receiver = subprocess.Popen([*command, "receive"], stdout=subprocess.PIPE, text=True, env=environment)
        try:
            assert receiver.stdout is not None
            assert receiver.stdout.readline() == "ready\n"
            subprocess.run([*command, "send"], check=True, env=environment, timeout=120)
            return float(receiver.communicate(timeout=120)[0])
        finally:
            receiver.kill()
            process.terminate()
            process.wait(60)


# ---- the children ----


def _sdk() -> float:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(InMemorySpanExporter()))
    tracer = provider.get_tracer("bench")

    def span() -> None:
        with tracer.start_as_current_span("span"):
            pass

    return _per_call(span)


def _stamp() -> float:
    """The processor alone: between two spans of the SDK its part is lost in their spread."""
    import loom
    from opentelemetry.sdk.trace import TracerProvider

    tracer = TracerProvider().get_tracer("bench")
    spans = iter([tracer.start_span("span", attributes={"own": 1}) for _ in range(SPANS + SPANS // 10)])
    processor = loom.IdentitySpanProcessor()

    def stamp() -> None:
        processor.on_start(next(spans))

    with loom.context(agent_id="bench", **WHO):
        return _per_call(stamp)


def _phase() -> float:
    import loom
    from loom.phases import Phase, timing_of
    from opentelemetry import trace

    loom.init_telemetry("bench")
    with loom.context(agent_id="bench", **WHO), trace.get_tracer("bench").start_as_current_span("handler") as handler:
        timing = timing_of(handler)

        def phase() -> None:
            with Phase(timing, "llm_processing"):
                pass

        return _per_call(phase)


def _per_call(call: Callable[[], None]) -> float:
    """Microseconds of CPU of this thread, the first tenth aside."""
    for _ in range(SPANS // 10):
        call()
    begin = time.thread_time()
    for _ in range(SPANS):
        call()
    return (time.thread_time() - begin) / SPANS * 1e6


def _receive() -> None:
    from loom import Agent, Context, Event

    agent = Agent("bench-receiver")
    done = asyncio.Event()
    seen = 0
    begin = 0.0

    async def handle(ctx: Context, topic: str, event: Event) -> None:
        nonlocal seen, begin
        seen += 1
        if seen == EVENTS // 10:
            begin = time.thread_time()
        elif seen == EVENTS + EVENTS // 10:
            done.set()

    agent.on(TOPIC)(handle)

    async def main(agent: Agent) -> None:
        print("ready", flush=True)
        await done.wait()
        print((time.thread_time() - begin) / EVENTS * 1e6, flush=True)

    agent.run(main)


def _send() -> None:
    import loom
    from loom import Agent

    async def main(agent: Agent) -> None:
        with loom.context(**WHO):
            for _ in range(EVENTS + EVENTS // 10):
                await agent.emit(TOPIC, payload=b"x" * 256)
        await agent.flush()

    Agent("bench-sender").run(main)


MODES: dict[str, Callable[[], float | None]] = {
    "sdk": _sdk,
    "stamp": _stamp,
    "phase": _phase,
    "receive": _receive,
    "send": _send,
}

if __name__ == "__main__":
    figure = MODES[sys.argv[1]]()
    if figure is not None:
        print(json.dumps(figure))
