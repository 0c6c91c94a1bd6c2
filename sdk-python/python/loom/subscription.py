"""What an agent subscribes to, and how."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal, NamedTuple

from loom import _native
from loom.exceptions import InvalidAgent

if TYPE_CHECKING:
    from loom.config import Qos
    from loom.dispatch import Handler

__all__ = ["Acknowledged", "Start", "Subscription", "acknowledged", "check_pattern"]

Start = Literal["all", "new"]
"""Where a group begins that has not been there before: with the oldest event of the stream, or with the next one."""

_STARTS: dict[str | None, int] = {None: 0, "all": 0, "new": 1}
_MAX_UINT32 = 0xFFFF_FFFF


class Acknowledged(NamedTuple):
    """A share in a group; crosses the border as it is. 0 means the server's default."""

    group: str
    """Empty: a group of its own under the agent's id."""
    max_in_flight: int
    max_attempts: int
    timeout_ms: int
    start: int


class Subscription(NamedTuple):
    """A pattern and who handles its events."""

    pattern: str
    qos: Qos
    capacity: int
    acknowledged: Acknowledged | None
    handler: Handler


def acknowledged(
    *,
    ack: bool,
    group: str | None,
    max_attempts: int,
    timeout: float,
    start: Start | None,
    max_in_flight: int,
) -> Acknowledged | None:
    """Check the options of an acknowledged subscription; None where it is none. ``max_in_flight`` is the agent's."""
    if not ack:
        given = {"group": group, "max_attempts": max_attempts, "start": start}
        if names := [name for name, value in given.items() if value not in (None, 0)]:
            raise _invalid(f"{', '.join(names)} given without ack=True: nobody acknowledges these events")
        return None
    if group is not None and not _native.is_valid_agent_id(group):
        # An empty one would be taken for none.
        raise _invalid(f"group {group!r} is not valid: use 1 to 128 letters, digits, _, . and -")
    if not 0 <= max_attempts <= _MAX_UINT32:
        raise _invalid(f"max_attempts is {max_attempts}: it is 1 or more, or 0 for the server's default")
    if start not in _STARTS:
        raise _invalid(f"start is {start!r}: use 'all' or 'new'")
    return Acknowledged(
        group=group or "",
        # One in the handler, and one that waits for it.
        max_in_flight=min(2 * max_in_flight, _MAX_UINT32),
        max_attempts=max_attempts,
        # Rounded up: 0 would be the server's default. What is longer than seven weeks is as good as for ever.
        timeout_ms=math.ceil(min(timeout * 1000, _MAX_UINT32)),
        start=_STARTS[start],
    )


def check_pattern(pattern: str) -> None:
    """Refuse what cannot be subscribed."""
    _native.validate_pattern(pattern)
    if pattern.startswith("_inbox."):
        # The server sends what comes there without credit, and a handler's bound is its credit.
        raise _invalid(f"{pattern} cannot be subscribed: topics below _inbox. are for the replies to requests")


def _invalid(message: str) -> InvalidAgent:
    return InvalidAgent(message, code="invalid_subscription", field="hello.subscriptions")
