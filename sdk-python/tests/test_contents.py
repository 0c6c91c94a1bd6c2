"""Contents of prompts and answers: nothing by default, and by one rule where they are captured."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import loom
import pytest
from loom import contents
from loom.contents import CAPTURE_CONTENT, MAX_CONTENT
from loom.semconv import attribute
from loom.stamping import stamp_spans_of
from loom.testing import LoomServer
from opentelemetry.sdk.trace import TracerProvider as SdkProvider
from opentelemetry.trace import Tracer

# As OpenTelemetry's, OpenLLMetry's and OpenInference's instrumentations write them, and Loom itself.
CONTENTS: dict[str, Any] = {
    "gen_ai.input.messages": '[{"role": "user", "content": "secret"}]',
    "gen_ai.prompt.0.content": "secret",
    "llm.prompts": ["one secret", "two"],
    "input.value": "secret",
    attribute.THOUGHT: "secret",
}
OTHERS: dict[str, Any] = {
    attribute.GEN_AI_REQUEST_MODEL: "m",
    attribute.GEN_AI_INPUT_TOKENS: 3,
    "gen_ai.prompt.name": "greeting",
}


@pytest.fixture
def native(server: LoomServer) -> Tracer:
    return loom.init_telemetry().get_tracer("scope")


@pytest.fixture
def foreign() -> Iterator[Tracer]:
    provider = SdkProvider()
    stamp_spans_of(provider)
    yield provider.get_tracer("scope")
    provider.shutdown()


def written(tracer: Tracer) -> Any:
    """Return an ended span that was given contents in each way there is."""
    first, *others = [*CONTENTS.items(), *OTHERS.items()]
    span: Any = tracer.start_span("chat", attributes=dict([first]))
    span.set_attribute(*others[0])
    span.set_attributes(dict(others[1:]))
    span.add_event("message", CONTENTS | OTHERS)
    span.end()
    return span


def test_nothing_is_recorded_by_default_and_that_is_counted(native: Tracer) -> None:
    span = written(native)
    assert {key: span.attributes.get(key) for key in OTHERS} == OTHERS
    assert "secret" not in repr((dict(span.attributes), dict(span.events[0].attributes)))
    assert CONTENTS.keys().isdisjoint(span.attributes)
    assert CONTENTS.keys().isdisjoint(span.events[0].attributes)
    assert span.dropped_attributes == len(CONTENTS)


@pytest.mark.parametrize(("variable", "is_captured"), [("true", True), ("SPAN_ONLY", True), ("event_only", False)])
def test_the_variable_of_opentelemetry_decides(
    native: Tracer, monkeypatch: pytest.MonkeyPatch, variable: str, is_captured: bool
) -> None:
    monkeypatch.setenv(CAPTURE_CONTENT, variable)
    span = written(native)
    assert ("input.value" in span.attributes) is is_captured
    assert span.dropped_attributes == (0 if is_captured else len(CONTENTS))


def test_contents_are_recorded_whole_where_they_are_short(native: Tracer) -> None:
    contents.capture(is_wanted=True)
    span = written(native)
    for attributes in (span.attributes, span.events[0].attributes):
        recorded = {key: attributes[key] for key in CONTENTS}
        assert recorded == CONTENTS | {"llm.prompts": ("one secret", "two")}


def test_long_ones_are_cut(native: Tracer) -> None:
    contents.capture(is_wanted=True)
    with native.start_as_current_span("chat") as span:
        span.set_attribute("gen_ai.completion", "ü" * (MAX_CONTENT + 1))
    recorded: Any = span
    assert recorded.attributes["gen_ai.completion"] == "ü" * MAX_CONTENT
    loom.set_content_rule(max_chars=5)
    assert written(native).attributes["llm.prompts"] == ("one s", "two")


@pytest.mark.parametrize("kind", ["native", "foreign"])
def test_they_are_redacted_before_they_are_cut(kind: str, request: pytest.FixtureRequest) -> None:
    tracer: Tracer = request.getfixturevalue(kind)
    contents.capture(is_wanted=True)
    asked: list[tuple[str, str]] = []

    def redact(key: str, text: str) -> str | None:
        asked.append((key, text))
        return None if key == "input.value" else text.replace("secret", "***")

    loom.set_content_rule(redact=redact, max_chars=7)
    span = written(tracer)
    assert span.attributes["gen_ai.prompt.0.content"] == "***"
    assert span.attributes["llm.prompts"] == ("one ***", "two")
    assert "input.value" not in span.attributes
    assert ("llm.prompts", "one secret") in asked, "texts are given whole"
    assert "secret" not in repr(dict(span.attributes))


def test_a_rule_that_fails_records_nothing_and_is_counted(native: Tracer, foreign: Tracer) -> None:
    contents.capture(is_wanted=True)
    before = loom.telemetry_stats().faults.get("redaction of contents", 0)

    def fail(key: str, text: str) -> str:
        raise OSError(key)

    loom.set_content_rule(redact=fail)
    for tracer in (native, foreign):
        span = written(tracer)
        assert "secret" not in repr(dict(span.attributes))
        assert {key: span.attributes.get(key) for key in OTHERS} == OTHERS
    assert loom.telemetry_stats().faults["redaction of contents"] > before


def test_the_providers_own_spans_are_left_alone_where_nothing_is_asked(foreign: Tracer) -> None:
    span = written(foreign)
    assert span.attributes["input.value"] == "secret"


def test_events_of_foreign_spans_are_told_by_the_rule(native: Tracer, foreign: Tracer) -> None:
    loom.set_content_rule(redact=lambda _, text: text.upper(), max_chars=3)
    assert contents.of_event(foreign.start_span("s"), attribute.THOUGHT, "thought") == "THO"
    # The span itself does it.
    assert contents.of_event(native.start_span("s"), attribute.THOUGHT, "thought") == "thought"


def test_a_rule_that_makes_no_sense_is_refused() -> None:
    with pytest.raises(ValueError, match="max_chars is 0"):
        loom.set_content_rule(max_chars=0)
