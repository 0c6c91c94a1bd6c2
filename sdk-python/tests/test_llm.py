"""OpenAI's client, as it is, with the instrumentation of OpenTelemetry and with that of OpenLLMetry: one trace each."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from conftest import RunScript
from loom.semconv import attribute
from loom.testing import LoomServer, LoomSpans, SpanRecord, assert_trace

pytestmark = pytest.mark.timeout(120)
STAND_IN = Path(__file__).resolve().parents[2] / "demo" / "market-analyst" / "agents"

AGENT = """
    import warnings
    warnings.simplefilter("default")  # foreign packages use what others have deprecated
    import asyncio, sys
    from concurrent.futures import ThreadPoolExecutor
    sys.path.insert(0, {stand_in!r})
    import loom
    from completions import serve
    from loom import Agent

    {before}
    agent = Agent("thinker", instrument={instrument!r})
    base_url = serve()
    from openai import AsyncOpenAI, OpenAI
    client = OpenAI(base_url=base_url, api_key="none")
    asynchronous = AsyncOpenAI(base_url=base_url, api_key="none")
    pool = ThreadPoolExecutor(4)
    SECRET = [{{"role": "system", "content": "decide"}}, {{"role": "user", "content": "my secret"}}]
    TOOLS = [{{"type": "function", "function": {{"name": "look", "parameters": {{"type": "object"}}}}}}]

    def call(model):
        return client.chat.completions.create(model=model, messages=SECRET)

    def stream(model):
        given = client.chat.completions.create(
            model=model, messages=SECRET, stream=True, stream_options={{"include_usage": True}}
        )
        return "".join(chunk.choices[0].delta.content or "" for chunk in given if chunk.choices)

    @loom.tool
    def look():
        return "seen"

    def with_tools(model):
        first = client.chat.completions.create(model=model, messages=SECRET, tools=TOOLS).choices[0].message
        answers = [
            {{"role": "tool", "tool_call_id": one.id, "content": look()}} for one in first.tool_calls
        ]
        messages = [*SECRET, first, *answers]
        return client.chat.completions.create(model=model, messages=messages, tools=TOOLS)

    done = asyncio.Event()

    @agent.on("think")
    async def think(ctx, topic, event):
        with ctx.phase("llm_processing"):
            call("in-handler")
            await asyncio.to_thread(call, "in-thread")
            await asyncio.gather(*(
                asynchronous.chat.completions.create(model="async", messages=SECRET) for _ in range(3)
            ))
            list(pool.map(call, ["in-pool"] * 3))
        with ctx.phase("tool_execution"):
            with_tools("tools")
        with ctx.phase("streaming"):
            assert stream("stream") == "hold"
            given = await asynchronous.chat.completions.create(
                model="async-stream", messages=SECRET, stream=True, stream_options={{"include_usage": True}}
            )
            assert [chunk async for chunk in given]
        done.set()

    async def main(agent):
        with loom.workflow("thinking", user_id="u") as root:
            await agent.emit("think")
            await asyncio.wait_for(done.wait(), 60)
        print(format(root.get_span_context().trace_id, "032x"))

    sys.exit(agent.run(main))
"""

OFFICIAL: dict[str, Any] = {"before": "", "instrument": None, "name": "chat {}", "below": ()}
WITH_HTTP: dict[str, Any] = {**OFFICIAL, "instrument": ["openai", "httpx2"], "below": ("POST",)}
OPENLLMETRY: dict[str, Any] = {
    "before": """
    loom.init_telemetry()
    import os
    os.environ["TRACELOOP_TRACE_CONTENT"] = "false"
    from opentelemetry.instrumentation.openai import OpenAIInstrumentor
    OpenAIInstrumentor().instrument()
    """,
    "instrument": [],
    "name": "openai.chat",
    "below": (),
}


def tree(name: str, below: tuple[str, ...]) -> tuple[object, ...]:
    who = f"[agent.id=thinker workflow.id=thinking user.id=u {attribute.GEN_AI_INPUT_TOKENS}=*"

    def chat(model: str, count: int = 1, more: str = "") -> tuple[str, ...]:
        return f"{name.format(model)} {who} {attribute.GEN_AI_REQUEST_MODEL}={model}{more}] *{count}", *below

    streamed = f" {attribute.GEN_AI_TIME_TO_FIRST_CHUNK}=*"
    return (
        "invoke_workflow thinking",
        (
            "bridge.publish",
            (
                "EventBus.publish",
                (
                    "bridge.forward",
                    (
                        "agent.on_event",
                        ("llm_processing", chat("in-handler"), chat("in-thread"), chat("async", 3), chat("in-pool", 3)),
                        ("tool_execution", chat("tools", 2), "execute_tool look"),
                        ("streaming", chat("stream", more=streamed), chat("async-stream", more=streamed)),
                    ),
                ),
            ),
        ),
    )


@pytest.mark.parametrize("with_", [OFFICIAL, WITH_HTTP, OPENLLMETRY], ids=["opentelemetry", "httpx", "openllmetry"])
async def test_every_call_is_below_its_handler(
    with_: dict[str, Any], server: LoomServer, run_script: RunScript
) -> None:
    done = run_script(
        AGENT.format(stand_in=str(STAND_IN), **{k: with_[k] for k in ("before", "instrument")}), timeout=90
    )
    assert done.code == 0, done.err
    size = 21 + 12 * len(with_["below"])
    spans = await LoomSpans(server).trace(done.out.strip(), until=lambda spans: len(spans) >= size, timeout=30)
    assert_trace(spans, tree(with_["name"], with_["below"]))
    calls = [span for span in spans if attribute.GEN_AI_REQUEST_MODEL in span.attributes]
    assert len(calls) == 12
    assert_no_content(spans)


CAPTURED = """
    import os
    os.environ["OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"] = "span_only"
    os.environ["OTEL_SEMCONV_STABILITY_OPT_IN"] = "gen_ai_latest_experimental"
    loom.set_content_rule(redact=lambda key, text: text.replace("my secret", "***"), max_chars=120)
"""
ASKS_OPENLLMETRY = OPENLLMETRY["before"].replace('"false"', '"true"')


@pytest.mark.parametrize(
    ("before", "instrument", "is_captured"),
    [
        (CAPTURED, None, True),
        (CAPTURED + ASKS_OPENLLMETRY, [], True),
        # It was told to record contents, and Loom was not.
        (ASKS_OPENLLMETRY, [], False),
    ],
    ids=["opentelemetry", "openllmetry", "openllmetry alone"],
)
async def test_contents_go_by_one_rule(
    before: str, instrument: list[str] | None, is_captured: bool, server: LoomServer, run_script: RunScript
) -> None:
    done = run_script(AGENT.format(stand_in=str(STAND_IN), before=before, instrument=instrument), timeout=90)
    assert done.code == 0, done.err
    spans = await LoomSpans(server).trace(done.out.strip(), until=lambda spans: len(spans) >= 21, timeout=30)
    calls = [span for span in spans if attribute.GEN_AI_REQUEST_MODEL in span.attributes]
    assert len(calls) == 12
    assert_no_content(spans)
    contents = [[value for value in call.attributes.values() if "***" in str(value)] for call in calls]
    assert all(contents) if is_captured else not any(contents)
    assert max((len(str(value)) for of_call in contents for value in of_call), default=120) <= 120


def assert_no_content(spans: list[SpanRecord]) -> None:
    """Nothing of what was said to a model is recorded as it was."""
    for span in spans:
        assert "my secret" not in repr(span.attributes), span.name
