"""What an agent subscribes to, and how."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

from loom import _native
from loom.exceptions import InvalidAgent

if TYPE_CHECKING:
    from loom.config import Qos
    from loom.dispatch import Handler

__all__ = ["Acknowledged", "Start", "Subscription", "acknowledged", "check_pattern"]

Start = str | int | datetime
"""Where a group begins that has not been there before: with the oldest event of the stream (``"all"``), with the next
one (``"new"``), with the event at an offset, or with the first that the server took at a time (as text: ISO 8601) or
after it. A time names its zone.
"""

_STARTS: dict[object, int] = {None: 0, "all": 0, "new": 1}
_EPOCH = datetime.fromtimestamp(0, UTC)
_MAX_UINT32 = 0xFFFF_FFFF
_MAX_UINT64 = 0xFFFF_FFFF_FFFF_FFFF


class Acknowledged(NamedTuple):
    """A share in a group; crosses the border as it is. 0 means the server's default."""

    group: str
    """Empty: a group of its own under the agent's id."""
    max_in_flight: int
    max_attempts: int
    timeout_ms: int
    start: int
    start_offset: int | None = None
    start_time_unix_nano: int | None = None


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
        given = {"group": group, "max_attempts": max_attempts or None, "start": start}
        if names := [name for name, value in given.items() if value is not None]:
            raise _invalid(f"{', '.join(names)} given without ack=True: nobody acknowledges these events")
        return None
    if group is not None and not _native.is_valid_agent_id(group):
        # An empty one would be taken for none.
        raise _invalid(f"group {group!r} is not valid: use 1 to 128 letters, digits, _, . and -")
    if not 0 <= max_attempts <= _MAX_UINT32:
        raise _invalid(f"max_attempts is {max_attempts}: it is 1 or more, or 0 for the server's default")
    name, offset, time = _place(start)
    return Acknowledged(
        group=group or "",
        # One in the handler, and one that waits for it.
        max_in_flight=min(2 * max_in_flight, _MAX_UINT32),
        max_attempts=max_attempts,
        # Rounded up: 0 would be the server's default. What is longer than seven weeks is as good as for ever.
        timeout_ms=math.ceil(min(timeout * 1000, _MAX_UINT32)),
        start=name,
        start_offset=offset,
        start_time_unix_nano=time,
    )


def _place(start: object) -> tuple[int, int | None, int | None]:
    """Name, offset and time in nanoseconds, of which one counts."""
    if start is None or (isinstance(start, str) and start in _STARTS):
        return _STARTS[start], None, None
    # True is an int, and no offset that anybody means.
    if isinstance(start, int) and not isinstance(start, bool):
        if not 0 <= start <= _MAX_UINT64:
            raise _invalid(f"start is {start}: an offset is 0 or more, and has 64 bits")
        return 0, start, None
    time = start
    if isinstance(start, str):
        try:
            time = datetime.fromisoformat(start)
        except ValueError:
            time = None
    if not isinstance(time, datetime):
        raise _invalid(f"start is {start!r}: use 'all', 'new', an offset, or a time like '2026-11-01T00:00:00Z'")
    if time.utcoffset() is None:
        # Python takes it for local time, `loom groups reset` for UTC: who reads it later cannot tell.
        raise _invalid(
            f"start is {start!r}, a time without a zone: write '2026-11-01T00:00:00Z' or datetime(…, tzinfo=UTC)"
        )
    nanoseconds = (time - _EPOCH) // timedelta(microseconds=1) * 1000
    # No event is older than 1970 or newer than 2554, so these limits change nothing.
    return 0, None, min(max(nanoseconds, 0), _MAX_UINT64)


def check_pattern(pattern: str) -> None:
    """Refuse what cannot be subscribed."""
    _native.validate_pattern(pattern)
    if pattern.startswith("_inbox."):
        # The server sends what comes there without credit, and a handler's bound is its credit.
        raise _invalid(f"{pattern} cannot be subscribed: topics below _inbox. are for the replies to requests")


def _invalid(message: str) -> InvalidAgent:
    return InvalidAgent(message, code="invalid_subscription", field="hello.subscriptions")
