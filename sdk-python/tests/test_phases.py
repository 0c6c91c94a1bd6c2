"""Phases of handlers, traced functions, tools and workflows: spans with the right parents, and times that add up."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import loom
import pytest
from conftest import Bus, RunScript, SpanView, Traces, eventually
from loom import Context, Event
from loom.semconv import attribute
from loom.testing import LoomServer
from opentelemetry import trace

tracer = trace.get_tracer("test.phases")


async def handled(bus: Bus, traces: Traces, handler: Any, count: int) -> dict[str, SpanView]:
    """Run a handler once, and return the spans of its trace by name."""
    topic = bus.names.topic("phases")
    ids: list[str] = []

    async def handle(ctx: Context, topic: str, event: Event) -> None:
        ids.append(f"{ctx.span.get_span_context().trace_id:032x}")
        await handler(ctx)

    await bus.started("handler", topics=[topic], on_event=handle)
    sender = await bus.started("sender")
    await sender.emit(topic)
    await eventually(lambda: ids)
    spans = {span.name: span for span in await traces.whole(ids[0], count + 5)}
    assert "error" not in spans["agent.on_event"].tags, "an assertion in the handler has failed"
    return spans


async def test_phases_are_spans_and_add_up_on_the_handler_s(bus: Bus, traces: Traces) -> None:
    found: list[dict[str, float]] = []

    async def handler(ctx: Context) -> None:
        with ctx.phase("initialization"):
            pass
        async with ctx.phase("llm_processing") as phase:
            assert trace.get_current_span() is phase.span
            with tracer.start_as_current_span("call"):
                await asyncio.sleep(0)
        with ctx.phase("tool_execution"):
            pass
        with ctx.phase("tool_execution"):
            pass
        with ctx.phase("Own Name, ü"):
            pass
        assert trace.get_current_span() is ctx.span
        found.append(ctx.timing.breakdown())

    spans = await handled(bus, traces, handler, 6)
    handler_span = spans["agent.on_event"]
    assert set(found[0]) == {
        "initialization_ms",
        "llm_processing_ms",
        "tool_execution_ms",
        "own_name____ms",
        "total_ms",
    }
    assert sum(ms for name, ms in found[0].items() if name != "total_ms") <= found[0]["total_ms"]
    written = {key: value for key, value in handler_span.tags.items() if key.startswith(attribute.PHASE_MS_PREFIX)}
    assert written == {f"{attribute.PHASE_MS_PREFIX}{k}": v for k, v in found[0].items() if k != "total_ms"}
    assert spans["call"].parent == spans["llm_processing"].id
    for name in ("initialization", "llm_processing", "tool_execution", "own_name___"):
        assert spans[name].parent == handler_span.id
        assert spans[name].tags[attribute.PHASE] == name


async def test_a_phase_that_fails_counts_and_the_handler_sees_its_error(bus: Bus, traces: Traces) -> None:
    async def handler(ctx: Context) -> None:
        with pytest.raises(ValueError, match="inside"), ctx.phase("tool_execution"):
            raise ValueError("inside")
        assert "tool_execution_ms" in ctx.timing.breakdown()

    spans = await handled(bus, traces, handler, 1)
    assert spans["tool_execution"].tags["error"] is True


async def test_phases_of_several_threads_add_up(bus: Bus, traces: Traces) -> None:
    async def handler(ctx: Context) -> None:
        def work(_: int) -> None:
            with ctx.phase("tool_execution"):
                pass

        def all_of_them() -> None:
            with ThreadPoolExecutor(4) as pool:
                list(pool.map(work, range(40)))

        await asyncio.to_thread(all_of_them)
        # A name that never repeats must not fill the span.
        for number in range(100):
            with ctx.phase(f"n{number}"):
                pass
        assert len(ctx.timing.breakdown()) == 66

    spans = await handled(bus, traces, handler, 140)
    phases = [key for key in spans["agent.on_event"].tags if key.startswith(attribute.PHASE_MS_PREFIX)]
    assert len(phases) == 65
    assert f"{attribute.PHASE_MS_PREFIX}other_ms" in phases


async def test_a_phase_is_a_block_and_nothing_else(bus: Bus, traces: Traces) -> None:
    async def handler(ctx: Context) -> None:
        phase = ctx.phase("result_formatting")
        with pytest.raises(AttributeError, match="not been entered"):
            _ = phase.span
        with pytest.raises(RuntimeError, match="not been entered"):
            phase.__exit__(None, None, None)
        with phase:
            pass
        with phase as entered:
            assert entered is phase
            span: Any = phase.span
        # What has ended can still be read, by whoever kept it.
        assert span.attributes[attribute.PHASE] == "result_formatting"
        assert attribute.AGENT in span.attributes
        assert span.end_time is not None

    spans = await handled(bus, traces, handler, 2)
    assert spans["result_formatting"].parent == spans["agent.on_event"].id


def test_phases_where_the_program_has_a_provider_of_its_own(run_script: RunScript) -> None:
    done = run_script(
        """
        import loom
        from loom.phases import Phase, timing_of
        from opentelemetry import trace
        from opentelemetry.sdk.trace import TracerProvider
        own = TracerProvider()
        trace.set_tracer_provider(own)
        agent = loom.Agent("mine")
        with loom.context(workflow_id="w"), trace.get_tracer("t").start_as_current_span("handler") as handler:
            timing = timing_of(handler)
            for _ in range(2):
                with Phase(timing, "LLM call") as phase:
                    assert trace.get_current_span() is phase.span
            try:
                with Phase(timing, "failed") as failed:
                    raise ValueError("no")
            except ValueError:
                pass
            assert trace.get_current_span() is handler
        assert phase.span.parent.span_id == handler.context.span_id
        print(phase.span.name, dict(phase.span.attributes), failed.span.status.description)
        sums = {key: ms for key, ms in handler.attributes.items() if key.startswith("loom.phase.")}
        assert {f"loom.phase.{k}": v for k, v in timing.breakdown().items() if k != "total_ms"} == sums
        print(sorted(sums))
        """
    )
    assert done.code == 0, done.err
    assert done.out.splitlines() == [
        "llm_call {'loom.phase': 'llm_call', 'workflow.id': 'w'} ValueError: no",
        "['loom.phase.failed_ms', 'loom.phase.llm_call_ms']",
    ]


def spans_of(function: Any, *arguments: Any) -> Any:
    """Call it below a span of ours, and return its result and that span."""
    with tracer.start_as_current_span("above") as above:
        return function(*arguments), above


class Kept:
    """Native spans, seen from inside of functions."""

    def __init__(self) -> None:
        self.spans: list[Any] = []

    def keep(self) -> None:
        self.spans.append(trace.get_current_span())


def test_a_span_that_goes_may_ask_for_its_phase(run_script: RunScript) -> None:
    done = run_script(
        """
        import loom
        from loom.phases import Phase, timing_of
        from opentelemetry import trace
        from opentelemetry.sdk.trace import TracerProvider
        trace.set_tracer_provider(TracerProvider())
        agent = loom.Agent("mine")
        class Curious:
            def __del__(self):
                print("gone, now", phase.span.name)
        with trace.get_tracer("t").start_as_current_span("handler") as handler:
            phase = Phase(timing_of(handler), "twice")
            with phase:
                phase.span.curious = Curious()
            with phase:
                print("inside again")
        """
    )
    assert done.code == 0, done.err
    assert done.out.splitlines() == ["gone, now twice", "inside again"]


def test_traced_functions_of_every_kind(server: LoomServer) -> None:
    kept = Kept()

    @loom.traced
    def plain(number: int) -> int:
        """Say what it does."""
        kept.keep()
        return number + 1

    @loom.traced("named", attributes={"own": 1})
    async def asynchronous(number: int) -> int:
        await asyncio.sleep(0)
        kept.keep()
        return number + 1

    @loom.traced
    def items() -> Iterator[int]:
        kept.keep()
        yield 1
        kept.keep()
        yield 2

    @loom.traced
    async def more_items() -> AsyncIterator[int]:
        kept.keep()
        yield 1

    async def main() -> Any:
        return await asynchronous(1), [item async for item in more_items()]

    assert (plain.__name__, plain.__doc__) == ("plain", "Say what it does.")
    assert inspect.iscoroutinefunction(asynchronous)
    result, above = spans_of(lambda: (plain(1), list(items()), asyncio.run(main())))
    assert result == (2, [1, 2], (2, [1]))
    names = [span.name.rpartition(".")[2] for span in kept.spans]
    assert names == ["plain", "items", "items", "named", "more_items"]
    for span in kept.spans:
        assert span.parent.span_id == above.get_span_context().span_id
        assert span.end_time is not None
    assert kept.spans[3].attributes["own"] == 1


def test_errors_of_traced_functions_are_recorded_and_raised(server: LoomServer) -> None:
    kept = Kept()

    @loom.traced
    def broken() -> None:
        kept.keep()
        raise KeyError("gone")

    @loom.traced
    def broken_items() -> Iterator[int]:
        kept.keep()
        yield 1
        raise KeyError("gone")

    with pytest.raises(KeyError):
        broken()
    with pytest.raises(KeyError):
        list(broken_items())
    for span in kept.spans:
        assert span.status.status_code is trace.StatusCode.ERROR
        assert span.attributes[attribute.ERROR_TYPE] == "KeyError"
        assert [event.name for event in span.events] == ["exception"]


def test_a_traced_generator_that_is_left_early_is_no_failure(server: LoomServer) -> None:
    kept = Kept()
    closed: list[bool] = []

    @loom.traced
    def items() -> Iterator[int]:
        kept.keep()
        try:
            yield 1
            yield 2
        finally:
            closed.append(True)

    generator = items()
    before = trace.get_current_span()
    assert next(generator) == 1
    assert trace.get_current_span() is before
    generator.close()  # type: ignore[attr-defined]
    assert closed == [True]
    assert kept.spans[0].end_time is not None
    assert kept.spans[0].status.status_code is trace.StatusCode.UNSET


def test_a_value_sent_into_a_traced_generator_arrives(server: LoomServer) -> None:
    @loom.traced
    def echo() -> Generator[Any, Any, Any]:
        said = yield "first"
        try:
            yield said
        except ValueError as error:
            yield str(error)
        return "result"

    generator = echo()
    assert next(generator) == "first"
    assert generator.send("x") == "x"
    assert generator.throw(ValueError("y")) == "y"
    with pytest.raises(StopIteration) as end:
        next(generator)
    assert end.value.value == "result"


@pytest.mark.parametrize("captures", [False, True])
def test_tools(server: LoomServer, monkeypatch: pytest.MonkeyPatch, *, captures: bool) -> None:
    monkeypatch.setenv("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", str(captures))
    kept = Kept()

    @loom.tool
    def search(query: str, limit: int = 3) -> list[str]:
        """Search the shelf.

        And more of it.
        """
        kept.keep()
        return [query] * limit

    @loom.tool("pay", description="pays")
    async def pay(amount: float) -> None:
        kept.keep()
        raise PermissionError("no")

    def both() -> Any:
        with pytest.raises(PermissionError):
            asyncio.run(pay(3.5))
        return search("x", limit=2)

    result, above = spans_of(both)
    assert result == ["x", "x"]
    paid, searched = kept.spans
    assert (paid.name, searched.name) == ("execute_tool pay", "execute_tool search")
    assert searched.attributes[attribute.GEN_AI_TOOL_DESCRIPTION] == "Search the shelf."
    assert paid.status.status_code is trace.StatusCode.ERROR
    arguments = [span.attributes.get(attribute.GEN_AI_TOOL_ARGUMENTS) for span in kept.spans]
    assert arguments == (['{"amount": 3.5}', '{"query": "x", "limit": 2}'] if captures else [None, None])
    told = [(event.name, event.attributes.get(attribute.ERROR_TYPE)) for event in above.events]
    assert told == [
        ("tool_executing", None),
        ("tool_completed", "PermissionError"),
        ("tool_executing", None),
        ("tool_completed", None),
    ]


def test_a_workflow_is_the_root_of_its_run(server: LoomServer) -> None:
    kept = Kept()

    @loom.workflow("nightly", tenant_id="t")
    async def run() -> None:
        kept.keep()
        with tracer.start_as_current_span("inner"):
            kept.keep()

    asyncio.run(run())
    asyncio.run(run())
    roots, inner = kept.spans[::2], kept.spans[1::2]
    assert [span.name for span in roots] == ["invoke_workflow nightly"] * 2
    assert roots[0].parent is roots[1].parent is None
    assert roots[0].context.trace_id != roots[1].context.trace_id
    for span in (*roots, *inner):
        assert span.attributes[attribute.WORKFLOW_ID] == "nightly"
        assert span.attributes[attribute.TENANT_ID] == "t"
    with loom.workflow("nightly", workflow_id="w-7"):
        assert loom.get_current_context().workflow_id == "w-7"


def test_a_broken_baggage_or_processor_never_reaches_the_program(run_script: RunScript) -> None:
    done = run_script(
        """
        import logging, loom
        from opentelemetry import baggage, context, trace
        from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
        logging.basicConfig()
        own = TracerProvider()
        class Broken(SpanProcessor):
            def on_start(self, span, parent_context=None):
                span.set_attributes = None  # the next one cannot stamp it
        own.add_span_processor(Broken())
        trace.set_tracer_provider(own)
        agent = loom.Agent("unlucky")
        tracer = trace.get_tracer("t")
        class Unprintable:
            def __str__(self):
                raise RuntimeError("no text")
        with loom.context(workflow_id="w"):
            for _ in range(12):
                with tracer.start_as_current_span("span"):
                    pass
        token = context.attach(baggage.set_baggage("workflow.id", Unprintable()))
        with tracer.start_as_current_span("span"):
            loom.get_current_context()
            loom.to_headers()
        context.detach(token)
        print(loom.telemetry_stats().faults)
        """,
        # With a limit the processor sets attributes in the SDK's way.
        OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT="100",
    )
    assert done.code == 0, done.err
    faults = eval(done.out)
    assert faults.pop("span processor") == 12
    assert set(faults) == {"context"}
    assert "failed to set telemetry context (span processor, 10 times so far)" in done.err


@pytest.mark.parametrize("limit", ["", "4"])
def test_stamps_keep_to_the_limits_of_the_sdk(run_script: RunScript, limit: str) -> None:
    done = run_script(
        """
        import loom
        from opentelemetry import trace
        from opentelemetry.sdk.trace import TracerProvider
        own = TracerProvider()
        trace.set_tracer_provider(own)
        loom.Agent("agent")
        with loom.context(workflow_id="workflow", user_id="user"):
            span = trace.get_tracer("t").start_span("span", attributes={"user.id": "mine!"})
        print(dict(span.attributes))
        """,
        **({"OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT": limit} if limit else {}),
    )
    assert done.code == 0, done.err
    expected = {"user.id": "mine!", "workflow.id": "workflow"}
    assert eval(done.out) == ({key: value[: int(limit)] for key, value in expected.items()} if limit else expected)
