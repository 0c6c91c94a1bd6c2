"""The names that programs may know from elsewhere: thin faces, and the same traces."""

from __future__ import annotations

import dataclasses

import loom
import pytest
from loom.faces import (
    AgentTracer,
    ExecutionTimingCollector,
    TelemetryManager,
    TimingBreakdown,
    UnifiedTraceContext,
)
from loom.semconv import attribute
from loom.testing import LoomServer, LoomSpans, assert_trace
from opentelemetry import trace

tracer = trace.get_tracer("test.faces")


def test_a_trace_as_a_value(server: LoomServer) -> None:
    with LoomSpans(server) as spans:
        whole = UnifiedTraceContext.create(user_id="u", thread_id="t", correlation_id="c", baggage={"free": "x"})
        assert (whole.trace_id, whole.span_stack) == (None, [])
        assert (whole.user_id, whole.thread_id, whole.correlation_id) == ("u", "t", "c")
        assert whole.baggage == {"free": "x"}
        outer = whole.create_child_span("outer")
        inner = whole.create_child_span("inner", {"own": 1})
        assert whole.span_stack == [outer, inner]
        child = whole.propagate_to_child()
        child.create_child_span("of the child")
        # What it does is its own affair.
        assert whole.span_stack == [outer, inner]
        child.end_span(ValueError("no"))
        whole.end_span()
        with whole, tracer.start_as_current_span("current"):
            pass
        whole.end_span()
        whole.end_span()
        finished = [span for span in spans.finished() if span.trace_id == whole_trace(spans)]
    assert_trace(
        finished,
        """
        outer [user.id=u thread_id=t correlation_id=c]
          inner [own=1 user.id=u]
            "of the child" [status=error user.id=u]
          current [user.id=u]
        """,
    )


def whole_trace(spans: LoomSpans) -> str:
    return next(span.trace_id for span in spans.finished() if span.name == "outer")


def test_headers_there_and_back(server: LoomServer) -> None:
    here = UnifiedTraceContext.create(user_id="u", tenant_id="acme")
    here.create_child_span("request")
    headers = here.to_headers()
    there = UnifiedTraceContext.from_headers(headers)
    assert set(headers) == {"traceparent", "baggage"}
    assert there.trace_id == here.trace_id
    assert there.identity.tenant_id == "acme"
    here.end_span()
    assert UnifiedTraceContext.from_headers({}).trace_id is None


def test_spans_of_an_agent_that_is_none_of_loom_s(server: LoomServer) -> None:
    agent = AgentTracer("supervisor")
    with LoomSpans(server) as spans:
        with agent.start_agent_span("plan", model="m") as span:
            agent.add_event("thought", size=3)
            with tracer.start_as_current_span("inside"):
                agent.record_exception(KeyError("gone"))
            agent.set_status(ok=True)
        with TelemetryManager().create_agent_span("writer", "write"):
            agent.set_status(ok=False, description="no paper")
        found = {span.name: span for span in spans.finished()}
    assert span.is_recording() is False
    assert found["plan"].attributes[attribute.AGENT] == found["inside"].attributes[attribute.AGENT] == "supervisor"
    assert found["write"].attributes[attribute.AGENT] == "writer"
    assert [found[name].status for name in ("inside", "write")] == ["error"] * 2
    assert loom.get_current_context().agent_id is None


def test_phases_one_after_the_other() -> None:
    timing = ExecutionTimingCollector("execution-1")
    assert timing.get_breakdown() == TimingBreakdown(None, None, None, None, None, 0)
    first = timing.start_phase("init")
    assert timing.start_phase("llm") is not first
    timing.start_phase("init")
    timing.start_phase("own")
    timing.end_phase()
    timing.end_phase()
    assert list(timing.phases) == ["initialization", "llm_processing", "own"]
    found = dataclasses.asdict(timing.get_breakdown())
    assert found == dataclasses.asdict(timing.get_breakdown()), "all phases have ended"
    assert (found["tool_execution_ms"], found["websocket_notification_ms"]) == (None, None)
    assert found["initialization_ms"] == first.duration_ms > 0
    assert found["total_ms"] == pytest.approx(sum(timer.duration_ms for timer in timing.phases.values()))
