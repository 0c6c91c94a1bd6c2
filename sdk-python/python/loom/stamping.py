"""Identity on the spans of a TracerProvider that is not Loom's: those of the program, and of its instrumentations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from opentelemetry.attributes import BoundedAttributes

from loom._baggage import baggage_of
from loom._otel import get_current
from loom.contents import apply_to_foreign
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
                _put(span, identity)
        except Exception as error:  # noqa: BLE001 - counted, whatever it is
            fault("span processor", error)

    def _on_ending(self, span: Any) -> None:
        """Keep the program's rule for contents; the SDK's last moment in which a span can be changed."""
        try:
            apply_to_foreign(span)
        except Exception as error:  # noqa: BLE001 - counted, whatever it is
            fault("span processor", error)

    def on_end(self, span: Any) -> None:
        """Do nothing."""

    def shutdown(self) -> None:
        """Do nothing."""

    def force_flush(self, timeout_millis: int = 30_000) -> bool:  # noqa: ARG002 - the interface's
        """Do nothing."""
        return True


def _put(span: Any, identity: Mapping[str, str]) -> None:
    own: Any = getattr(span, "_attributes", None)
    # Of a span of the SDK that starts now nobody else knows yet, and the identity needs no check any more: what the SDK
    # does for each attribute takes longer than all of the rest. Where it has limits, or is another one, it shall.
    if own.__class__ is BoundedAttributes and own.max_value_len is None:
        inside = own._dict  # noqa: SLF001 - see above
        if own.maxlen is None or len(inside) + len(identity) <= own.maxlen:
            for key, value in identity.items():
                inside.setdefault(key, value)
            return
    set_already = span.attributes or ()
    span.set_attributes({key: value for key, value in identity.items() if key not in set_already})


def identity_of(context: Context) -> Mapping[str, str]:
    """Return the attributes of a span that starts in a context."""
    identity = baggage_of(context).identity
    if attribute.AGENT not in identity and (agent := current_agent.get()) is not None:
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
