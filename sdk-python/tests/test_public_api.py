"""Names that users rely on."""

from __future__ import annotations

import ast
import pickle
from pathlib import Path

import loom
import pytest
from loom import _native, exceptions, semconv

PACKAGE = Path(loom.__file__).parent


def test_every_public_name_exists_and_is_listed() -> None:
    assert sorted(loom.__all__) == loom.__all__
    for name in loom.__all__:
        assert hasattr(loom, name), name
    defined = {name for name, value in vars(exceptions).items() if isinstance(value, type)}
    assert {"AgentIdInUse", *exceptions.__all__} <= defined
    assert set(exceptions.__all__) <= set(loom.__all__)


def test_the_package_is_typed() -> None:
    assert (PACKAGE / "py.typed").exists()
    assert (PACKAGE / "_native.pyi").exists()


def test_the_constants_are_the_contract_s() -> None:
    """The stub lists what the native module has, value by value."""
    stub: dict[tuple[str, str], str] = {}
    for node in ast.parse((PACKAGE / "semconv.pyi").read_text()).body:
        if isinstance(node, ast.ClassDef):
            for entry in node.body:
                assert isinstance(entry, ast.AnnAssign)
                assert isinstance(entry.target, ast.Name)
                assert isinstance(entry.value, ast.Constant)
                stub[node.name, entry.target.id] = str(entry.value.value)
    native = {(module, constant): value for module, constant, value in _native.semconv_names()}
    assert stub == native
    for (module, constant), value in native.items():
        assert getattr(getattr(semconv, module), constant) == value


@pytest.mark.parametrize(("code", "name"), _native.error_codes())
def test_every_code_has_its_exception(code: str, name: str) -> None:
    error = exceptions.from_code(code, "message", "event.topic")
    assert type(error).__name__ == name
    assert (error.code, error.field, str(error)) == (code, "event.topic", "message")
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), again.code, again.field, str(again)) == (type(error), code, "event.topic", "message")


def test_a_code_of_a_newer_server_is_an_error_still() -> None:
    error = exceptions.from_code("brand_new", "message")
    assert type(error) is loom.LoomError
    assert error.code == "brand_new"


def test_exceptions_can_be_raised_by_users() -> None:
    assert loom.HandlerFailed("x").code == "handler_failed"
    assert isinstance(loom.DeadlineExceeded("x"), TimeoutError)
    assert isinstance(loom.EventTooLarge("x"), loom.InvalidEvent)


def test_native_classes_cannot_be_made_by_hand() -> None:
    for kind in (loom.Event, _native.Span, _native.SpanSource):
        with pytest.raises(TypeError):
            kind()


def test_topics_are_checked_by_the_contract_s_rule() -> None:
    _native.validate_topic("a.b-c.D_9")
    _native.validate_pattern("a.*.>")
    for topic in ("a.*", "a.>", "", ".", "a."):
        with pytest.raises(loom.InvalidEvent):
            _native.validate_topic(topic)
    for pattern in ("a.>.b", "a*", ""):
        with pytest.raises(loom.InvalidAgent):
            _native.validate_pattern(pattern)
