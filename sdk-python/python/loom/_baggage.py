"""Baggage, W3C's and OpenTelemetry's, with what follows from it made once: who spans are about, and the headers.

The identity of a context (agent, workflow, session, user, tenant, thread, correlation) is nothing but entries of its
baggage, under the names of the spans' attributes. So whoever carries OpenTelemetry's context carries it too.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, cast

from opentelemetry.baggage.propagation import W3CBaggagePropagator
from opentelemetry.context import Context

from loom import _native
from loom._otel import BAGGAGE_KEY
from loom.faults import fault
from loom.semconv import attribute

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["IDENTITY", "Baggage", "baggage_of", "handled", "parse", "stamp_of", "text"]

IDENTITY = {
    "agent_id": attribute.AGENT,
    "workflow_id": attribute.WORKFLOW_ID,
    "session_id": attribute.SESSION_ID,
    "user_id": attribute.USER_ID,
    "tenant_id": attribute.TENANT_ID,
    "thread_id": attribute.THREAD_ID,
    "correlation_id": attribute.CORRELATION_ID,
}
"""What is said of a piece of work, by its name in Python; the values are entries, and attributes of every span."""
_OF_THE_ENVELOPE = (attribute.AGENT, attribute.THREAD_ID, attribute.CORRELATION_ID)
"""Those for which an event has fields of its own: its sender, and its conversation."""

_W3C = W3CBaggagePropagator()


class Baggage(dict[str, object]):
    """Entries of one context. Nobody changes them: OpenTelemetry's ``set_baggage`` copies before it writes."""

    __slots__ = ("_header", "conversation", "identity", "stamp")

    conversation: tuple[str | None, str | None]
    """Thread and correlation of the events that are emitted, where they are not those of the handled one."""
    identity: Mapping[str, str]
    """The entries that are attributes of every span."""
    stamp: _native.Stamp
    """What native spans and events need of it."""

    def __init__(
        self, entries: Mapping[str, object], conversation: tuple[str | None, str | None], header: str | None = None
    ) -> None:
        """``header`` is that of an event with these entries, where it is known already."""
        super().__init__(entries)
        self.conversation = conversation
        self._header: str | None = None
        if header is None:
            header = _encode({key: value for key, value in entries.items() if key not in _OF_THE_ENVELOPE})
        self.identity = {key: str(self[key]) for key in IDENTITY.values() if self.get(key)}
        self.stamp = _native.Stamp(self, header, *conversation)

    @property
    def header(self) -> str:
        """All of it as W3C header, for whatever is no event; empty where there is none."""
        if self._header is None:
            self._header = _encode(self)
        return self._header

    @classmethod
    def of(cls, entries: Mapping[str, object]) -> Baggage:
        """Make it of entries that came from elsewhere: the conversation that they name goes on."""
        return cls(entries, (text(entries.get(attribute.THREAD_ID)), text(entries.get(attribute.CORRELATION_ID))))

    def extended(self, entries: Mapping[str, object]) -> Baggage:
        """Return it with some entries set anew, or removed where they are empty."""
        merged = {key: value for key, value in (dict(self) | dict(entries)).items() if value not in (None, "")}
        thread_id, correlation_id = self.conversation
        if attribute.THREAD_ID in entries:
            thread_id = text(merged.get(attribute.THREAD_ID))
        if attribute.CORRELATION_ID in entries:
            correlation_id = text(merged.get(attribute.CORRELATION_ID))
        return Baggage(merged, (thread_id, correlation_id))


_NOTHING = Baggage({}, (None, None), "")


def baggage_of(context: Context) -> Baggage:
    """Return the baggage of a context, whoever has put it there."""
    found = context.get(BAGGAGE_KEY)
    if isinstance(found, Baggage):
        return found
    if not isinstance(found, dict) or not found:
        return _NOTHING
    entries = cast("dict[str, object]", found)
    try:
        return Baggage.of(entries)
    except Exception as error:  # noqa: BLE001 - whatever a stranger has put into its baggage
        fault("context", error)
        return _NOTHING


def stamp_of(context: Context) -> _native.Stamp | None:
    """Tell whom spans and events of a context are about."""
    found: Any = context.get(BAGGAGE_KEY)
    if found.__class__ is Baggage:
        stamp: _native.Stamp = found.stamp
        return stamp
    return baggage_of(context).stamp if found else None


@lru_cache(maxsize=256)
def parse(header: str) -> Mapping[str, object]:
    """Read a W3C header; what is malformed in it is left out, and logged by OpenTelemetry."""
    if not header:
        return {}
    found = _W3C.extract({"baggage": header}, Context()).get(BAGGAGE_KEY)
    return cast("dict[str, object]", found) if isinstance(found, dict) else {}


@lru_cache(maxsize=1024)
def handled(agent_id: str, header: str = "", thread_id: str = "", correlation_id: str = "") -> Baggage:
    """Make the baggage of a handler: what came with the event or the call, about this agent and its conversation.

    Remembered, since the events of a conversation have it in common.
    """
    entries = dict(parse(header))
    # As it came, it goes on: what was made of it need not be encoded again.
    as_it_came = None if any(key in entries for key in _OF_THE_ENVELOPE) else header
    entries[attribute.AGENT] = agent_id
    if thread_id:
        entries[attribute.THREAD_ID] = thread_id
    if correlation_id:
        entries[attribute.CORRELATION_ID] = correlation_id
    return Baggage(entries, (None, None), as_it_came)


def _encode(entries: Mapping[str, object]) -> str:
    if not entries:
        return ""
    carrier: dict[str, str] = {}
    _W3C.inject(carrier, Context({BAGGAGE_KEY: dict(entries)}))
    return carrier.get("baggage", "")


def text(value: object) -> str | None:
    """Return it as a text; None where there is none."""
    return str(value) if value else None
