"""Loom: agents on an event bus that knows the trace.

    from loom import Agent

    agent = Agent("greeter")

    @agent.on("guest.arrived")
    async def greet(ctx, topic, event):
        await ctx.emit("guest.greeted", payload={"hello": event.json()["name"]})

    agent.run()

Start a server with ``loom up``; every event's way through every process is one OpenTelemetry trace.
"""

from __future__ import annotations

import atexit
import logging
import os

from loom import _native
from loom._client import ConnectionChange
from loom._native import Event
from loom.agent import Agent
from loom.blocking import BlockingContext
from loom.carrying import aiter, carried  # noqa: A004 - the builtin's job, in a context
from loom.config import Qos
from loom.contents import set_content_rule
from loom.contract import Proposal, Proposals
from loom.envelope import Envelope
from loom.exceptions import (
    AgentIdInUse,
    Cancelled,
    ConnectionLost,
    DeadlineExceeded,
    EventExpired,
    EventTooLarge,
    HandlerFailed,
    InvalidAgent,
    InvalidEvent,
    LoomError,
    NotStored,
    Overloaded,
    PermissionDenied,
    ProtocolError,
    ProviderGone,
    UnknownCapability,
)
from loom.handler import Context
from loom.headers import from_environment, from_headers, to_environment, to_headers
from loom.identity import Identity, context, get_current_context, set_current_context
from loom.instrument import instrument
from loom.join import Joined
from loom.logs import install_log_context
from loom.replies import FanOut, Replies
from loom.signals import Reject, Retry
from loom.stamping import IdentitySpanProcessor
from loom.telemetry import (
    TelemetryReport,
    TracerProvider,
    forward_logs,
    init_telemetry,
    shutdown_telemetry,
    telemetry_stats,
)
from loom.traced import tool, traced
from loom.workflow import workflow

__all__ = [
    "Agent",
    "AgentIdInUse",
    "BlockingContext",
    "Cancelled",
    "ConnectionChange",
    "ConnectionLost",
    "Context",
    "DeadlineExceeded",
    "Envelope",
    "Event",
    "EventExpired",
    "EventTooLarge",
    "FanOut",
    "HandlerFailed",
    "Identity",
    "IdentitySpanProcessor",
    "InvalidAgent",
    "InvalidEvent",
    "Joined",
    "LoomError",
    "NotStored",
    "Overloaded",
    "PermissionDenied",
    "Proposal",
    "Proposals",
    "ProtocolError",
    "ProviderGone",
    "Qos",
    "Reject",
    "Replies",
    "Retry",
    "TelemetryReport",
    "TracerProvider",
    "UnknownCapability",
    "__version__",
    "aiter",
    "carried",
    "context",
    "from_environment",
    "from_headers",
    "get_current_context",
    "init_telemetry",
    "install_log_context",
    "instrument",
    "set_content_rule",
    "set_current_context",
    "shutdown_telemetry",
    "telemetry_stats",
    "to_environment",
    "to_headers",
    "tool",
    "traced",
    "workflow",
]

__version__ = _native.__version__

_EXIT_SECONDS = 2.0


def _at_exit() -> None:
    """Send and flush what is left; the native threads end before the interpreter does."""
    report = _native.leave_process(_EXIT_SECONDS)
    forward_logs()
    if report is not None:
        logging.getLogger("loom").warning("not every span left the process: %s", report[5])


atexit.register(_at_exit)
os.register_at_fork(after_in_child=_native.after_fork_in_child)
