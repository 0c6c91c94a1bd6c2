"""What a user does by hand today: the Python OpenTelemetry SDK around each publish and each receive.

A producer span per publish with W3C context in the headers, a consumer span per receive with the remote parent, a batch
processor, OTLP over gRPC. `python -m peers.otel PORT` is the sink that counts what arrives.
"""

import os
import sys
from collections.abc import Callable, Iterable, Iterator
from concurrent import futures

from .count import Callback
from .load import Headers, Outgoing
from .spec import Tracing, say


class OtelTracing:
    """Hand-made tracing of one role."""

    def __init__(self, service: str, tracing: Tracing) -> None:
        from opentelemetry import propagate, trace
        from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor

        exporter = OTLPSpanExporter(endpoint=f"127.0.0.1:{tracing.port}", insecure=True)
        self.provider = TracerProvider(resource=Resource.create({"service.name": service}))
        self.provider.add_span_processor(BatchSpanProcessor(exporter, max_queue_size=tracing.queue))
        self.tracer = self.provider.get_tracer("peers")
        self.inject, self.extract = propagate.inject, propagate.extract
        self.producer, self.consumer = trace.SpanKind.PRODUCER, trace.SpanKind.CONSUMER

    def produce(self) -> Iterator[Headers]:
        with self.tracer.start_as_current_span("publish", kind=self.producer):
            headers: dict[str, str] = {}
            self.inject(headers)
            yield headers

    def subscriber(self, callback: Callback) -> Callback:
        def traced(payload: bytes, headers: Headers = None) -> None:
            context = self.extract(headers or {})
            with self.tracer.start_as_current_span("process", context=context, kind=self.consumer):
                callback(payload, headers)

        return traced

    def processor(self, transform: Callable[[bytes], bytes]) -> Callable[[bytes, Headers], Iterable[Outgoing]]:
        def traced(payload: bytes, headers: Headers = None) -> Iterator[Outgoing]:
            context = self.extract(headers or {})
            with self.tracer.start_as_current_span("process", context=context, kind=self.consumer):
                result = transform(payload)
                for outgoing in self.produce():
                    yield result, outgoing

        return traced

    def shutdown(self) -> None:
        self.provider.shutdown()


def sink(port: int) -> None:
    """Counts the spans it is sent; answers COUNT on stdin."""
    import grpc
    from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as messages
    from opentelemetry.proto.collector.trace.v1 import trace_service_pb2_grpc as service

    spans = 0

    class Receiver(service.TraceServiceServicer):  # type: ignore[misc]  # generated without types
        def Export(self, request: "messages.ExportTraceServiceRequest", context: object) -> object:  # noqa: N802
            nonlocal spans
            spans += sum(len(scope.spans) for resource in request.resource_spans for scope in resource.scope_spans)
            return messages.ExportTraceServiceResponse()

    # One worker, so that the count needs no lock.
    server = grpc.server(futures.ThreadPoolExecutor(1))
    service.add_TraceServiceServicer_to_server(Receiver(), server)
    if not server.add_insecure_port(f"127.0.0.1:{port}"):
        raise OSError(f"port {port} is taken")
    server.start()
    say("READY")
    for line in sys.stdin:
        if line.strip() != "COUNT":
            break
        say("SPANS", spans)
    os._exit(0)


if __name__ == "__main__":
    sink(int(sys.argv[1]))
