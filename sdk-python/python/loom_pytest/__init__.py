"""pytest's fixtures of Loom: ``loom_server``, ``loom_settings`` and ``loom_spans``.

pytest imports this module in every suite of an environment where Loom is installed. So it stands beside the package
``loom`` and imports of it, native module and all, only what a test asks for. ``docs/testing.md`` is the guide.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from loom.testing import LoomServer, LoomSpans

__all__ = ["loom_server", "loom_settings", "loom_spans"]

Scope = Literal["session", "package", "module", "class", "function"]

_SCOPE = "loom_server_scope"
_SCOPES: tuple[Scope, ...] = ("session", "package", "module", "class", "function")
_PATIENCE = "loom_patience"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add what the fixtures can be told."""
    group = parser.getgroup("loom")
    group.addoption("--loom-server-scope", choices=_SCOPES, help="for how long a server of loom_server lives (session)")
    group.addoption("--loom-patience", type=float, metavar="SECONDS", help="how long loom_spans waits for a trace (10)")
    parser.addini(_SCOPE, "for how long a server of loom_server lives", default="session")
    parser.addini(_PATIENCE, "seconds that loom_spans waits for a trace", default="10")


def _scope(fixture_name: str, config: pytest.Config) -> Any:
    scope = config.getoption(_SCOPE) or config.getini(_SCOPE)
    if scope not in _SCOPES:
        raise pytest.UsageError(f"{_SCOPE} = {scope}: no scope of {fixture_name}; one of {', '.join(_SCOPES)}")
    return scope


@pytest.fixture(scope=_scope)
def loom_settings() -> str:
    """Text of the server's ``loom.toml``: empty, for its defaults. Override it for streams, and whatever else."""
    return ""


@pytest.fixture(scope=_scope)
def loom_server(request: pytest.FixtureRequest, loom_settings: str) -> Iterator[LoomServer]:
    """Start a real server on free ports. Agents of the test find it by themselves, and so do processes that it starts.

    Without a binary of the server (``LOOM_BIN``, else ``loom`` in PATH) the test is skipped.
    """
    from loom.testing import server  # noqa: PLC0415 - see above

    if server.find_binary() is None:
        pytest.skip(f"{server.NO_BINARY}: this test needs the real server")
    # The process exports its spans to one address, for as long as it lives: every server of the session listens there.
    fixed = request.config.stash.get(_OTLP, None)
    with server.LoomServer(ports=fixed, settings=loom_settings) as running, pytest.MonkeyPatch.context() as environment:
        request.config.stash[_OTLP] = {"otlp_grpc": int(running.otlp_grpc.rpartition(":")[2])}
        for name in ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "LOOM_TOKEN"):
            environment.delenv(name, raising=False)
        for name, value in running.environment.items():
            environment.setenv(name, value)
        environment.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
        yield running


_OTLP = pytest.StashKey[dict[str, int]]()


@pytest.fixture
def loom_spans(request: pytest.FixtureRequest, loom_server: LoomServer) -> Iterator[LoomSpans]:
    """Keep the spans of this test, in this process and on the server: ``await loom_spans.trace(trace_id)``."""
    from loom.testing import LoomSpans  # noqa: PLC0415 - see above

    patience = request.config.getoption(_PATIENCE)
    if patience is None:
        patience = float(request.config.getini(_PATIENCE))
    with LoomSpans(loom_server, patience=patience) as spans:
        yield spans
