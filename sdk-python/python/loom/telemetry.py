"""OpenTelemetry for agents: a TracerProvider whose spans live in Rust and leave the process by OTLP.

An ``Agent`` sets it up by itself with the defaults of the specification's variables (endpoint
``http://localhost:4317``, every trace recorded, service ``agent-{agent_id}``), unless ``LOOM_TELEMETRY_AUTO=0``,
``OTEL_SDK_DISABLED=true``, or the program has installed a TracerProvider of its own: that one is used then, and never
replaced.
"""

from __future__ import annotations

import logging
import os
import uuid
from dataclasses import dataclass, field
from threading import Lock
from typing import TYPE_CHECKING, Any, NamedTuple

from opentelemetry import trace

from loom import _native
from loom._processors import Processors, resource_of
from loom._tracer import Tracer
from loom.config import TELEMETRY_AUTO
from loom.faults import counted

if TYPE_CHECKING:
    from collections.abc import Mapping

    from opentelemetry.util.types import Attributes

    from loom._processors import SpanProcessor

__all__ = ["TelemetryReport", "Tracer", "TracerProvider", "init_telemetry", "shutdown_telemetry", "telemetry_stats"]

_log = logging.getLogger("loom")

_ENDPOINT = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
_SAMPLER = "OTEL_TRACES_SAMPLER"
_SAMPLER_ARG = "OTEL_TRACES_SAMPLER_ARG"
_SERVICE_NAME = "OTEL_SERVICE_NAME"
_DISABLED = "OTEL_SDK_DISABLED"
_UNNAMED = "unknown_service"


@dataclass(frozen=True, slots=True)
class TelemetryReport:
    """What became of the spans of this process: ``recorded = exported + sum(dropped) + waiting``."""

    is_complete: bool
    """Everything that was recorded before the call is settled: exported, or dropped and counted."""
    recorded: int
    exported: int
    dropped: Mapping[str, int] = field(default_factory=dict[str, int])
    """Spans lost, by reason."""
    waiting: int = 0
    faults: Mapping[str, int] = field(default_factory=dict[str, int])
    """Failures of telemetry itself, by place; none of them has reached the program."""


class Inheritance(NamedTuple):
    """What a child process needs to record as its parent does."""

    service_name: str
    agent_id: str | None
    overrides: Mapping[str, str]
    attributes: Mapping[str, str]


class TracerProvider(trace.TracerProvider):
    """Gives tracers whose spans are recorded in Rust, at a tenth of the SDK's cost.

    SpanProcessors of the OpenTelemetry SDK can be added. They cost what they cost, and nothing is paid for them while
    there are none.
    """

    def __init__(self, overrides: Mapping[str, str] | None = None, attributes: Mapping[str, str] | None = None) -> None:
        self._overrides = dict(overrides or {})
        self._attributes = dict(attributes or {})
        self._default: _native.SpanSource | None = None
        self._agent: str | None = None
        self._lock = Lock()
        self._processors = Processors()
        self._is_shut_down = False

    def get_tracer(
        self,
        instrumenting_module_name: str,
        instrumenting_library_version: str | None = None,
        schema_url: str | None = None,  # noqa: ARG002 - OTLP has one schema per request here
        attributes: Attributes = None,  # noqa: ARG002 - scope attributes are not stored
    ) -> trace.Tracer:
        """Return a tracer of an instrumentation scope."""
        scope = _native.NativeTracer(instrumenting_module_name, instrumenting_library_version or "")
        return Tracer(self, scope)

    def source(self, service_name: str, instance_id: str, agent_id: str | None = None) -> _native.SpanSource:
        """Make the source of an agent. The first one also records the spans of which nobody knows whose they are.

        In a process with a single agent they are that agent's, else nobody's.
        """
        source, warnings = _native.span_source(
            service_name, instance_id, agent_id, list(self._attributes.items()), self._overrides
        )
        for warning in warnings:
            _log.warning("%s", warning)
        with self._lock:
            if self._default is None or not self._default.is_usable:
                self._default, self._agent = source, agent_id
            elif agent_id != self._agent:
                self._default = self._default.of_nobody()
        return source

    def default_source(self) -> _native.SpanSource | None:
        """Whose the spans are that belong to no agent. A forked child goes on under its parent's name."""
        source = self._default
        if source is not None and source.is_usable:
            return source
        if self._is_shut_down:
            return None
        service_name = _UNNAMED if source is None else source.service_name
        return self.source(service_name, uuid.uuid4().hex, self._agent)

    def inheritance(self) -> Inheritance:
        """Tell what a child process needs to record as this one does."""
        service_name = _UNNAMED if self._default is None else self._default.service_name
        return Inheritance(service_name, self._agent, self._overrides, self._attributes)

    @property
    def processors(self) -> Processors:
        """The SpanProcessors that were added."""
        return self._processors

    def add_span_processor(self, span_processor: SpanProcessor) -> None:
        """Call a SpanProcessor at the start and end of each recorded span."""
        self._processors.add(span_processor)

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Wait until every span that has ended is exported, or lost and counted."""
        processed = self._processors.force_flush(timeout_millis)
        report = _native.flush_spans(timeout_millis / 1000)
        return processed and (report is None or report[0])

    def shutdown(self) -> None:
        """Flush, within five seconds, and record nothing any more."""
        self._is_shut_down = True
        self._processors.shutdown()
        shutdown_telemetry()

    @property
    def resource(self) -> Any:
        """The resource of spans that belong to no agent; the SDK's ``Resource`` where the SDK is installed."""
        source = self.default_source()
        return resource_of(source.resource if source is not None else {})

    @property
    def sampler(self) -> str:
        """How the sampler is called that the environment asks for."""
        return self._overrides.get(_SAMPLER) or os.environ.get(_SAMPLER) or "parentbased_always_on"


_installed: TracerProvider | None = None


def installed() -> TracerProvider | None:
    """Return Loom's provider, where it is the one that agents use."""
    return _installed


def resume_telemetry(of_parent: Inheritance) -> None:
    """Record as the parent process does, whose child has been started anew."""
    provider = _installed or _install(of_parent.overrides, of_parent.attributes)
    provider.source(of_parent.service_name, uuid.uuid4().hex, of_parent.agent_id)


def init_telemetry(
    service_name: str | None = None,
    *,
    endpoint: str | None = None,
    sampler: str | None = None,
    sampler_arg: float | None = None,
    attributes: Mapping[str, str] | None = None,
) -> TracerProvider:
    """Set up Loom's telemetry by hand, before the first Agent; arguments stand for the variables of the specification.

    The provider becomes the global one unless the program has its own already: then it is returned, and agents use the
    program's. Called again, it returns the provider that exists; its arguments are ignored with a warning.
    """
    given = {
        _SERVICE_NAME: service_name,
        _ENDPOINT: endpoint,
        _SAMPLER: sampler,
        _SAMPLER_ARG: None if sampler_arg is None else str(sampler_arg),
    }
    overrides = {name: value for name, value in given.items() if value is not None}
    if _installed is not None:
        if overrides or attributes:
            _log.warning("telemetry is set up already: call init_telemetry() once, before the first Agent")
        return _installed
    return _install(overrides, attributes)


def _install(overrides: Mapping[str, str], attributes: Mapping[str, str] | None) -> TracerProvider:
    global _installed  # noqa: PLW0603 - OpenTelemetry's own provider is one per process, too
    _installed = TracerProvider(overrides, attributes)
    if isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider):
        trace.set_tracer_provider(_installed)
    return _installed


def shutdown_telemetry(timeout: float = 5.0) -> TelemetryReport:
    """Flush and stop all recording, within ``timeout`` seconds. Telemetry can be set up anew only by a new process."""
    report = _native.shutdown_spans(timeout)
    forward_logs()
    return _report(report)


def telemetry_stats() -> TelemetryReport:
    """Count the spans of this process."""
    return _report(_native.span_stats())


def provider_for_agents() -> trace.TracerProvider | None:
    """Return the provider through which agents make their spans; None when telemetry is off."""
    if os.environ.get(_DISABLED, "").strip().lower() == "true":
        return None
    current = trace.get_tracer_provider()
    if not isinstance(current, trace.ProxyTracerProvider):
        return current
    if _installed is None and os.environ.get(TELEMETRY_AUTO, "").strip() == "0":
        return None
    return init_telemetry()


def forward_logs() -> None:
    """Hand the native module's lines to the logger ``loom``."""
    for level, text in _native.take_logs():
        _log.log(level, "%s", text)


def _report(report: tuple[bool, int, int, dict[str, int], int, str] | None) -> TelemetryReport:
    if report is None:
        return TelemetryReport(is_complete=True, recorded=0, exported=0, faults=counted())
    is_complete, recorded, exported, dropped, waiting, _ = report
    return TelemetryReport(is_complete, recorded, exported, dropped, waiting, counted())
