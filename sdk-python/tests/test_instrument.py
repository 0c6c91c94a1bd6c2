"""Instrumentations of other libraries: found, named, forbidden, missing, and never in the way."""

from __future__ import annotations

from conftest import RunScript

QUIET = """
    import logging, sys, warnings
    warnings.simplefilter("ignore")  # foreign packages use what others have deprecated
    logging.basicConfig()
    import loom
"""


def test_a_client_is_found_when_it_is_imported(run_script: RunScript) -> None:
    done = run_script(
        QUIET
        + """
    loom.Agent("a")
    assert "openai" not in sys.modules
    assert loom.instrument() == ("threading",)
    import openai
    assert loom.instrument() == ("openai", "threading")
    """
    )
    assert (done.code, done.err) == (0, "")


def test_one_that_is_found_may_also_be_named(run_script: RunScript) -> None:
    """The import that its instrumentation makes finds it once more."""
    done = run_script(
        QUIET
        + """
    loom.Agent("a")
    assert loom.instrument("openai") == ("openai", "threading")
    loom.Agent("b", instrument=["openai", "httpx"])
    assert loom.instrument() == ("httpx", "openai", "threading")
    """,
        timeout=30,
    )
    assert (done.code, done.err) == (0, "")


def test_some_can_be_forbidden(run_script: RunScript) -> None:
    done = run_script(
        QUIET
        + """
    loom.Agent("a", instrument=["httpx", "openai"])
    print(loom.instrument())
    """,
        OTEL_PYTHON_DISABLED_INSTRUMENTATIONS="openai, threading",
    )
    assert (done.code, done.out.strip(), done.err) == (0, "('httpx',)", "")
    done = run_script(
        QUIET
        + """
    loom.Agent("a", instrument=["httpx"])
    print(loom.instrument())
    """,
        OTEL_PYTHON_DISABLED_INSTRUMENTATIONS="*",
    )
    assert (done.code, done.out.strip(), done.err) == (0, "()", "")


def test_one_that_is_not_there_is_told_and_the_agent_goes_on(run_script: RunScript) -> None:
    done = run_script(
        QUIET
        + """
    loom.Agent("a", instrument=["nobody"])
    print(loom.instrument())
    """
    )
    assert (done.code, done.out.strip()) == (0, "('threading',)")
    assert "no instrumentation of nobody is installed" in done.err


def test_one_that_fails_is_counted(run_script: RunScript) -> None:
    done = run_script(
        QUIET
        + """
    from opentelemetry.instrumentation.httpx import HTTPXClientInstrumentor
    def broken(self, **options):
        raise RuntimeError("of the instrumentation")
    HTTPXClientInstrumentor._instrument = broken
    loom.Agent("a", instrument=["httpx"])
    print(loom.instrument(), loom.telemetry_stats().faults)
    """
    )
    assert (done.code, done.out.strip()) == (0, "('threading',) {'instrumentation of httpx': 1}")
