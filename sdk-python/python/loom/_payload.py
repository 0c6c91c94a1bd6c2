"""Payloads: bytes as they are, text as UTF-8, everything else as JSON."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from loom.exceptions import InvalidEvent

if TYPE_CHECKING:
    from typing_extensions import Buffer, TypeIs

__all__ = ["BINARY", "JSON", "TEXT", "decode", "encode"]

BINARY = ""
"""The contract's default, application/octet-stream, takes no bytes."""
JSON = "application/json"
TEXT = "text/plain; charset=utf-8"


def encode(payload: object) -> tuple[bytes, str]:
    """Return the bytes of a payload and their media type."""
    if isinstance(payload, bytes):
        return payload, BINARY
    if isinstance(payload, str):
        return payload.encode(), TEXT
    if is_binary(payload):
        return bytes(payload), BINARY
    return encode_json(payload), JSON


def is_binary(value: object) -> TypeIs[Buffer]:
    """Tell bytes-like objects, which are sent as they are."""
    return isinstance(value, (bytes, bytearray, memoryview))


def encode_json(value: object) -> bytes:
    """Write JSON as other languages read it: no NaN, no Infinity."""
    try:
        return json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()
    except (TypeError, ValueError) as error:
        raise InvalidEvent(
            f"the payload is neither bytes nor text, and JSON cannot write it: {error}", field="event.payload"
        ) from error


def decode(payload: bytes, content_type: str) -> Any:
    """Return what ``encode`` was given, as far as the media type says."""
    kind = content_type.partition(";")[0].strip().lower()
    if kind == JSON or kind.endswith("+json"):
        return json.loads(payload) if payload else None
    if kind.startswith("text/"):
        return payload.decode(errors="replace")
    return payload
