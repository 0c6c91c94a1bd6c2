"""Identity on the spans of a TracerProvider that is not Loom's: those of the program, and of its instrumentations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from loom._baggage import baggage_of
from loom._otel import get_current
from loom.faults import fault
from loom.identity import current_agent
from loom.semconv import attribute

if TYPE_CHECKING:
    from collections.abc import Mapping

    from opentelemetry import trace
    from opentelemetry.context import Context

__all__ = ["IdentitySpanProcessor", "stamp_spans_of"]

_stamped: WeakSet[trace.TracerProvider] = WeakSet()


class IdentitySpanProcessor:
    """A SpanProcessor of OpenTelemetry's SDK: each span gets the identity of the context in which it starts.

    Agents add it by themselves to the provider that the program has installed. What a span's own attributes say goes
    before it.
    """

    def on_start(self, span: Any, parent_context: Context | None = None) -> None:
        """Set the attributes of a span that starts."""
        try:
            identity = identity_of(get_current() if parent_context is None else parent_context)
            if identity:
                own = span.attributes
                span.set_attributes({k: v for k, v in identity.items() if k not in own} if own else identity)
        except Exception as error:  # noqa: BLE001 - counted, whatever it is
            fault("span processor", error)

    def _on_ending(self, span: Any) -> None:
        """Do nothing; the SDK calls it without looking whether it is there."""

    def on_end(self, span: Any) -> None:
        """Do nothing."""

    def shutdown(self) -> None:
        """Do nothing."""

    def force_flush(self, timeout_millis: int = 30_000) -> bool:  # noqa: ARG002 - the interface's
        """Do nothing."""
        return True


def identity_of(context: Context) -> Mapping[str, str]:
    """Return the attributes of a span that starts in a context."""
    identity = baggage_of(context).identity
    agent = current_agent.get()
    if agent is not None and attribute.AGENT not in identity:
        return {attribute.AGENT: agent, **identity}
    return identity


def stamp_spans_of(provider: trace.TracerProvider) -> None:
    """Add the processor to a provider, once; one that takes no processors is left alone."""
    add = getattr(provider, "add_span_processor", None)
    if add is None or provider in _stamped:
        return
    try:
        add(IdentitySpanProcessor())
        _stamped.add(provider)
    except Exception as error:  # noqa: BLE001 - counted, whatever it is
        fault("span processor", error)
