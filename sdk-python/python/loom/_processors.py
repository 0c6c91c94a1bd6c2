"""SpanProcessors of the OpenTelemetry SDK on native spans, for those who add one."""

from __future__ import annotations

import importlib
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from loom import _native
from loom.faults import fault

if TYPE_CHECKING:
    from collections.abc import Mapping

    from opentelemetry.context import Context

__all__ = ["Processors", "Resource", "SpanProcessor", "resource_of"]


class SpanProcessor(Protocol):
    """What the SDK's class of this name offers."""

    def on_start(self, span: Any, parent_context: Context | None = None) -> None: ...

    def on_end(self, span: Any) -> None: ...

    def shutdown(self) -> None: ...

    def force_flush(self, timeout_millis: int = 30_000) -> bool: ...


@dataclass(frozen=True, slots=True)
class Resource:
    """What all spans of an agent have in common; stands for the SDK's class where the SDK is not installed."""

    attributes: Mapping[str, Any]
    schema_url: str = ""


@dataclass(frozen=True, slots=True)
class Scope:
    """Instrumentation scope; stands for the SDK's class where the SDK is not installed."""

    name: str
    version: str = ""
    schema_url: str = ""
    attributes: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True, slots=True)
class ReadableSpan:
    """A span that has ended; stands for the SDK's class where the SDK is not installed."""

    name: str
    context: Any
    parent: Any
    resource: Any
    attributes: Mapping[str, Any]
    events: tuple[Any, ...]
    links: tuple[Any, ...]
    kind: Any
    status: Any
    start_time: int | None
    end_time: int | None
    instrumentation_scope: Any

    def get_span_context(self) -> Any:
        """Return ids and flags."""
        return self.context


def _sdk(module: str, name: str, otherwise: Any) -> Any:
    """Find a class of the SDK; processors and exporters of the SDK want its own ones."""
    try:
        return getattr(importlib.import_module(f"opentelemetry.sdk.{module}"), name)
    except (ImportError, AttributeError):
        return otherwise


def resource_of(attributes: Mapping[str, Any]) -> Any:
    """Make a Resource."""
    return _sdk("resources", "Resource", Resource)(attributes)


class Processors:
    """The processors that were added."""

    def __init__(self) -> None:
        self.added: tuple[SpanProcessor, ...] = ()

    def add(self, processor: SpanProcessor) -> None:
        """Call this one, too, from now on."""
        if not self.added:
            _native.set_span_hooks(self.on_start, self.on_end)
        self.added += (processor,)

    def on_start(self, span: _native.Span, parent_context: Context | None) -> None:
        """Tell of a span that has started."""
        if span.is_recording():
            for processor in self.added:
                self._guard(processor.on_start, span, parent_context)

    def on_end(self, span: _native.Span) -> None:
        """Tell of a span that has ended."""
        readable = _readable(span)
        for processor in self.added:
            self._guard(processor.on_end, readable)

    def force_flush(self, timeout_millis: int) -> bool:
        """Flush one after the other; False when one could not, or when the time is over."""
        deadline = time.monotonic() + timeout_millis / 1000
        done = True
        for processor in self.added:
            left = max(0, round((deadline - time.monotonic()) * 1000))
            done = processor.force_flush(left) is not False and done
        return done

    def shutdown(self) -> None:
        """Shut all down."""
        for processor in self.added:
            self._guard(processor.shutdown)

    @staticmethod
    def _guard(call: Any, *arguments: Any) -> None:
        try:
            call(*arguments)
        except Exception as error:  # noqa: BLE001 - counted, whatever it is
            fault("span processor", error)


def _readable(span: _native.Span) -> Any:
    name, version = span.scope
    scope = _sdk("util.instrumentation", "InstrumentationScope", Scope)(name or "loom", version)
    event = _sdk("trace", "Event", None)
    events: tuple[Any, ...] = span.events
    if event is not None:
        events = tuple(event(e.name, e.attributes, e.timestamp) for e in events)
    return _sdk("trace", "ReadableSpan", ReadableSpan)(
        name=span.name,
        context=span.get_span_context(),
        parent=span.parent,
        resource=resource_of(span.resource_attributes),
        attributes=dict(span.attributes),
        events=events,
        links=span.links,
        kind=span.kind,
        status=span.status,
        start_time=span.start_time,
        end_time=span.end_time,
        instrumentation_scope=scope,
    )
