"""How an agent makes its spans: natively, or through the TracerProvider that the program has installed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, cast

from opentelemetry import trace
from opentelemetry.context import Context

from loom import _native
from loom._baggage import Baggage, handled
from loom._otel import BAGGAGE_KEY, SPAN_KEY
from loom.headers import W3C
from loom.semconv import attribute, header, span
from loom.stamping import stamp_spans_of
from loom.telemetry import TracerProvider, provider_for_agents

if TYPE_CHECKING:
    from collections.abc import Mapping

    from loom._outcome import Failure

__all__ = ["ForeignSpans", "NativeSpans", "Spans", "spans_for"]


class Spans(Protocol):
    """The spans around handlers. Every ``begin`` has one ``finish``, which also answers the delivery."""

    source: _native.SpanSource | None
    makes_producers: bool
    """Whether ``producer`` makes spans."""

    @property
    def are_recorded(self) -> bool:
        """Whether anybody records them."""
        ...

    def bind(self, client: _native.Client) -> None:
        """Use the client of a started agent."""
        ...

    def begin(self, event: _native.Event, stamp: _native.Stamp, /) -> trace.Span:
        """Start ``agent.on_event``."""
        ...

    def finish(self, span: trace.Span, event: _native.Event, failure: Failure | None = None, /) -> None:
        """End it; the event was handled, unless there is a failure."""
        ...

    def begin_call(
        self, capability: str, caller: str, headers: Mapping[str, str], stamp: _native.Stamp, /
    ) -> trace.Span:
        """Start ``agent.on_action``."""
        ...

    def producer(self, topic: str) -> trace.Span | None:
        """Start the span of an emit outside of any span; None where the native client makes it."""
        ...


class NativeSpans:
    """Spans in Rust; with ``source`` None nothing is recorded, and contexts are passed on."""

    __slots__ = ("begin", "begin_call", "finish", "source")

    makes_producers = False

    def __init__(self, source: _native.SpanSource | None) -> None:
        self.source = source

    @property
    def are_recorded(self) -> bool:
        """Whether there is a source: it may be switched off."""
        return self.source is not None

    def bind(self, client: _native.Client) -> None:
        """Use the client of a started agent: its methods are called without a detour."""
        self.begin = client.begin
        self.begin_call = client.begin_call
        self.finish = client.finish

    def producer(self, topic: str) -> trace.Span | None:  # noqa: ARG002 - the interface's
        """Leave it to the native client, which records it in the same call."""
        return None


class ForeignSpans:
    """Spans of the program's own provider."""

    __slots__ = ("_agent_id", "_client", "_tracer", "source")

    makes_producers = True
    are_recorded = True

    def __init__(self, agent_id: str, provider: trace.TracerProvider) -> None:
        self._agent_id = agent_id
        self._tracer = provider.get_tracer("loom", _native.__version__)
        self.source: _native.SpanSource | None = None

    def bind(self, client: _native.Client) -> None:
        """Use the client of a started agent."""
        self._client = client

    def begin(self, event: _native.Event, stamp: _native.Stamp, /) -> trace.Span:  # noqa: ARG002 - for native spans
        """Start ``agent.on_event``."""
        envelope = event.envelope
        carried = event.carried or ("", "", "")
        attributes: dict[str, str | int] = {
            attribute.AGENT: self._agent_id,
            attribute.EVENT: event.id,
            attribute.EVENT_TYPE: event.type,
            attribute.TOPIC: event.topic,
            attribute.THREAD_ID: event.thread_id,
            attribute.CORRELATION_ID: event.correlation_id,
            attribute.MESSAGING_SYSTEM: "loom",
            attribute.MESSAGING_DESTINATION: event.topic,
            attribute.MESSAGING_MESSAGE_ID: event.id,
            attribute.MESSAGING_CONVERSATION_ID: event.thread_id,
            attribute.MESSAGING_OPERATION_NAME: "on_event",
            attribute.MESSAGING_OPERATION_TYPE: "process",
            attribute.MESSAGING_CLIENT_ID: self._agent_id,
            attribute.GEN_AI_OPERATION_NAME: "invoke_agent",
            attribute.GEN_AI_AGENT_ID: self._agent_id,
            attribute.GEN_AI_AGENT_NAME: self._agent_id,
        }
        if event.attempt > 1:
            attributes[attribute.MESSAGING_DELIVERY_ATTEMPT] = event.attempt
        return self._tracer.start_span(
            span.ON_EVENT,
            context=_remote(envelope.extract_trace_context(), handled(self._agent_id, *carried)),
            kind=trace.SpanKind.CONSUMER,
            attributes={key: value for key, value in attributes.items() if value},
        )

    def finish(self, span: trace.Span, event: _native.Event, failure: Failure | None = None, /) -> None:
        """End it; the event was handled, unless there is a failure."""
        self._client.finish(None, event, failure)
        span.end()

    def begin_call(
        self,
        capability: str,
        caller: str,
        headers: Mapping[str, str],
        stamp: _native.Stamp,  # noqa: ARG002 - for native spans
        /,
    ) -> trace.Span:
        """Start ``agent.on_action``."""
        baggage = handled(self._agent_id, headers.get(header.BAGGAGE, ""))
        return self._tracer.start_span(
            span.ON_ACTION,
            context=W3C.extract(headers, _remote(None, baggage)),
            kind=trace.SpanKind.SERVER,
            attributes={
                attribute.AGENT: self._agent_id,
                attribute.CAPABILITY: capability,
                attribute.CALLER: caller,
                attribute.GEN_AI_OPERATION_NAME: "execute_tool",
                attribute.GEN_AI_TOOL_NAME: capability,
                attribute.GEN_AI_AGENT_ID: self._agent_id,
                attribute.GEN_AI_AGENT_NAME: self._agent_id,
            },
        )

    def producer(self, topic: str) -> trace.Span | None:
        """Start ``agent.emit``."""
        return self._tracer.start_span(
            span.EMIT,
            kind=trace.SpanKind.PRODUCER,
            attributes={
                attribute.AGENT: self._agent_id,
                attribute.TOPIC: topic,
                attribute.MESSAGING_SYSTEM: "loom",
                attribute.MESSAGING_DESTINATION: topic,
                attribute.MESSAGING_OPERATION_NAME: "publish",
                attribute.MESSAGING_OPERATION_TYPE: "send",
                attribute.MESSAGING_CLIENT_ID: self._agent_id,
            },
        )


def spans_for(agent_id: str, instance_id: str) -> Spans:
    """Choose for an agent."""
    provider = provider_for_agents()
    if provider is None:
        return cast("Spans", NativeSpans(None))
    if isinstance(provider, TracerProvider):
        return cast("Spans", NativeSpans(provider.source(f"agent-{agent_id}", instance_id, agent_id)))
    stamp_spans_of(provider)
    return ForeignSpans(agent_id, provider)


def _remote(parent: trace.SpanContext | None, baggage: Baggage) -> Context:
    span = trace.NonRecordingSpan(parent) if parent is not None else trace.INVALID_SPAN
    return Context({SPAN_KEY: span, BAGGAGE_KEY: baggage})
