"""One role process: `python -m peers.worker SPEC`."""

import asyncio
import inspect
import os
import sys
from collections.abc import Awaitable, Callable
from typing import Any

from .adapters import Adapter
from .count import Processor, Session, SubscriberGroup
from .load import Source
from .otel import OtelTracing
from .spec import Spec, say
from .systems import load_adapter


def drive(adapter: Adapter, role: Callable[..., Awaitable[None] | None], *arguments: Any) -> None:
    """Runs a role that blocks, or one on the event loop that the adapter asks for."""
    if not inspect.iscoroutinefunction(role):
        role(*arguments)
        return
    factory = None
    if adapter.uvloop:
        import uvloop

        factory = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(role(*arguments))


def main() -> None:
    spec = Spec.load(sys.argv[1])
    adapter = load_adapter(spec.system)
    adapter.attach(spec)
    tracing = OtelTracing(spec.role, spec.tracing) if spec.tracing else None

    def leave() -> None:
        if tracing:
            tracing.shutdown()

    session = Session(adapter.graceful)
    if spec.role == "publisher":
        drive(adapter, adapter.publisher, spec.topic, Source(spec, tracing))
    elif spec.role == "subscriber":
        group = SubscriberGroup(spec, session, tracing.subscriber if tracing else lambda callback: callback, leave)
        drive(adapter, adapter.subscriber, spec.topic, group.callbacks, session)
    elif spec.role == "processor":
        processor = Processor(spec, session, leave)
        handler = tracing.processor(processor.transform) if tracing else processor.handle
        drive(adapter, adapter.bridge, spec.topic, spec.out_topic, handler, session)
    elif spec.role == "idle":
        session.start(lambda: 0, lambda: None, leave)
        drive(adapter, adapter.idle, spec.subscriptions, session)
    leave()
    say("BYE")
    # A client's own threads must not keep the run waiting.
    os._exit(0)


main()
