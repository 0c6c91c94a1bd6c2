"""What sets telemetry up: the environment, the program, the agents."""

from __future__ import annotations

import pytest
from conftest import RunScript
from loom.testing import LoomServer

FOREIGN = """
    import asyncio, sys, loom
    from opentelemetry import baggage, context, trace
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    exporter = InMemorySpanExporter()
    mine = TracerProvider()
    mine.add_span_processor(SimpleSpanProcessor(exporter))
    trace.set_tracer_provider(mine)
    tracer = trace.get_tracer("mine")

    async def main():
        done = asyncio.Event()
        receiver = loom.Agent("mine-b")
        @receiver.on("mine.topic")
        async def handle(ctx, topic, event):
            assert trace.get_current_span() is ctx.span
            assert baggage.get_baggage("k") == ("v" if event.text() == "spanned" else None)
            with tracer.start_as_current_span("inner"):
                if event.text() == "spanned":
                    assert await ctx.invoke("mine.cap", 1, timeout=5) == 2
            if event.text() == "broken":
                done.set()
                raise ValueError("broken")
        @receiver.capability("mine.cap")
        async def cap(ctx, args):
            return args + 1
        async with receiver, loom.Agent("mine-a") as sender:
            with tracer.start_as_current_span("root"):
                token = context.attach(baggage.set_baggage("k", "v"))
                await sender.emit("mine.topic", payload="spanned")
                context.detach(token)
            await sender.emit("mine.topic", payload="broken")
            await asyncio.wait_for(done.wait(), 10)
    asyncio.run(main())
    assert trace.get_tracer_provider() is mine
    assert loom.telemetry_stats().recorded == 0
    spans = exporter.get_finished_spans()
    by_id = {span.context.span_id: span for span in spans}
    for span in sorted(spans, key=lambda span: span.start_time):
        parent = by_id.get(span.parent.span_id).name if span.parent and span.parent.span_id in by_id else None
        print(span.name, span.kind.name, parent, span.status.status_code.name, span.attributes.get("agent.id"))
"""


def test_a_provider_of_the_user_s_own_is_used_and_never_replaced(run_script: RunScript) -> None:
    done = run_script(FOREIGN)
    assert done.code == 0, done.err
    assert sorted(done.out.splitlines()) == sorted([
        "root INTERNAL None UNSET mine-b",
        "agent.on_event CONSUMER None UNSET mine-b",
        "inner INTERNAL agent.on_event UNSET mine-b",
        "agent.on_action SERVER None UNSET mine-b",
        "agent.emit PRODUCER None UNSET mine-a",
        "agent.on_event CONSUMER None ERROR mine-b",
        "inner INTERNAL agent.on_event UNSET mine-b",
    ])  # fmt: skip


@pytest.mark.parametrize(
    "environment", [{"LOOM_TELEMETRY_AUTO": "0"}, {"OTEL_SDK_DISABLED": "true"}], ids=lambda e: next(iter(e))
)
def test_telemetry_can_be_switched_off(run_script: RunScript, environment: dict[str, str]) -> None:
    done = run_script(
        """
        import asyncio, loom
        from opentelemetry import trace
        async def main():
            seen = asyncio.Queue()
            async def handle(ctx, topic, event):
                assert not ctx.span.is_recording()
                if event.envelope.hop == 0:
                    await ctx.emit(topic)
                await seen.put(event.envelope)
            async with loom.Agent("off-b", topics=["off.topic"], on_event=handle), loom.Agent("off-a") as sender:
                await sender.emit("off.topic")
                first, second = await seen.get(), await seen.get()
                # The bridge starts the trace, and the handler hands it on.
                assert first.trace_id == second.trace_id != ""
        asyncio.run(main())
        assert isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider)
        assert loom.telemetry_stats() == loom.TelemetryReport(is_complete=True, recorded=0, exported=0)
        print("fine")
        """,
        **environment,
    )
    assert (done.code, done.out.strip()) == (0, "fine"), done.err


def test_two_agents_of_one_process_keep_their_names(run_script: RunScript) -> None:
    script = """
        import asyncio, loom
        from opentelemetry import trace
        a, b = loom.Agent("name-a"), loom.Agent("name-b")
        print(a._spans.source.service_name, b._spans.source.service_name)
        print(b._spans.source.resource["service.instance.id"] == b.instance_id)
        print(b._spans.source.resource["telemetry.sdk.language"])
        span = trace.get_tracer("t").start_span("s")
        print(span.resource_attributes["service.name"])
    """
    done = run_script(script)
    assert done.out.splitlines() == ["agent-name-a agent-name-b", "True", "python", "agent-name-a"], done.err
    done = run_script(script, OTEL_SERVICE_NAME="chosen")
    assert done.out.splitlines() == ["chosen chosen", "True", "python", "chosen"], done.err


def test_sampling_follows_the_environment(run_script: RunScript) -> None:
    script = """
        import loom
        from opentelemetry import trace
        tracer = loom.init_telemetry().get_tracer("t")
        remote = trace.SpanContext(1 << 100, 7, is_remote=True, trace_flags=trace.TraceFlags(1))
        under = trace.set_span_in_context(trace.NonRecordingSpan(remote))
        roots = sum(tracer.start_span("s").is_recording() for _ in range(1000))
        print(roots, tracer.start_span("c", under).is_recording())
    """
    assert run_script(script, OTEL_TRACES_SAMPLER="always_off").out.strip() == "0 False"
    assert run_script(script, OTEL_TRACES_SAMPLER="parentbased_always_off").out.strip() == "0 True"
    assert run_script(script, OTEL_TRACE_SAMPLER="always_on").out.strip() == "1000 True"
    ratio = run_script(
        script, OTEL_TRACES_SAMPLER="parentbased_traceidratio", OTEL_TRACES_SAMPLER_ARG="0.5"
    ).out.split()
    assert 300 < int(ratio[0]) < 700
    assert ratio[1] == "True"
    wrong = run_script(script, OTEL_TRACES_SAMPLER="sometimes")
    assert wrong.out.strip() == "1000 True"
    assert "OTEL_TRACES_SAMPLER=sometimes is not known" in wrong.err


def test_emits_wait_for_the_buffers_of_their_spans(run_script: RunScript, server: LoomServer) -> None:
    """As fast as Python can: a few times as many spans as the buffers hold, and a process that does nothing else."""
    script = f"""
        import asyncio, loom
        async def main():
            async with loom.Agent("span-pressure", address="{server.bridge}") as agent:
                for _ in range(100_000):
                    await agent.emit("nobody.listens")
        asyncio.run(main())
        report = loom.shutdown_telemetry()
        print(report.is_complete, report.recorded, report.exported, dict(report.dropped))
    """
    done = run_script(script, OTEL_EXPORTER_OTLP_ENDPOINT=f"http://{server.otlp_grpc}")
    assert done.out.strip() == "True 100000 100000 {}", done.err
