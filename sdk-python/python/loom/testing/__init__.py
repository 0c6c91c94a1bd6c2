"""For tests of agents: the real server on free ports, the spans of a test, and trees to compare traces with.

with LoomServer() as server:
    agent = Agent("greeter", address=server.bridge)

With pytest there are fixtures for it, ``loom_server`` and ``loom_spans``; see ``docs/testing.md``.
"""

from __future__ import annotations

from loom.testing.server import LoomServer
from loom.testing.spans import LoomSpans, SpanLink, SpanRecord
from loom.testing.tree import ExpectedSpan
from loom.testing.unequal import assert_trace

__all__ = ["ExpectedSpan", "LoomServer", "LoomSpans", "SpanLink", "SpanRecord", "assert_trace"]
