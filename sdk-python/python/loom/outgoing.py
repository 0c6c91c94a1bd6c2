"""What an agent can do, inside and outside of handlers: emit, request, fan out, invoke."""

from __future__ import annotations

import asyncio
import itertools
import uuid
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

from opentelemetry.trace import use_span

from loom import _native
from loom._baggage import Baggage, baggage_of
from loom._joining import link
from loom._otel import BAGGAGE_KEY, SPAN_KEY, get_current
from loom._payload import decode, encode, encode_json, is_binary
from loom.barrier import meet
from loom.contract import CFP, Proposals, open_until
from loom.exceptions import DeadlineExceeded, LoomError
from loom.headers import trace_headers
from loom.replies import FanOut

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextlib import AbstractContextManager

    from opentelemetry.context import Context as OtelContext

    from loom._client import Connection
    from loom._spans import Spans

__all__ = ["DEFAULT_TIMEOUT", "Emitter", "Outgoing"]

DEFAULT_TIMEOUT = 30.0
"""Seconds that a request or a call waits for its answer, unless told otherwise."""
_GRACE = 1.0
"""Seconds beyond a call's deadline: the server's own answer says more than ours."""

_NativeSpan = _native.Span


class Emitter:
    """The outgoing side of an agent. One for the agent; every handler's context borrows from it."""

    def __init__(
        self,
        connection: Connection,
        spans: Spans,
        *,
        inbox: str,
        emit_timeout: float | None,
        capture_content: bool = False,
    ) -> None:
        self.connection = connection
        self.publish = connection.client.publish
        self.client = connection.client
        self.spans = spans
        self.makes_producer_spans = spans.makes_producers
        self.inbox = inbox
        self.emit_timeout = emit_timeout
        self.capture_content = capture_content
        self.loop = asyncio.get_running_loop()
        self.parked: Callable[[], AbstractContextManager[None]] = nullcontext
        self.call_ids = itertools.count(1)


class Outgoing:
    """Emit, request, fan out and invoke; shared by ``Context`` and ``Agent``."""

    __slots__ = ("_emitter", "_event")

    _emitter: Emitter
    _event: _native.Event | None

    async def emit(
        self,
        topic: str,
        *,
        type: str = "",
        payload: Any = b"",
        thread_id: str | None = None,
        correlation_id: str | None = None,
        reply_to: str | None = None,
        ttl: int | None = None,
        metadata: Mapping[str, str] | None = None,
        confirm: bool = False,
        timeout: float | None = None,
    ) -> str:
        """Publish an event and return its id.

        Bytes are sent as they are, text as UTF-8, everything else as JSON. Inside a handler the event continues the
        conversation and the trace of the handled one. The call returns when the event is taken into the outgoing
        buffer, and waits while that is full; with ``confirm`` it returns when the event is on the bus.

        Raises:
            InvalidEvent: A rule is broken; the message names the field.
            DeadlineExceeded: No room, or no confirmation, within ``timeout`` seconds.

        """
        if payload.__class__ is bytes:
            content_type = ""
        else:
            payload, content_type = encode(payload)
        current = get_current()
        span: Any = current.get(SPAN_KEY)
        baggage: Any = current.get(BAGGAGE_KEY)
        if (
            (span.__class__ is _NativeSpan or (span is None and not self._emitter.makes_producer_spans))
            and (baggage is None or baggage.__class__ is Baggage)
            and thread_id is None
            and correlation_id is None
            and reply_to is None
            and ttl is None
            and metadata is None
            and not confirm
        ):
            stamp = None if baggage is None else baggage.stamp
            event_id = self._emitter.publish(topic, type, payload, content_type, span, self._event, stamp, None)
            if event_id is not None:
                return event_id
        extra = (thread_id, correlation_id, reply_to, ttl, dict(metadata) if metadata else None)
        return await self._emit_slowly(topic, type, payload, content_type, extra, confirm=confirm, timeout=timeout)

    async def _emit_slowly(
        self,
        topic: str,
        type: str,
        payload: bytes,
        content_type: str,
        fields: tuple[str | None, str | None, str | None, int | None, dict[str, str] | None],
        *,
        confirm: bool,
        timeout: float | None,
    ) -> str:
        emitter = self._emitter
        current = get_current()
        span: Any = current.get(SPAN_KEY)
        producer = None
        if emitter.makes_producer_spans and not _is_valid(span):
            producer = span = emitter.spans.producer(topic)
        try:
            native, traceparent, tracestate = _trace_of(span, current)
            extra = (*fields, traceparent, tracestate)
            cause, stamp = self._event, baggage_of(current).stamp

            def publish() -> str | tuple[str, int] | None:
                return emitter.publish(topic, type, payload, content_type, native, cause, stamp, extra, confirm)

            limit = emitter.emit_timeout if timeout is None else timeout
            try:
                async with asyncio.timeout(limit):
                    return await self._publish(publish)
            except TimeoutError as error:
                if isinstance(error, LoomError):
                    raise
                raise DeadlineExceeded(
                    f"the event on {topic} was not taken within {limit} s: the server is away or too slow"
                ) from None
        except Exception as error:
            if producer is not None:
                producer.record_exception(error)
            raise
        finally:
            if producer is not None:
                producer.end()

    async def _publish(self, publish: Callable[[], str | tuple[str, int] | None]) -> str:
        connection = self._emitter.connection
        while (taken := publish()) is None:
            await connection.room()
        if isinstance(taken, str):
            return taken
        event_id, number = taken
        await connection.confirmed(number)
        return event_id

    async def request(
        self,
        topic: str,
        payload: Any = b"",
        *,
        type: str = "",
        timeout: float = DEFAULT_TIMEOUT,
        thread_id: str | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> _native.Event:
        """Publish an event and return the first reply to it; works inside handlers as well.

        Raises:
            DeadlineExceeded: Nobody has replied within ``timeout`` seconds.
            EventExpired: The event has made too many hops; and whatever else the server refuses it for.

        """
        emitter = self._emitter
        requests = emitter.connection.requests
        correlation_id = uuid.uuid4().hex
        reply = requests.open(correlation_id, emitter.loop)
        try:
            async with asyncio.timeout(timeout):
                event_id = await self.emit(
                    topic,
                    type=type,
                    payload=payload,
                    thread_id=thread_id,
                    correlation_id=correlation_id,
                    reply_to=emitter.inbox,
                    metadata=metadata,
                )
                requests.asked_with(correlation_id, event_id)
                event: _native.Event = await reply
        except TimeoutError as error:
            if isinstance(error, LoomError):
                raise
            raise DeadlineExceeded(f"nobody replied to the request on {topic} within {timeout} s") from None
        finally:
            requests.close(correlation_id)
        link(self._joining_span, (event,))
        return event

    def fan_out(
        self,
        topic: str,
        payload: Any = b"",
        *,
        n: int | None = None,
        type: str = "",
        timeout: float = DEFAULT_TIMEOUT,
        thread_id: str | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> FanOut:
        """Publish one request and gather the replies of many: the first ``n``, or all that come in ``timeout`` seconds.

        ``await`` returns ``Replies``, and no error when some are missing: ``is_complete`` and ``missing`` tell. To take
        replies as they come, see ``FanOut``. One reply of each agent counts.

        Raises:
            DeadlineExceeded: The request itself was not taken within ``timeout`` seconds.
            EventExpired: It has made too many hops; and whatever else the server refuses it for.

        """
        emitter = self._emitter

        async def send(correlation_id: str) -> str:
            return await self.emit(
                topic,
                type=type,
                payload=payload,
                thread_id=thread_id,
                correlation_id=correlation_id,
                reply_to=emitter.inbox,
                metadata=metadata,
                timeout=timeout,
            )

        return FanOut(emitter.connection.requests, send, self._joining_span, n=n, timeout=timeout)

    async def call_for_proposals(
        self,
        topic: str,
        task: Any = b"",
        *,
        n: int | None = None,
        timeout: float = DEFAULT_TIMEOUT,
        open_for: float = 60.0,
        thread_id: str | None = None,
    ) -> Proposals:
        """Ask who would do a task, and return the proposals of ``n`` agents, or of all that answer in time.

        ``await proposals.award(best)`` gives the task to one of them and returns its result. Proposals that are neither
        awarded nor rejected stay open for ``open_for`` seconds, at most a day.

        Raises:
            DeadlineExceeded: The call itself was not taken within ``timeout`` seconds.

        """
        replies = await self.fan_out(
            topic, task, n=n, type=CFP, timeout=timeout, thread_id=thread_id, metadata=open_until(open_for)
        )
        return Proposals(self, replies)

    async def barrier(self, name: str, parties: int, *, timeout: float = DEFAULT_TIMEOUT) -> int:
        """Wait until so many parties have come to the barrier of this name; return how many had come before this one.

        All go on when the last has come, and the next one to come begins the next round. Who dies, is cancelled or
        gives up while it waits has not come.

        Raises:
            DeadlineExceeded: Too few came within ``timeout`` seconds; the message says how many.
            InvalidEvent: The others wait for another number of parties.

        """
        return await meet(self._emitter, self.invoke, name, parties, timeout)

    @property
    def _joining_span(self) -> Any:
        """The span of the work that waits for replies."""
        return get_current().get(SPAN_KEY)

    async def invoke(self, capability: str, args: Any = None, *, timeout: float = DEFAULT_TIMEOUT) -> Any:
        """Call a capability of whichever agent provides it, and return its result.

        Arguments and result are JSON, or bytes. A cancelled caller cancels the call.

        Raises:
            UnknownCapability: Nobody provides it.
            ProviderGone: The provider left before it answered.
            DeadlineExceeded: No answer within ``timeout`` seconds; the provider was told to stop.
            HandlerFailed: The provider's handler failed.

        """
        emitter = self._emitter
        connection = emitter.connection
        if is_binary(args):
            content, content_type = bytes(args), "application/octet-stream"
        else:
            content, content_type = encode_json(args), "application/json"
        current = get_current()
        headers = trace_headers(current)
        if baggage := baggage_of(current).header:
            headers["baggage"] = baggage
        call_id = next(emitter.call_ids)
        answer = connection.calls.open(call_id, emitter.loop)
        is_sent = False
        try:
            async with asyncio.timeout(timeout + _GRACE):
                await connection.connected()
                milliseconds = max(1, min(round(timeout * 1000), 0xFFFF_FFFF))
                emitter.client.call(call_id, capability, content, content_type, headers, milliseconds)
                is_sent = True
                result, result_type = await answer
                is_sent = False
                return decode(result, result_type)
        except LoomError:
            is_sent = False
            raise
        except TimeoutError:
            raise DeadlineExceeded(f"{capability} was not answered within {timeout} s") from None
        finally:
            connection.calls.close(call_id)
            if is_sent:
                emitter.client.cancel_call(call_id)


def _is_valid(span: Any) -> bool:
    return span is not None and span.get_span_context().is_valid


def _trace_of(span: Any, current: OtelContext) -> tuple[_native.Span | None, str | None, str | None]:
    """Return a native span as it is, and any other as headers."""
    if span is None or span.__class__ is _NativeSpan:
        return span, None, None
    if span is not current.get(SPAN_KEY):
        with use_span(span):
            headers = trace_headers(get_current())
    else:
        headers = trace_headers(current)
    # An empty traceparent says that there is a span and that it has no trace: no other one is made up.
    return None, headers.get("traceparent", ""), headers.get("tracestate")
