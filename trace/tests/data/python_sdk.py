"""Writes python_sdk.bin: what opentelemetry-sdk and opentelemetry-exporter-otlp-proto-common make of three spans.

Usage: python python_sdk.py python_sdk.bin
"""

import sys
from pathlib import Path

from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import Link, SpanKind, Status, StatusCode

exporter = InMemorySpanExporter()
provider = TracerProvider(resource=Resource({"service.name": "agent-processor", "service.instance.id": "1"}))
provider.add_span_processor(SimpleSpanProcessor(exporter))
tracer = provider.get_tracer("demo", "1.2")

with tracer.start_as_current_span(
    "sensor.emit_data", kind=SpanKind.PRODUCER, attributes={"topic": "sensor.data"}
) as producer:
    link = Link(producer.get_span_context(), {"why": "creation"})
    attributes = {"agent.id": "processor", "numbers": [1, 2, 3], "ratio": 0.5, "ok": True, "big": 2**60}
    with tracer.start_as_current_span("agent.on_event", kind=SpanKind.CONSUMER, links=[link], attributes=attributes):
        with tracer.start_as_current_span(
            "chat gpt-4o",
            kind=SpanKind.CLIENT,
            attributes={"gen_ai.system": "openai", "gen_ai.usage.input_tokens": 12},
        ) as llm:
            # By hand: record_exception would write this machine's paths into the file.
            llm.add_event("exception", {"exception.type": "ValueError", "exception.message": "model said no"})
            llm.set_status(Status(StatusCode.ERROR, "model said no"))

Path(sys.argv[1]).write_bytes(encode_spans(exporter.get_finished_spans()).SerializeToString())
