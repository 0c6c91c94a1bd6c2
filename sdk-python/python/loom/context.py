"""What a handler is given, and what an agent can do outside of handlers: emit, request, reply, invoke."""

from __future__ import annotations

import asyncio
import itertools
import uuid
from typing import TYPE_CHECKING, Any, TypeVar

from opentelemetry.trace import Span, use_span

from loom import _native
from loom._otel import SPAN_KEY, baggage_header, get_current
from loom._payload import decode, encode, encode_json, is_binary
from loom._spans import trace_headers
from loom.exceptions import ConnectionLost, DeadlineExceeded, InvalidEvent, LoomError
from loom.lifecycle import Tool, tell_thought

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping

    from opentelemetry.context import Context as OtelContext

    from loom._client import Connection
    from loom._spans import Spans

__all__ = ["BlockingContext", "Context", "Emitter"]

DEFAULT_TIMEOUT = 30.0
"""Seconds that a request or a call waits for its answer, unless told otherwise."""
_GRACE = 1.0
"""Seconds beyond a call's deadline: the server's own answer says more than ours."""

_NativeSpan = _native.Span

R = TypeVar("R")


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
        self.call_ids = itertools.count(1)


class Outgoing:
    """Emit, request and invoke; shared by ``Context`` and ``Agent``."""

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
        if (
            (span.__class__ is _NativeSpan or (span is None and not self._emitter.makes_producer_spans))
            # One entry is the span; a second one may be baggage.
            and len(current) <= 1
            and thread_id is None
            and correlation_id is None
            and reply_to is None
            and ttl is None
            and metadata is None
            and not confirm
        ):
            event_id = self._emitter.publish(topic, type, payload, content_type, span, self._event, None)
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
            extra = (*fields, traceparent, tracestate, baggage_header(current))
            cause = self._event

            def publish() -> str | tuple[str, int] | None:
                return emitter.publish(topic, type, payload, content_type, native, cause, extra, confirm)

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

        """
        emitter = self._emitter
        requests = emitter.connection.requests
        correlation_id = uuid.uuid4().hex
        reply = requests.open(correlation_id, emitter.loop)
        try:
            async with asyncio.timeout(timeout):
                await self.emit(
                    topic,
                    type=type,
                    payload=payload,
                    thread_id=thread_id,
                    correlation_id=correlation_id,
                    reply_to=emitter.inbox,
                    metadata=metadata,
                )
                event: _native.Event = await reply
                return event
        except TimeoutError as error:
            if isinstance(error, LoomError):
                raise
            raise DeadlineExceeded(f"nobody replied to the request on {topic} within {timeout} s") from None
        finally:
            requests.close(correlation_id)

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
        if (baggage := baggage_header(current)) is not None:
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


class Context(Outgoing):
    """What a handler is given: the agent's way out, the handled event, and its span."""

    __slots__ = ("_is_given_up", "caller", "span")

    _is_given_up: bool
    span: Span
    """The span of this handler; the current one while it runs."""
    caller: str
    """Agent id of a call's caller; empty in handlers of events."""

    def __init__(self, emitter: Emitter, event: _native.Event | None, span: Any, caller: str = "") -> None:
        self._emitter = emitter
        self._event = event
        self.span = span
        self.caller = caller

    @property
    def event(self) -> _native.Event:
        """The handled event."""
        if self._event is None:
            raise LoomError("a call has no event: its arguments are the handler's second parameter")
        return self._event

    @property
    def is_cancelled(self) -> bool:
        """Nobody waits for this handler any more: its time is up, or its caller has gone.

        An ``async`` handler is cancelled then. A plain function runs in a thread, which cannot be stopped from outside:
        a long one looks here now and then, and returns.
        """
        # Not set at the start: few handlers ask.
        return getattr(self, "_is_given_up", False)

    def thinking(self, text: str | None = None) -> None:
        """Tell that the handler thinks: ``agent_thinking`` on its span, with the text only if the agent captures it."""
        tell_thought(self.span, text, capture_content=self._emitter.capture_content)

    def tool(self, name: str, /, **arguments: Any) -> Tool:
        """Use a tool: ``with ctx.tool("search", query=text):``, or ``async with``.

        The block is a span ``execute_tool NAME`` and the current one, between ``tool_executing`` and
        ``tool_completed`` on the handler's span. The arguments are recorded only if the agent captures contents; the
        tool itself is the caller's to call.
        """
        return Tool(self.span, name, arguments, capture_content=self._emitter.capture_content)

    def give_up(self) -> None:
        """Tell the handler that nobody waits for it. For the agent."""
        self._is_given_up = True

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The event loop of the agent."""
        return self._emitter.loop

    @property
    def blocking(self) -> BlockingContext:
        """The same for handlers that are plain functions, which run in a thread."""
        return BlockingContext(self)

    async def reply(
        self,
        payload: Any = b"",
        *,
        to: _native.Event | None = None,
        type: str = "",
        metadata: Mapping[str, str] | None = None,
    ) -> str:
        """Answer the handled event, or ``to``, where its producer awaits an answer.

        Raises:
            InvalidEvent: The event's producer awaits none.

        """
        event = self.event if to is None else to
        if not event.reply_to:
            raise InvalidEvent(
                f"nobody awaits a reply to the event {event.id} on {event.topic}: it was emitted, not requested",
                field="event.envelope.reply_to",
            )
        return await self.emit(
            event.reply_to,
            type=type,
            payload=payload,
            correlation_id=event.correlation_id or None,
            thread_id=event.thread_id or None,
            metadata=metadata,
        )


class BlockingContext:
    """``emit``, ``request``, ``reply`` and ``invoke`` for a thread: each waits until it is done."""

    __slots__ = ("_context",)

    def __init__(self, context: Context) -> None:
        self._context = context

    def emit(self, topic: str, **options: Any) -> str:
        """See ``Context.emit``."""
        return self._run(self._context.emit(topic, **options))

    def request(self, topic: str, payload: Any = b"", **options: Any) -> _native.Event:
        """See ``Context.request``."""
        return self._run(self._context.request(topic, payload, **options))

    def reply(self, payload: Any = b"", **options: Any) -> str:
        """See ``Context.reply``."""
        return self._run(self._context.reply(payload, **options))

    def invoke(self, capability: str, args: Any = None, **options: Any) -> Any:
        """See ``Context.invoke``."""
        return self._run(self._context.invoke(capability, args, **options))

    def _run(self, running: Coroutine[Any, Any, R]) -> R:
        loop = self._context.loop
        try:
            is_on_loop = asyncio.get_running_loop() is loop
        except RuntimeError:
            is_on_loop = False
        if is_on_loop:
            running.close()
            raise LoomError(
                "ctx.blocking would wait for the event loop on the event loop: await the method of ctx itself"
            )
        if loop.is_closed():
            running.close()
            raise ConnectionLost("the agent has been stopped")
        # The callback that starts the coroutine runs in a copy of this thread's context, the current span with it.
        return asyncio.run_coroutine_threadsafe(running, loop).result()


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
