"""A span for each request, in the client's trace, and whom it is about."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.semconv.attributes import http_attributes

from loom._otel import BAGGAGE_KEY, get_current, own_tracer, set_current
from loom.asgi.requests import attributes_of, context_headers, route_of, span_name
from loom.faults import fault
from loom.headers import W3C, from_headers, trace_headers
from loom.identity import Identity, context
from loom.semconv import attribute, header
from loom.stamping import identity_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from loom.asgi.types import App, Identify, Message, Receive, Scope, Send

__all__ = ["LoomMiddleware"]

_FIELDS = frozenset(Identity.__dataclass_fields__) - {"baggage"}
_SWITCHING_PROTOCOLS = 101
_FORBIDDEN = 403
_SERVER_ERROR = 500
_RESPONSE_HEADER = b"traceresponse"


class LoomMiddleware:
    """ASGI middleware: ``app.add_middleware(LoomMiddleware)``, or ``LoomMiddleware(app)``.

    ``identify(scope)``, a plain or an async function, returns whom a request is about: fields of ``loom.context``, such
    as ``{"user_id": …}``, and others, which become baggage. It goes before what the client's headers say, and when it
    fails the request goes on without.

    ``accept_baggage=False`` is for services that strangers can reach: who sends baggage says on whose behalf the work
    is done. ``trace_response`` tells clients their trace in the header ``traceresponse``. ``excluded`` paths, such as
    that of a health check, have no span.
    """

    def __init__(
        self,
        app: App,
        *,
        identify: Identify | None = None,
        accept_baggage: bool = True,
        trace_response: bool = False,
        excluded: Iterable[str] = (),
    ) -> None:
        self._app = app
        self._identify = identify
        self._accept_baggage = accept_baggage
        self._trace_response = trace_response
        self._excluded = frozenset(excluded)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request, or whatever else there is to serve."""
        if scope["type"] not in ("http", "websocket") or scope["path"] in self._excluded:
            await self._app(scope, receive, send)
            return
        identity = await self._identified(scope)
        current = trace.get_current_span()
        headers = context_headers(scope, with_baggage=self._accept_baggage)
        if _is_request(current, headers):
            # FastAPI itself or an instrumentation has begun a span and taken the headers: what is left is whom it is
            # about.
            with _Without(BAGGAGE_KEY, is_wanted=not self._accept_baggage), context(**identity):
                current.set_attributes(dict(identity_of(get_current())))
                await self._app(scope, receive, _telling(current, send) if self._trace_response else send)
            return
        with from_headers(headers), context(**identity):
            name, attributes = span_name(scope, None), attributes_of(scope)
            span = own_tracer().start_span(name, kind=trace.SpanKind.SERVER, attributes=attributes)
            request = _Request(span, scope, _telling(span, send) if self._trace_response else send)
            try:
                with trace.use_span(span, record_exception=False, set_status_on_exception=False):
                    await self._app(scope, receive, request.send)
            except Exception as error:
                request.fail(error)
                raise
            finally:
                request.end()

    async def _identified(self, scope: Scope) -> dict[str, Any]:
        if self._identify is None:
            return {}
        try:
            found = self._identify(scope)
            said: Mapping[str, object] = await found if inspect.isawaitable(found) else found
            own = {key: value for key, value in said.items() if key in _FIELDS}
            return {**own, "baggage": {key: value for key, value in said.items() if key not in _FIELDS}}
        except Exception as error:  # noqa: BLE001 - a request is worth more than its identity
            fault("identify", error)
            return {}


class _Request:
    """What becomes of a request, told by the messages of its response."""

    __slots__ = ("_has_ended", "_has_started", "_scope", "_send", "_span")

    def __init__(self, span: trace.Span, scope: Scope, send: Send) -> None:
        self._span = span
        self._scope = scope
        self._send = send
        self._has_started = False
        self._has_ended = False

    async def send(self, message: Message) -> None:
        """Pass a message on."""
        kind = message["type"]
        if kind in ("http.response.start", "websocket.http.response.start"):
            self._start(message["status"])
        elif kind == "websocket.accept":
            self._start(_SWITCHING_PROTOCOLS)
        elif kind == "websocket.close" and not self._has_started:
            self._start(_FORBIDDEN)
        await self._send(message)
        # What an application does after its response (background tasks) is in the trace, and no part of the response.
        if kind == "http.response.body" and not message.get("more_body", False):
            self.end()

    def fail(self, error: Exception) -> None:
        """Record a failure of the application; the server answers for it, if nothing was answered yet."""
        if self._has_ended:
            return
        if not self._has_started:
            self._start(_SERVER_ERROR)
        self._span.record_exception(error)
        self._span.set_attribute(attribute.ERROR_TYPE, type(error).__qualname__)
        self._span.set_status(trace.StatusCode.ERROR, f"{type(error).__name__}: {error}")

    def end(self) -> None:
        """End the span, once."""
        if not self._has_ended:
            self._has_ended = True
            self._span.end()

    def _start(self, status: int) -> None:
        self._has_started = True
        span = self._span
        span.set_attribute(http_attributes.HTTP_RESPONSE_STATUS_CODE, status)
        route = route_of(self._scope)
        if route is not None:
            span.set_attribute(http_attributes.HTTP_ROUTE, route)
            span.update_name(span_name(self._scope, route))
        if status >= _SERVER_ERROR:
            # What the client has done wrong is no error of this service.
            span.set_attribute(attribute.ERROR_TYPE, str(status))
            span.set_status(trace.StatusCode.ERROR)


def _telling(span: trace.Span, send: Send) -> Send:
    """Tell the client its trace, in the header that W3C's Trace Context, level 2, has for it."""

    async def tell(message: Message) -> None:
        if message["type"] in ("http.response.start", "websocket.accept", "websocket.http.response.start"):
            traceparent = trace_headers(trace.set_span_in_context(span)).get(header.TRACEPARENT)
            if traceparent is not None:
                headers = [*message.get("headers", ()), (_RESPONSE_HEADER, traceparent.encode())]
                message = {**message, "headers": headers}
        await send(message)

    return tell


def _is_request(span: trace.Span, headers: Mapping[str, str]) -> bool:
    """Tell whether a span is that of this request, and not of a handler that calls the application in its process."""
    if not span.is_recording() or getattr(span, "kind", None) is not trace.SpanKind.SERVER:
        return False
    client = trace.get_current_span(W3C.extract(dict(headers), Context())).get_span_context()
    parent: trace.SpanContext | None = getattr(span, "parent", None)
    return not client.is_valid or (parent is not None and parent.span_id == client.span_id)


class _Without:
    """The current context without one of its entries."""

    def __init__(self, key: str, *, is_wanted: bool) -> None:
        self._key = key if is_wanted else None

    def __enter__(self) -> None:
        self._before = get_current()
        set_current(Context({key: value for key, value in self._before.items() if key != self._key}))

    def __exit__(self, *_: object) -> None:
        set_current(self._before)
