"""Contents: what was said to a model, what it said, what tools were given, what a handler thought.

Nothing of it is recorded unless somebody asks for it, and then by one rule, whichever instrumentation writes it: it is
redacted first, and cut then. The native part finds contents by their keys (``sdk-python/src/content/keys.rs``).
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from loom import _native
from loom.faults import fault

if TYPE_CHECKING:
    from collections.abc import Callable

    Redact = Callable[[str, str], str | None]

__all__ = [
    "CAPTURE_CONTENT",
    "MAX_CONTENT",
    "apply_to_foreign",
    "capture",
    "captures_content",
    "of_event",
    "set_content_rule",
]

CAPTURE_CONTENT = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"
"""``true``, ``span_only`` or ``span_and_event``: spans carry contents. OpenTelemetry's variable."""
_YES = frozenset({"true", "span_only", "span_and_event"})
MAX_CONTENT = 4096
"""Characters of a content, unless a rule says otherwise; what is longer is cut."""


class Rule:
    """What is done with the contents of this process."""

    captures = False
    """An agent wants them, whatever the environment says."""
    is_set = False
    """The program has a rule of its own."""
    redact: Redact | None = None
    max_chars = MAX_CONTENT


_rule = Rule()


def set_content_rule(*, redact: Redact | None = None, max_chars: int = MAX_CONTENT) -> None:
    """Say what is recorded of contents where they are captured: on all spans of this process, by any instrumentation.

    ``redact(key, text)`` gets each text whole, with the key of its attribute, and returns what may be recorded of it,
    or None for nothing; what it returns is cut to ``max_chars`` characters. It is called where the span is written, so
    it should be quick. When it fails nothing is recorded, and ``loom.telemetry_stats()`` counts it under ``faults``.
    Attributes of spans of a TracerProvider that is not Loom's go by the rule too.
    """
    if max_chars < 1:
        raise ValueError(f"max_chars is {max_chars}: it must be at least 1")
    _rule.redact = redact
    _rule.max_chars = max_chars
    _rule.is_set = True


def capture(*, is_wanted: bool) -> None:
    """Record contents from now on if an agent wants them, or the environment."""
    _rule.captures = _rule.captures or is_wanted or is_captured_by_environment()


def captures_content() -> bool:
    """Tell whether contents are recorded."""
    return _rule.captures or is_captured_by_environment()


def is_captured_by_environment() -> bool:
    """Tell whether the environment asks for contents."""
    return os.environ.get(CAPTURE_CONTENT, "").strip().lower() in _YES


def admit(key: str, texts: list[str]) -> list[str] | None:
    """Return what is recorded of the texts of an attribute; None: nothing, the attribute is left out."""
    return _by_rule(key, texts) if captures_content() else None


def _by_rule(key: str, texts: list[str]) -> list[str] | None:
    redact, longest = _rule.redact, _rule.max_chars
    if redact is None:
        return [text[:longest] for text in texts]
    try:
        redacted: list[str] = []
        for text in texts:
            admitted = redact(key, text)
            if admitted is None:
                return None
            redacted.append(admitted[:longest])
    except Exception as error:  # noqa: BLE001 - the program's own, and its spans must not stop it
        fault("redaction of contents", error)
        return None
    return redacted


def apply_to_foreign(span: Any) -> None:
    """Keep the rule on a span of another SDK that is about to end.

    Whether it has contents at all is the business of whoever writes it: the TracerProvider is the program's.
    """
    if not (_rule.is_set or _rule.captures):
        return
    # From this moment on the SDK takes no attribute any more, and it knows no way to take one back.
    attributes: dict[str, Any] = getattr(getattr(span, "_attributes", None), "_dict", {})
    for key in _native.content_keys(attributes):
        texts = _texts(attributes[key])
        if texts is None:
            continue
        admitted = _by_rule(key, texts)
        if admitted is None:
            del attributes[key]
        else:
            attributes[key] = admitted[0] if isinstance(attributes[key], str) else tuple(admitted)


def of_event(span: object, key: str, text: str) -> str:
    """Return what an event of a span may tell: a span of another SDK does not know the rule."""
    if isinstance(span, _native.Span):
        return text
    return "".join(_by_rule(key, [text]) or ())


def _texts(value: Any) -> list[str] | None:
    if isinstance(value, str):
        return [value]
    # The SDK keeps lists as tuples.
    if value.__class__ is tuple and all(isinstance(text, str) for text in value):
        return list(value)
    return None


_native.set_content_rule(admit)
