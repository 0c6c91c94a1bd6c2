"""The counters of an agent."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from loom._client import Connection
    from loom.contract import Contracts
    from loom.dispatch import Dispatcher

__all__ = ["counted"]


def counted(connection: Connection, dispatcher: Dispatcher, contracts: Contracts) -> dict[str, int]:
    """Collect them by name."""
    return {
        **dict(connection.client.stats()),
        "rejected": connection.rejected,
        "replies_dropped": connection.replies_dropped,
        "proposals_open": len(contracts),
        "handled": dispatcher.handled,
        "failed": dispatcher.failed,
        "timed_out": dispatcher.deadlines.timed_out,
        "abandoned": dispatcher.abandoned,
    }
