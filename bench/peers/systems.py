"""Every system under its name: the adapter's module, its options, and how many events a workload needs of it."""

import importlib
from dataclasses import dataclass, field
from typing import Any

from .adapters import Adapter


@dataclass(frozen=True)
class System:
    module: str
    options: dict[str, Any] = field(default_factory=dict)
    events: dict[str, int] = field(default_factory=dict)
    """By workload, where the default is too short or too long for this system."""


SYSTEMS = {
    "loom": System("loom_bus", {}, {"W1": 1_000_000, "W3": 300_000}),
    "loom-asyncio": System("loom_bus", {"uvloop": False}, {"W1": 1_000_000, "W3": 300_000}),
    "loom-recorded": System("loom_bus", {"recorded": True}, {"W1": 500_000}),
    "loom-stream": System("loom_bus", {"kept": True}),
    "loom-verified": System("loom_bus", {"recorded": True, "kept": True, "verified": True}, {"W3": 500_000}),
    # peers
    "nats": System("nats_bus"),
    "nats-asyncio": System("nats_bus", {"uvloop": False}),
    "jetstream": System("jetstream"),
    "redis-streams": System("redis_streams"),
    "redis-streams-fsync": System("redis_streams", {"fsync": "always"}),
    "zenoh": System("zenoh_bus", {}, {"W1": 500_000}),
    "zenoh-callback": System("zenoh_bus", {"channel": False}),
    "zmq": System("zmq_bus"),
    # the machine's limit: a relay that only copies bytes
    "tcp-py": System("tcp_raw"),
    "tcp-py-batched": System("tcp_raw", {"batch": 64}, {"W1": 1_000_000}),
}


def load_adapter(name: str) -> Adapter:
    """A fresh adapter; its own third-party modules are imported when a role uses them."""
    system = SYSTEMS[name]
    adapter: Adapter = importlib.import_module(f"peers.adapters.{system.module}").Client(**system.options)
    return adapter
