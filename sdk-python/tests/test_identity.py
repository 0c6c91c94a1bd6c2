"""Who the work is about: said once, and on every span and event that follows, whatever is between."""

from __future__ import annotations

import asyncio
import random
from typing import Any, cast

import loom
import pytest
from conftest import Bus, RunScript, Traces, eventually
from hypothesis import given, settings
from hypothesis import strategies as st
from loom import Context, Event
from loom.semconv import attribute
from loom.testing import LoomServer
from opentelemetry import baggage, context, trace

tracer = trace.get_tracer("test")

WHO = {"workflow_id": "onboarding", "session_id": "s-1", "user_id": "ü 1,=;", "tenant_id": "acme"}
KEYS = {
    "agent_id": attribute.AGENT,
    "workflow_id": attribute.WORKFLOW_ID,
    "session_id": attribute.SESSION_ID,
    "user_id": attribute.USER_ID,
    "tenant_id": attribute.TENANT_ID,
    "thread_id": attribute.THREAD_ID,
    "correlation_id": attribute.CORRELATION_ID,
}


def on(span: Any) -> dict[str, Any]:
    attributes = span.tags if hasattr(span, "tags") else span.attributes
    return {name: attributes[key] for name, key in KEYS.items() if key in attributes}


def test_a_context_ends_with_its_block_and_inner_ones_add_to_it() -> None:
    before = loom.get_current_context()
    with loom.context(workflow_id="outer", user_id=7, baggage={"free": "x"}) as outer:
        assert (outer.workflow_id, outer.user_id, outer.baggage) == ("outer", "7", {"free": "x"})
        with loom.context(workflow_id="inner", user_id="") as inner:
            assert (inner.workflow_id, inner.user_id, inner.baggage) == ("inner", None, {"free": "x"})
        assert loom.get_current_context() == outer
    assert loom.get_current_context() == before


def test_it_is_opentelemetry_s_baggage(server: LoomServer) -> None:
    with loom.context(workflow_id="w"):
        assert baggage.get_baggage(attribute.WORKFLOW_ID) == "w"
        token = context.attach(baggage.set_baggage(attribute.USER_ID, "u"))
        assert loom.get_current_context().workflow_id == "w"
        assert loom.get_current_context().user_id == "u"
        with tracer.start_as_current_span("user's own") as span:
            pass
        context.detach(token)
    assert on(span).items() >= {"workflow_id": "w", "user_id": "u"}.items()


def test_set_current_context_lasts_as_long_as_its_task() -> None:
    async def work() -> None:
        loom.set_current_context(session_id="of the task")
        assert loom.get_current_context().session_id == "of the task"

    async def main() -> None:
        await asyncio.create_task(work())
        assert loom.get_current_context().session_id is None

    asyncio.run(main())


async def test_decorated_functions_run_in_it() -> None:
    @loom.context(workflow_id="decorated")
    async def asynchronous() -> str | None:
        await asyncio.sleep(0)
        return loom.get_current_context().workflow_id

    @loom.context(workflow_id="decorated")
    def plain() -> str | None:
        return loom.get_current_context().workflow_id

    assert set(await asyncio.gather(asynchronous(), asynchronous())) == {"decorated"}
    assert plain() == "decorated"
    assert loom.get_current_context().workflow_id is None
    with pytest.raises(TypeError, match="traced"):

        @loom.context(workflow_id="generator")
        def items() -> Any:
            yield 1


def test_what_a_span_says_of_itself_goes_before_it(server: LoomServer) -> None:
    with (
        loom.context(workflow_id="of the context"),
        tracer.start_as_current_span("own", attributes={attribute.WORKFLOW_ID: "own"}) as span,
    ):
        span.set_attribute(attribute.USER_ID, "later")
        assert on(span).items() >= {"workflow_id": "own", "user_id": "later"}.items()


async def test_it_goes_along_over_the_bus_and_through_calls(bus: Bus, traces: Traces) -> None:
    first, second = bus.names.topic("first"), bus.names.topic("second")
    capability = bus.names.agent("cap")
    done = asyncio.Event()
    seen: list[loom.Identity] = []

    async def middle(ctx: Context, topic: str, event: Event) -> None:
        seen.append(loom.get_current_context())
        with tracer.start_as_current_span("inside"):
            await ctx.invoke(capability)
            await ctx.emit(second)

    async def end(ctx: Context, topic: str, event: Event) -> None:
        seen.append(loom.get_current_context())
        done.set()

    processor = bus.agent("processor", topics=[first], on_event=middle)
    await processor.start()
    output = await bus.started("output", topics=[second], on_event=end)
    provider = bus.agent("provider")

    @provider.capability(capability)
    async def serve(ctx: Context, args: Any) -> None:
        seen.append(loom.get_current_context())

    await provider.start()
    sensor = await bus.started("sensor")
    with loom.workflow("onboarding", **{k: v for k, v in WHO.items() if k != "workflow_id"}) as root:
        await sensor.emit(first, thread_id="t-1", correlation_id="c-1")
    await asyncio.wait_for(done.wait(), 10)
    by_agent = {identity.agent_id: identity for identity in seen}
    assert set(by_agent) == {processor.agent_id, output.agent_id, provider.agent_id}
    for identity in seen:
        assert {name: getattr(identity, name) for name in WHO} == WHO
    assert by_agent[processor.agent_id].correlation_id == "c-1"
    assert [by_agent[a.agent_id].thread_id for a in (processor, output, provider)] == ["t-1"] * 3

    spans = await traces.whole(format(root.get_span_context().trace_id, "032x"), 12)
    of_agents = [span for span in spans if span.service.startswith("agent-") or span.service == "tests"]
    agents = {span.name: on(span)["agent_id"] for span in of_agents}
    assert agents["inside"] == processor.agent_id
    assert agents["agent.on_action"] == provider.agent_id
    for span in of_agents:
        assert on(span).items() >= WHO.items(), span.name


async def test_agents_of_one_process_are_never_mixed_up(bus: Bus, traces: Traces) -> None:
    """Two agents, two workflows, 1,000 handlers at once that yield to each other where chance says so."""
    chance = random.Random(4711)
    wrong: list[Any] = []
    count = 0

    def handler(agent_id: str) -> Any:
        async def handle(ctx: Context, topic: str, event: Event) -> None:
            nonlocal count
            expected = {"agent_id": agent_id, **event.json()}

            async def look() -> None:
                for _ in range(chance.randrange(4)):
                    await asyncio.sleep(0)
                with tracer.start_as_current_span("look") as span:
                    if not on(span).items() >= expected.items():
                        wrong.append((expected, on(span)))
                    await asyncio.sleep(0)

            await asyncio.gather(look(), asyncio.to_thread(asyncio.run, look()), look())
            if chance.random() < 0.5:
                with loom.context(user_id="somebody else"):
                    await asyncio.sleep(0)
            await look()
            if not on(ctx.span).items() >= expected.items():
                wrong.append((expected, on(ctx.span)))
            count += 1

        return handle

    topics = [bus.names.topic("one"), bus.names.topic("two")]
    for topic in topics:
        agent = bus.agent("worker", max_in_flight=500)
        agent.on(topic)(handler(agent.agent_id))
        await agent.start()
    sender = await bus.started("sender")
    for number in range(1000):
        who: dict[str, Any] = {"workflow_id": f"w-{number % 2}", "user_id": f"u-{number % 17}"}
        with loom.context(**who):
            await sender.emit(topics[number % 2], payload=who)
    await eventually(lambda: count == 1000)
    assert wrong == []


NAMES = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=40)


@settings(max_examples=200, deadline=None)
@given(values=st.dictionaries(st.sampled_from([k for k in KEYS if k != "agent_id"]), NAMES), free=NAMES)
def test_any_text_survives_headers(values: dict[str, str], free: str) -> None:
    """Whatever was said is said on the other side, or nothing; never something else."""
    with loom.context(**values, baggage={"free": free}):
        headers = loom.to_headers()
        here = loom.get_current_context()
    with loom.from_headers({name.upper(): value for name, value in headers.items()}):
        there = loom.get_current_context()
    for name in (*KEYS, "baggage"):
        assert stripped(getattr(there, name)) == stripped(getattr(here, name)), name


def stripped(value: Any) -> Any:
    """OpenTelemetry's reader takes spaces around a value away."""
    if isinstance(value, dict):
        entries = cast("dict[str, str]", value)
        return {key: text.strip() for key, text in entries.items() if text.strip()}
    return (value.strip() or None) if isinstance(value, str) else value


def test_malformed_headers_change_nothing(caplog: pytest.LogCaptureFixture) -> None:
    with loom.from_headers({"traceparent": "00-zz-01", "baggage": "no value,=x,\x00=1"}):
        assert not trace.get_current_span().get_span_context().is_valid
        assert loom.get_current_context().baggage == {}


def test_the_environment_of_a_child_carries_it(run_script: RunScript) -> None:
    with loom.workflow("parent", user_id="u") as root:
        environment = loom.to_environment()
    done = run_script(
        """
        import loom
        from opentelemetry import trace
        loom.init_telemetry("child")
        assert loom.get_current_context().workflow_id is None
        with loom.from_environment():
            with trace.get_tracer("child").start_as_current_span("work") as span:
                print(format(span.get_span_context().trace_id, "032x"), span.attributes["workflow.id"])
        """,
        **environment,
    )
    assert done.code == 0, done.err
    assert done.out.split() == [format(root.get_span_context().trace_id, "032x"), "parent"]


async def test_a_stranger_s_span_in_a_fresh_context_is_about_the_same(bus: Bus) -> None:
    """Instrumentations that make a context of the parent's span alone lose the baggage, and not the identity."""
    topic = bus.names.topic("fresh")
    seen: list[Any] = []

    async def handle(ctx: Context, topic: str, event: Event) -> None:
        fresh = trace.set_span_in_context(ctx.span, context.Context())
        span = tracer.start_span("stranger", context=fresh)
        seen.append(on(span))
        span.end()

    agent = await bus.started("handler", topics=[topic], on_event=handle)
    sender = await bus.started("sender")
    with loom.context(workflow_id="w"):
        await sender.emit(topic)
    await eventually(lambda: seen)
    assert seen == [{"agent_id": agent.agent_id, "workflow_id": "w"}]


async def test_a_conversation_can_be_named_outside_of_handlers(bus: Bus) -> None:
    topic = bus.names.topic("named")
    seen: list[tuple[str, str]] = []

    async def handle(ctx: Context, topic: str, event: Event) -> None:
        seen.append((event.thread_id, event.correlation_id))
        if event.text() == "first":
            await ctx.emit(topic, payload="second")
            with loom.context(thread_id="another"):
                await ctx.emit(topic, payload="third")

    await bus.started("handler", topics=[topic], on_event=handle)
    sender = await bus.started("sender")
    with loom.context(thread_id="t", correlation_id="c"):
        await sender.emit(topic, payload="first")
    await eventually(lambda: len(seen) == 3)
    # A correlation joins an answer to its question: it does not go on by itself.
    assert sorted(seen) == [("another", ""), ("t", ""), ("t", "c")]
