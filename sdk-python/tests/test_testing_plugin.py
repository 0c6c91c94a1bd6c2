"""The fixtures as a user's suite has them: each test here runs pytest on a suite, in a process of its own."""

from __future__ import annotations

import pytest
from conftest import ROOT

SETTINGS = """
[pytest]
asyncio_mode = auto
asyncio_default_fixture_loop_scope = function
"""

SUITE = '''
import asyncio

import loom
import pytest
from opentelemetry import trace

tracer = trace.get_tracer("suite")


async def double(ctx, topic, event):
    with tracer.start_as_current_span("think"):
        await ctx.emit("doubled", payload=2 * event.json())


@pytest.fixture
async def doubler(loom_server):
    async with loom.Agent("doubler", topics=["numbers"], on_event=double) as agent:
        yield agent


@pytest.mark.parametrize("number", [1, 2])
async def test_a_number_is_doubled(loom_spans, doubler, number):
    got = asyncio.Queue()

    async def take(ctx, topic, event):
        await got.put(event.json())

    async with loom.Agent("taker", topics=["doubled"], on_event=take):
        with tracer.start_as_current_span("test") as root:
            await doubler.emit("numbers", payload=number)
        assert await got.get() == 2 * number
    await loom_spans.assert_trace(
        root,
        """
        test
          bridge.publish
            EventBus.publish
              bridge.forward
                agent.on_event [agent.id=doubler service=agent-doubler kind=consumer]
                  think
                    bridge.publish
                      EventBus.publish
                        bridge.forward
                          agent.on_event [agent.id=taker]
        """,
    )
    mine = [span.name for span in loom_spans.finished()]
    assert sorted(mine) == ["agent.on_event", "agent.on_event", "test", "think"]
'''


@pytest.mark.parametrize("scope", ["session", "function"])
def test_a_suite_sees_whole_traces(pytester: pytest.Pytester, scope: str) -> None:
    pytester.makeini(f"{SETTINGS}loom_server_scope = {scope}")
    pytester.makepyfile(SUITE)
    result = pytester.runpytest_subprocess("-W", "error")
    result.assert_outcomes(passed=2)


def test_a_suite_without_agents_does_not_even_import_loom(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import os
        import sys

        def test_nothing_is_there():
            assert not [name for name in sys.modules if name == "loom" or name.startswith(("loom.", "opentelemetry"))]
            assert "LOOM_ADDRESS" not in os.environ
        """
    )
    result = pytester.runpytest_subprocess("-p", "no:hypothesispytest", "-p", "no:asyncio", "-W", "error")
    result.assert_outcomes(passed=1)


def test_without_a_binary_tests_are_skipped_and_say_why(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("LOOM_BIN", raising=False)
    monkeypatch.setenv("PATH", "")
    pytester.makepyfile("def test_it(loom_spans): pass\ndef test_other(): pass")
    result = pytester.runpytest_subprocess("-rs")
    result.assert_outcomes(passed=1, skipped=1)
    result.stdout.fnmatch_lines(["*no loom binary: put it into PATH, or name it with LOOM_BIN*needs the real server"])


def test_the_server_reads_the_suite_s_settings(pytester: pytest.Pytester) -> None:
    pytester.makeini(SETTINGS)
    pytester.makeconftest(
        """
        import pytest

        @pytest.fixture(scope="session")
        def loom_settings():
            return "[streams.orders]\\ntopics = ['orders.>']\\nstorage = 'memory'"
        """
    )
    # The directory's own settings are no test's: this file would be refused.
    pytester.path.joinpath("loom.toml").write_text("nonsense = true", encoding="utf-8")
    pytester.makepyfile(
        """
        import json
        import os
        import urllib.request

        def test_it(loom_server):
            assert os.environ["LOOM_HTTP"] == loom_server.http
            with urllib.request.urlopen(f"http://{loom_server.http}/api/v1/info") as reply:
                assert [stream["name"] for stream in json.load(reply)["streams"]] == ["dlq", "orders"]
        """
    )
    pytester.runpytest_subprocess("-W", "error").assert_outcomes(passed=1)


def test_a_scope_that_is_none_is_refused(pytester: pytest.Pytester) -> None:
    pytester.makeini("[pytest]\nloom_server_scope = forever")
    pytester.makepyfile("def test_it(loom_server): pass")
    result = pytester.runpytest_subprocess()
    assert result.ret != 0
    result.stdout.fnmatch_lines(["*loom_server_scope = forever: no scope of*"])


def test_failures_show_what_is_missing_and_both_trees(pytester: pytest.Pytester) -> None:
    pytester.makeini(SETTINGS)
    pytester.makepyfile(
        """
        import loom
        from opentelemetry import trace

        tracer = trace.get_tracer("suite")

        async def test_an_open_span(loom_spans):
            with tracer.start_as_current_span("open") as root:
                with tracer.start_as_current_span("inner"):
                    pass
                await loom_spans.trace(root)

        async def test_another_tree(loom_spans):
            with tracer.start_as_current_span("root") as root:
                with tracer.start_as_current_span("second"):
                    pass
            await loom_spans.assert_trace(root, "root\\n  first\\n  second", timeout=0.2)

        async def test_a_wait_for_more(loom_spans):
            with tracer.start_as_current_span("root") as root:
                pass
            await loom_spans.trace(root, until=lambda spans: len(spans) > 1)
        """
    )
    result = pytester.runpytest_subprocess("--loom-patience", "0.2", "--tb=short")
    result.assert_outcomes(failed=3)
    result.stdout.fnmatch_lines(
        [
            "E*AssertionError: trace * was not whole within 0.2 s:",
            "E*- open has not ended",
            "E*- the parent * of inner is not there",
            "E*It has 1 inner",
            "E*AssertionError: found 2 spans of trace *, and not the expected tree",
            "E*expected *found",
            "E*  root  *root",
            "E*<   first",
            "E*    second*second",
            "E*- what was waited for (until) is not there",
        ]
    )


def test_a_program_s_own_provider_is_read_too(pytester: pytest.Pytester) -> None:
    pytester.makeini(SETTINGS)
    pytester.makeconftest(
        """
        from opentelemetry import trace
        from opentelemetry.sdk.trace import TracerProvider

        trace.set_tracer_provider(TracerProvider())
        """
    )
    pytester.makepyfile(SUITE.replace(" service=agent-doubler", ""))
    pytester.runpytest_subprocess("-W", "error").assert_outcomes(passed=2)


def test_the_guide_s_example_passes(pytester: pytest.Pytester) -> None:
    pytester.makeini(SETTINGS)
    guide = (ROOT / "docs/testing.md").read_text(encoding="utf-8")
    pytester.makepyfile(guide.split("```python\n")[1].split("```")[0])
    pytester.runpytest_subprocess("-W", "error").assert_outcomes(passed=1)
