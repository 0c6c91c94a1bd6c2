"""Serving calls of other agents."""

from __future__ import annotations

import asyncio
import logging
import math
from typing import TYPE_CHECKING, NamedTuple

from opentelemetry.context import Context as OtelContext

from loom._baggage import handled
from loom._deadlines import Running
from loom._otel import BAGGAGE_KEY, SPAN_KEY
from loom._outcome import record_failure
from loom._payload import decode, encode_json, is_binary
from loom.dispatch import Handler, Work
from loom.exceptions import LoomError
from loom.handler import Context
from loom.semconv import attribute, header

if TYPE_CHECKING:
    from collections.abc import Mapping

    from opentelemetry import trace

    from loom._spans import Spans
    from loom.dispatch import Dispatcher
    from loom.outgoing import Emitter

__all__ = ["ActionServer", "Capability"]

_log = logging.getLogger("loom")

_MAX_OPEN = 1024
"""Calls that one agent serves at once; more are refused, and the caller is told."""


class Capability(NamedTuple):
    """Something that other agents may call."""

    name: str
    handler: Handler
    description: str = ""
    input_schema: str = ""
    """JSON Schema of the arguments, as text; empty where none was declared."""


class ActionServer:
    """Runs one task per call. All of it belongs to the event loop's thread."""

    def __init__(
        self,
        agent_id: str,
        capabilities: Mapping[str, Capability],
        dispatcher: Dispatcher,
        spans: Spans,
        emitter: Emitter,
    ) -> None:
        self._agent_id = agent_id
        self._capabilities = capabilities
        self._dispatcher = dispatcher
        self._spans = spans
        self._emitter = emitter
        self._client = emitter.client
        self._deadlines = dispatcher.deadlines
        self._open: dict[int, Running] = {}

    def call(
        self, call_id: int, capability: str, args: bytes, content_type: str, headers: Mapping[str, str], caller: str
    ) -> None:
        """Begin to serve a call."""
        if len(self._open) >= _MAX_OPEN:
            message = f"{len(self._open)} calls are being served already; try again later"
            self._client.answer_error(call_id, "rate_limited", message)
            return
        known = self._capabilities.get(capability)
        running = Running(math.inf if known is None else known.handler.timeout)
        served = self._serve(running, call_id, capability, args, content_type, headers, caller)
        task = running.task = self._emitter.loop.create_task(served, name=f"loom-call-{capability}")
        self._open[call_id] = running
        self._deadlines.enter(running)
        # Not at the end of the coroutine: one that is cancelled before it has begun has no end.
        task.add_done_callback(lambda _: self._ended(call_id, running))

    def call_cancelled(self, call_id: int, *, timed_out: bool) -> None:
        """Nobody waits for the answer any more."""
        if (running := self._open.get(call_id)) is None:
            return
        if timed_out:
            running.expire("its caller waited no longer")
        else:
            running.cancel()

    def _ended(self, call_id: int, running: Running) -> None:
        self._deadlines.leave(running)
        self._open.pop(call_id, None)

    def disconnected(self) -> None:
        """No answer can reach its caller any more."""
        for running in self._open.values():
            running.cancel()

    async def rest(self) -> None:
        """Wait until every call is answered."""
        if tasks := [running.task for running in self._open.values() if running.task is not None]:
            await asyncio.wait(tasks)

    async def stop(self) -> None:
        """Cancel what is being served."""
        self.disconnected()
        await self.rest()

    async def _serve(
        self,
        running: Running,
        call_id: int,
        name: str,
        args: bytes,
        content_type: str,
        headers: Mapping[str, str],
        caller: str,
    ) -> None:
        baggage = handled(self._agent_id, headers.get(header.BAGGAGE, ""))
        span = self._spans.begin_call(name, caller, headers, baggage.stamp)
        running.context = context = Context(self._emitter, None, span, caller)
        otel = OtelContext({SPAN_KEY: span, BAGGAGE_KEY: baggage})
        try:
            result, result_type = await self._run(name, args, content_type, context, otel)
            running.check()
            self._client.answer(call_id, result, result_type)
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - whatever a handler raises is the answer
            if running.is_over:
                span.set_attribute(attribute.EXECUTION_STATE, "TIMEOUT")
            self._failed(call_id, name, caller, span, running.explain(error))
        finally:
            span.end()

    def _failed(self, call_id: int, name: str, caller: str, span: trace.Span, error: BaseException) -> None:
        record_failure(span, error)
        if isinstance(error, asyncio.CancelledError):
            self._answer_error(call_id, "cancelled", f"{name} was cancelled")
            return
        code = error.code if isinstance(error, LoomError) else "handler_failed"
        message = str(error) if isinstance(error, LoomError) else f"{type(error).__name__}: {error}"
        self._answer_error(call_id, code, message)
        context = span.get_span_context()
        ids = {"trace_id": f"{context.trace_id:032x}", "span_id": f"{context.span_id:016x}"}
        _log.error(
            "the capability %s failed for agent %s: %s [trace_id=%s span_id=%s]",
            name,
            caller,
            message,
            ids["trace_id"],
            ids["span_id"],
            exc_info=error,
            extra=ids,
        )

    async def _run(
        self, name: str, args: bytes, content_type: str, context: Context, otel: OtelContext
    ) -> tuple[bytes, str]:
        capability = self._capabilities.get(name)
        if capability is None:
            raise LoomError(f"this agent does not provide {name}", code="unknown_capability")
        try:
            arguments = decode(args, content_type or "application/json")
        except ValueError as error:
            raise LoomError(f"the arguments are no JSON: {error}", code="invalid_event") from error
        result = await self._dispatcher.run(Work(capability.handler, (context, arguments), otel))
        if is_binary(result):
            return bytes(result), "application/octet-stream"
        return encode_json(result), "application/json"

    def _answer_error(self, call_id: int, code: str, message: str) -> None:
        try:
            self._client.answer_error(call_id, code, message)
        except LoomError:
            # The answer finds no room; the caller has its deadline.
            _log.warning("the answer to a call could not be sent: %s", message)
