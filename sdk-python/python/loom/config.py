"""The environment variables that the SDK reads, each once, and what an agent is made of."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from enum import IntEnum

from loom.contents import is_captured_by_environment

__all__ = [
    "ADDRESS",
    "DEFAULT_ADDRESS",
    "TELEMETRY_AUTO",
    "TOKEN",
    "Qos",
    "Settings",
]

ADDRESS = "LOOM_ADDRESS"
"""Address of the bridge, ``host:port``; default ``127.0.0.1:50051``."""
TOKEN = "LOOM_TOKEN"  # noqa: S105 - the name of a variable
"""Token of the server, where it wants one."""
TELEMETRY_AUTO = "LOOM_TELEMETRY_AUTO"
"""``0``: an Agent does not set up telemetry by itself."""

DEFAULT_ADDRESS = "127.0.0.1:50051"
_LONGEST_HEARTBEAT = 24 * 3600
"""Seconds."""


class Qos(IntEnum):
    """What a full mailbox of a subscription does."""

    REALTIME = 1
    """Drop its oldest event, and count it."""
    BATCHED = 2
    """Make the publisher wait."""
    BACKGROUND = 3
    """Make the publisher wait; large, and served after the others."""

    @classmethod
    def of(cls, value: Qos | str) -> Qos:
        """Read ``realtime``, ``batched`` or ``background``."""
        if isinstance(value, cls):
            return value
        try:
            return cls[str(value).upper()]
        except KeyError:
            known = ", ".join(qos.name.lower() for qos in cls)
            raise ValueError(f"qos {value!r} is not known: use {known}") from None


@dataclass(frozen=True, slots=True)
class Settings:
    """Where an agent connects, and its bounds."""

    address: str
    token: str
    max_in_flight: int
    """Handlers that run at once."""
    credit: int
    """Deliveries that may be in this process and not handled."""
    buffer_bytes: int
    """Published bytes that may be without acknowledgement."""
    emit_timeout: float | None
    """Seconds that an emit may wait for room; None waits as long as it takes."""
    stop_timeout: float
    """Seconds that a stop may take."""
    capture_content: bool
    """Whether spans carry what handlers think and with what they call tools."""
    heartbeat_ms: tuple[int, int]
    """How often the agent says that it lives, and after how much silence it is lost; 0 leaves it to the server."""

    @classmethod
    def from_environment(
        cls,
        *,
        address: str | None,
        token: str | None,
        max_in_flight: int,
        credit: int,
        buffer_bytes: int,
        emit_timeout: float | None,
        stop_timeout: float,
        heartbeat: float,
        heartbeat_timeout: float,
        capture_content: bool | None,
    ) -> Settings:
        """Fill in what was not given, and check the rest."""
        for name, value in (("max_in_flight", max_in_flight), ("credit", credit), ("buffer_bytes", buffer_bytes)):
            if value < 1:
                raise ValueError(f"{name} is {value}: it must be at least 1")
        for name, seconds in (("heartbeat", heartbeat), ("heartbeat_timeout", heartbeat_timeout)):
            if not 0 <= seconds <= _LONGEST_HEARTBEAT:
                raise ValueError(f"{name} is {seconds}: it is a number of seconds, or 0 for the server's default")
        return cls(
            address=address or os.environ.get(ADDRESS) or DEFAULT_ADDRESS,
            token=token if token is not None else os.environ.get(TOKEN, ""),
            max_in_flight=max_in_flight,
            credit=credit,
            buffer_bytes=buffer_bytes,
            emit_timeout=emit_timeout,
            stop_timeout=stop_timeout,
            capture_content=is_captured_by_environment() if capture_content is None else capture_content,
            # Rounded up: 0 would be the server's default.
            heartbeat_ms=(math.ceil(heartbeat * 1000), math.ceil(heartbeat_timeout * 1000)),
        )
