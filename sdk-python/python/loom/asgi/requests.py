"""A request by OpenTelemetry's HTTP semantic conventions."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from opentelemetry.semconv.attributes import (
    client_attributes,
    http_attributes,
    network_attributes,
    server_attributes,
    url_attributes,
    user_agent_attributes,
)

from loom.semconv import header

if TYPE_CHECKING:
    from loom.asgi.types import Scope

__all__ = ["attributes_of", "context_headers", "header_of", "route_of", "span_name"]

_METHODS = frozenset({"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "QUERY", "TRACE"})
_OTHER = "_OTHER"
_SECRET = re.compile(r"(?i)(^|&)([^&=]*(?:auth|code|key|pass|secret|session|sig|token)[^&=]*)=[^&]*")


def method_of(scope: Scope) -> str:
    """Return the method; a WebSocket begins as a GET."""
    return str(scope.get("method", "GET")).upper()


def span_name(scope: Scope, route: str | None) -> str:
    """Name a request: what varies from one to the next is not in it."""
    method = method_of(scope)
    known = method if method in _METHODS else "HTTP"
    return known if route is None else f"{known} {route}"


def route_of(scope: Scope) -> str | None:
    """Return the template of the path, which Starlette and FastAPI leave behind when they have found it."""
    path = getattr(scope.get("route"), "path", None)
    return f"{scope.get('root_path', '')}{path}" if isinstance(path, str) else None


def attributes_of(scope: Scope) -> dict[str, Any]:
    """Read what is known when a request comes in."""
    method = method_of(scope)
    found: dict[str, Any] = {
        http_attributes.HTTP_REQUEST_METHOD: method if method in _METHODS else _OTHER,
        http_attributes.HTTP_REQUEST_METHOD_ORIGINAL: None if method in _METHODS else method,
        url_attributes.URL_SCHEME: scope.get("scheme"),
        url_attributes.URL_PATH: scope.get("path"),
        url_attributes.URL_QUERY: _redacted(scope.get("query_string", b"").decode("latin-1")) or None,
        network_attributes.NETWORK_PROTOCOL_VERSION: scope.get("http_version"),
        user_agent_attributes.USER_AGENT_ORIGINAL: header_of(scope, b"user-agent"),
    }
    host, port = _host_of(scope)
    found[server_attributes.SERVER_ADDRESS], found[server_attributes.SERVER_PORT] = host, port
    if client := scope.get("client"):
        found[client_attributes.CLIENT_ADDRESS], found[client_attributes.CLIENT_PORT] = client[0], client[1]
    return {key: value for key, value in found.items() if value is not None}


def context_headers(scope: Scope, *, with_baggage: bool) -> dict[str, str]:
    """Read the headers of W3C. A list may come in parts; two ``traceparent`` are none."""
    found: dict[str, str] = {}
    for name in (header.TRACESTATE, header.BAGGAGE):
        if parts := _headers_of(scope, name.encode()):
            found[name] = ",".join(parts)
    parents = _headers_of(scope, header.TRACEPARENT.encode())
    if len(parents) == 1:
        found[header.TRACEPARENT] = parents[0]
    if not with_baggage:
        found.pop(header.BAGGAGE, None)
    return found


def header_of(scope: Scope, name: bytes) -> str | None:
    """Return the first header of a name."""
    return next(iter(_headers_of(scope, name)), None)


def _headers_of(scope: Scope, name: bytes) -> list[str]:
    return [value.decode("latin-1") for key, value in scope.get("headers", ()) if key.lower() == name]


def _host_of(scope: Scope) -> tuple[str | None, int | None]:
    """Return whom the client has asked, else who listens."""
    asked = header_of(scope, b"host")
    if asked:
        host, _, port = asked.rpartition(":")
        return (host, int(port)) if host and port.isdigit() else (asked, None)
    server = scope.get("server")
    return (server[0], server[1]) if server else (None, None)


def _redacted(query: str) -> str:
    return _SECRET.sub(r"\1\2=REDACTED", query)
