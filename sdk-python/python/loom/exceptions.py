"""Everything that can go wrong, by the closed list of codes of the contract.

Each class says in its text what a caller should do. ``code`` is the stable name of the fault (``agent_id_in_use``),
``field`` the part of the message at fault (``event.topic``), or empty.
"""

from __future__ import annotations

from typing import ClassVar

from loom import _native

__all__ = [
    "AgentIdInUse",
    "Cancelled",
    "ConnectionLost",
    "DeadlineExceeded",
    "EventExpired",
    "EventTooLarge",
    "HandlerFailed",
    "InvalidAgent",
    "InvalidEvent",
    "LoomError",
    "NotStored",
    "Overloaded",
    "PermissionDenied",
    "ProtocolError",
    "ProviderGone",
    "UnknownCapability",
]


class LoomError(Exception):
    """Base of all; itself only for faults inside Loom: report them."""

    default_code: ClassVar[str] = "internal"

    def __init__(self, message: str = "", *, code: str | None = None, field: str = "") -> None:
        super().__init__(message)
        self.code = self.default_code if code is None else code
        self.field = field

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle with code and field, for process pools."""
        return (_rebuild, (type(self), str(self), self.code, self.field))


class ConnectionLost(LoomError):
    """The server is not there, or was lost meanwhile: the client reconnects by itself; try again."""

    default_code = "unavailable"


class PermissionDenied(LoomError):
    """The token is missing or wrong: set ``LOOM_TOKEN``."""

    default_code = "permission_denied"


class ProtocolError(LoomError):
    """Client and server do not understand each other: bring both to the same version."""

    default_code = "malformed_frame"


class InvalidAgent(LoomError):
    """Agent id, subscription or capability breaks a rule: fix the definition of the agent."""

    default_code = "invalid_agent_id"


class AgentIdInUse(LoomError):
    """Another process is connected under this agent id: stop it, or give this agent another id."""

    default_code = "agent_id_in_use"


class InvalidEvent(LoomError):
    """The event breaks a rule: fix the call that emits it."""

    default_code = "invalid_event"


class EventTooLarge(InvalidEvent):
    """The event is larger than the server takes: keep the data elsewhere and send a reference."""

    default_code = "event_too_large"


class EventExpired(LoomError):
    """The event has made more hops than its ttl allows: look for agents that answer each other for ever."""

    default_code = "event_expired"


class Overloaded(LoomError):
    """A limit of rate or of open calls is reached: try again later."""

    default_code = "backpressure"


class UnknownCapability(LoomError):
    """No connected agent provides the capability: start one, or fix the name."""

    default_code = "unknown_capability"


class ProviderGone(LoomError):
    """The provider left before it answered: it may or may not have done the work."""

    default_code = "provider_gone"


class DeadlineExceeded(LoomError, TimeoutError):
    """No answer within the time given."""

    default_code = "deadline_exceeded"


class Cancelled(LoomError):
    """The other side was told to stop."""

    default_code = "cancelled"


class HandlerFailed(LoomError):
    """The provider's handler failed; the message is its own."""

    default_code = "handler_failed"


class NotStored(LoomError):
    """The stream of the topic could not keep the event; publish it again when the server has room on its disk."""

    default_code = "not_stored"


_CLASSES: dict[str, type[LoomError]] = {code: globals()[name] for code, name in _native.error_codes()}


def from_code(code: str, message: str, field: str = "") -> LoomError:
    """Make the exception of a code; an unknown code, of a newer server, is a plain ``LoomError``."""
    return _CLASSES.get(code, LoomError)(message, code=code, field=field)


def _rebuild(kind: type[LoomError], message: str, code: str, field: str) -> LoomError:
    return kind(message, code=code, field=field)
