"""Traces are compared with trees as one reads them, and a failure shows both."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from loom.testing import ExpectedSpan, SpanLink, SpanRecord, assert_trace
from loom.testing.tree import read_tree
from loom.testing.unequal import difference
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import Link, SpanKind, StatusCode

TRACE = "5b" * 16


class Made:
    """Makes spans whose ids are their numbers."""

    def __init__(self) -> None:
        self.spans: list[SpanRecord] = []

    def span(self, name: str, parent: SpanRecord | None = None, **options: Any) -> SpanRecord:
        number = len(self.spans) + 1
        parent_id = options.pop("parent_id", parent.span_id if parent else None)
        links = tuple(SpanLink(TRACE, other.span_id) for other in options.pop("links", ()))
        made = SpanRecord(TRACE, f"{number:016x}", parent_id, name, links=links, start_us=number, **options)
        self.spans.append(made)
        return made


def request() -> Made:
    made = Made()
    root = made.span("request", service="shop", attributes={"http.route": "/orders", "size": 3, "cached": False})
    handled = made.span("agent.on_event", root, kind="consumer")
    made.span("chat gpt", handled, status="error")
    made.span("chat gpt", handled)
    made.span("execute_tool search", handled)
    return made


@pytest.mark.parametrize(
    "tree",
    [
        """
        request
          agent.on_event
            chat gpt
            execute_tool search
            chat gpt
        """,
        """
        request [http.route=/orders, size=3 cached=false service=shop]
            agent.on_event [kind=consumer]
                # the first one has failed
                chat gpt [status=error]
                chat gpt *
                execute_tool search
        """,
        """request [http.route=*]
             agent.on_event
               chat gpt *2
               ...""",
        "request\n  …",
        "...",
        ("request", ("agent.on_event", "chat gpt *", "execute_tool search")),
        [("request", ...)],
        ExpectedSpan("request", {"cached": False, "size": 3}, is_open=True),
        (ExpectedSpan("request", {"cached": False}), ("agent.on_event", "...")),
    ],
)
def test_trees_that_are_there(tree: Any) -> None:
    assert_trace(request().spans, tree)


@pytest.mark.parametrize(
    "tree",
    [
        "request",
        "request\n  agent.on_event\n    chat gpt *3\n    execute_tool search",
        "request\n  agent.on_event\n    chat gpt [status=error] *\n    execute_tool search",
        "request [size=4]\n  ...",
        "request [nothing=*]\n  ...",
        "request\n  chat gpt *\n  ...",
        "request\n  ...\nrequest\n  ...",
        "",
    ],
)
def test_trees_that_are_not_there(tree: str) -> None:
    with pytest.raises(AssertionError, match="and not the expected tree"):
        assert_trace(request().spans, tree)


def test_siblings_find_their_own_however_they_stand() -> None:
    """The one that fits both must leave the other to who fits one."""
    made = Made()
    root = made.span("root")
    made.span("work", root, attributes={"a": 1, "b": 1})
    made.span("work", root, attributes={"a": 1})
    assert_trace(made.spans, "root\n  work [a=1]\n  work [b=1]")
    assert_trace(made.spans, "root\n  work [b=1]\n  work [a=1] *")
    with pytest.raises(AssertionError):
        assert_trace(made.spans, "root\n  work [b=1]\n  work [b=1]")


def test_links_are_looked_at_where_they_are_named() -> None:
    made = Made()
    root = made.span("root")
    first, second = made.span("first", root), made.span("second", root)
    made.span("joined", root, links=[first, second])
    assert_trace(made.spans, "root\n  first\n  second\n  joined")
    assert_trace(made.spans, "root\n  first\n  second\n  joined\n    ~> second\n    ~> first")
    assert_trace(made.spans, ("root", "first", "second", ("joined", "~> second", "~> *")))
    text = difference(made.spans, "root\n  first\n  second\n  joined\n    ~> second\n    ~> third", 80)
    assert text == expected_text(f"""
        found 4 spans of trace {TRACE}, and not the expected tree
          expected       found
          root           root
            first          first
            second         second
            joined         joined
              ~> second      ~> second
        <     ~> third
    """)


def expected_text(text: str) -> str:
    lines = text.strip("\n").splitlines()
    indent = len(lines[0]) - len(lines[0].lstrip())
    return "\n".join(line[indent:] for line in lines if line.strip())


def test_a_failure_shows_both_trees() -> None:
    made = request()
    made.span("chat gpt", parent_id="00000000000000ff")
    text = difference(
        made.spans,
        """
        request [http.route=/orders size=4]
          agent.on_event [kind=consumer]
            chat gpt *
            execute_tool search
            execute_tool browse [n=1]
        """,
        120,
    )
    assert text == expected_text(f"""
        found 6 spans of trace {TRACE}, and not the expected tree
          expected                             found
        ! request [http.route=/orders size=4]  request [http.route=/orders size=3]
            agent.on_event [kind=consumer]       agent.on_event [kind=consumer]
              chat gpt *                           chat gpt
              chat gpt *                           chat gpt
              execute_tool search                  execute_tool search
        <     execute_tool browse [n=1]
        >                                      chat gpt (its parent 00000000000000ff is not there)
    """)


def test_a_failure_without_room_for_columns_shows_lines() -> None:
    text = difference(request().spans, "request [size=4]\n  agent.on_event\n    chat gpt *2", 40)
    assert text == expected_text(f"""
        found 5 spans of trace {TRACE}, and not the expected tree
        - expected
        + found
        - request [size=4]
        + request [size=3]
            agent.on_event
              chat gpt
              chat gpt
        +     execute_tool search
    """)


def test_a_failure_shows_what_is_missing_altogether() -> None:
    text = difference([], "request\n  agent.on_event *\n    chat gpt *2")
    assert text == expected_text("""
        found no spans, and not the expected tree
          expected            found
        < request
        <   agent.on_event *
        <     chat gpt *2
        <     chat gpt *2
    """)


def test_an_attribute_that_is_missing_is_not_shown_as_found() -> None:
    made = Made()
    made.span("a b *", attributes={"text": "two words"})
    assert difference(made.spans, '"a b *" [text="two words" other=1]') == expected_text(f"""
        found 1 span of trace {TRACE}, and not the expected tree
          expected                              found
        ! "a b *" [text="two words" other=1]  "a b *" [text="two words"]
    """).replace("  found\n", "found\n", 1)


def test_spans_of_the_sdk_are_compared_as_they_are() -> None:
    exporter = InMemorySpanExporter()
    provider = TracerProvider(resource=Resource({"service.name": "mine"}))
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracer = provider.get_tracer("tests")
    with tracer.start_as_current_span("root", kind=SpanKind.SERVER) as root:
        child = tracer.start_span("child", links=[Link(root.get_span_context())])
        child.set_status(StatusCode.ERROR)
        child.end()
    assert_trace(
        exporter.get_finished_spans(),
        """
        root [service=mine kind=server]
          child [status=error]
            ~> root
        """,
    )


@pytest.mark.parametrize(
    ("tree", "why"),
    [
        ("a\n    b\n  c", "line 3 .* is indented like no line above it: 'c'"),
        ("a [x]", "attribute that cannot be read: 'x'"),
        ("~> a", "a link belongs to a span"),
        (("a", 3), "no span of an expected tree: 3"),
        ((), "no span of an expected tree"),
    ],
)
def test_a_tree_that_cannot_be_read_says_where(tree: Any, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        assert_trace([], tree)


def test_a_chain_of_hundreds_and_a_crowd_of_hundreds_are_compared() -> None:
    chain, crowd = Made(), Made()
    last = None
    for _ in range(300):
        last = chain.span("hop", last)
    assert_trace(chain.spans, "\n".join("  " * depth + "hop" for depth in range(300)))
    root = crowd.span("root")
    for number in range(400):
        crowd.span("work", root, attributes={"number": number})
    assert_trace(crowd.spans, "root\n" + "\n".join(f"  work [number={number}]" for number in reversed(range(400))))


def test_spans_in_a_circle_are_no_tree() -> None:
    made = Made()
    made.span("a", parent_id=f"{2:016x}")
    made.span("b", parent_id=f"{1:016x}")
    with pytest.raises(AssertionError, match=r"its parent .* is not there"):
        assert_trace(made.spans, "a\n  b")


NAMES = st.sampled_from(["a", "b", "a *", "a [x=1]", "...", "~> a", '"', "#", " padded ", "c d", "ü", "", "\\"])
VALUES = st.one_of(st.text('ab= ,]"[\\ü\t', max_size=5).filter(lambda text: text != "*"), st.booleans(), st.integers())


def expected_spans() -> st.SearchStrategy[ExpectedSpan]:
    attributes = st.dictionaries(st.sampled_from(["x", "y.z"]), VALUES, max_size=2)
    leaf = st.builds(ExpectedSpan, NAMES, attributes)
    return st.recursive(
        leaf,
        lambda below: st.builds(ExpectedSpan, NAMES, attributes, st.lists(below, max_size=3).map(tuple)),
        max_leaves=8,
    )


def as_text(expected: ExpectedSpan, depth: int = 0) -> str:
    return "\n".join(["  " * depth + expected.line(), *(as_text(child, depth + 1) for child in expected.children)])


def build(made: Made, expected: ExpectedSpan, parent: SpanRecord | None = None) -> None:
    span = made.span(expected.name, parent, attributes=dict(expected.attributes))
    for child in reversed(expected.children):
        build(made, child, span)


@given(expected_spans())
def test_what_is_written_is_read_and_a_trace_is_its_own_tree(expected: ExpectedSpan) -> None:
    text = as_text(expected)
    made = Made()
    build(made, expected)
    assert_trace(made.spans, text)
    (root,), is_open = read_tree(text)
    assert (as_text(root), is_open) == (text, False)
    with pytest.raises(AssertionError):
        assert_trace(made.spans[:-1], text)
