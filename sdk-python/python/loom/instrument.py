"""Instrumentations of other libraries, by their names as OpenTelemetry knows them.

Every package ``opentelemetry-instrumentation-…``, the official ones and OpenLLMetry's, registers itself under a name.
The first Agent switches on those of LLM clients that are installed, each when its library is imported; others are
named: ``Agent(instrument=["openai", "httpx"])``.
"""

from __future__ import annotations

import logging
import os
from importlib.metadata import EntryPoint, entry_points
from threading import Lock
from typing import TYPE_CHECKING, Any

from wrapt import register_post_import_hook

from loom.contents import capture, captures_content
from loom.faults import fault
from loom.first_token import measure_first_token
from loom.processes import carry_into_processes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = ["DISABLED", "LLM_CLIENTS", "OPIK", "instrument", "prepare_process"]

_log = logging.getLogger("loom")

GROUP = "opentelemetry_instrumentor"
DISABLED = "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS"
"""Names that are never switched on, with commas between them; ``*`` for all. OpenTelemetry's variable."""
OPIK = "opik"
"""Not OpenTelemetry's: handlers are Opik traces, too. See ``loom.opik``."""
_THREADS = "threading"
_OPENLLMETRY_CONTENT = "TRACELOOP_TRACE_CONTENT"

LLM_CLIENTS = {
    "anthropic": "anthropic",
    "bedrock": "botocore",
    "cohere": "cohere",
    "google_genai": "google.genai",
    "groq": "groq",
    "mistralai": "mistralai",
    "ollama": "ollama",
    "openai": "openai",
    "openai_agents": "agents",
    "replicate": "replicate",
    "together": "together",
    "vertexai": "vertexai",
    "watsonx": "ibm_watsonx_ai",
}
"""Names that are switched on where they are installed, and the modules that they instrument."""

_lock = Lock()
_switched_on: set[str] = set()
_hooked: set[str] = set()


def instrument(*names: str) -> tuple[str, ...]:
    """Switch on the instrumentations of these names; return those that are on now.

    One that is not installed, or whose library is not, is told in the log: telemetry never stops a program. Several
    packages may offer a name; the official one is taken.
    """
    return _instrument(names, is_wanted=True)


def prepare_process(names: Iterable[str] | None, *, records: bool, captures: bool) -> None:
    """Do what the first Agent does: contexts go into threads and children, and LLM clients are instrumented."""
    capture(is_wanted=captures)
    carry_into_processes()
    _instrument((_THREADS,), is_wanted=True)
    if not records:
        return
    with _lock:
        is_first = not _hooked
        _hooked.update(LLM_CLIENTS)
    if is_first:
        register_post_import_hook(measure_first_token, "openai")
    if names is not None:
        _instrument([name for name in names if name != OPIK], is_wanted=True)
        return
    if not is_first:
        return
    installed = {offer.name for offer in entry_points(group=GROUP)}
    for name in LLM_CLIENTS.keys() & installed:
        # Not imported by us: that may take seconds, and the program may never do it.
        register_post_import_hook(_hook(name), LLM_CLIENTS[name])


def _hook(name: str) -> Callable[[object], object]:
    return lambda _: _instrument((name,), is_wanted=False)


def _instrument(names: Iterable[str], *, is_wanted: bool) -> tuple[str, ...]:
    disabled = {name.strip() for name in os.environ.get(DISABLED, "").split(",")}
    for name in names:
        if disabled.isdisjoint((name, "*")) and _claim(name):
            is_on = False
            try:
                is_on = _switch_on(name, is_wanted=is_wanted)
            except Exception as error:  # noqa: BLE001 - counted, whatever a foreign package raises
                fault(f"instrumentation of {name}", error)
            if not is_on:
                _switched_on.discard(name)
    return tuple(sorted(_switched_on))


def _claim(name: str) -> bool:
    """Say who switches it on. No lock is held meanwhile: that imports, and imports come here (see ``_hook``)."""
    with _lock:
        is_free = name not in _switched_on
        _switched_on.add(name)
        return is_free


def _switch_on(name: str, *, is_wanted: bool) -> bool:
    offers = sorted(entry_points(group=GROUP, name=name), key=_rank)
    if not offers:
        if is_wanted:
            _log.warning("no instrumentation of %s is installed: see pip install opentelemetry-instrumentation-…", name)
        return False
    instrumentor: Any = offers[0].load()()
    if instrumentor.is_instrumented_by_opentelemetry:
        return True
    if (conflict := instrumentor._check_dependency_conflicts()) is not None:  # noqa: SLF001 - its base class'
        if is_wanted:
            _log.warning("%s cannot be instrumented: %s", name, conflict)
        return False
    if not captures_content():
        # OpenLLMetry's records contents unless this says no; everybody else asks for a yes.
        os.environ.setdefault(_OPENLLMETRY_CONTENT, "false")
    instrumentor.instrument()
    _log.debug("spans of %s are recorded by %s", name, _package(offers[0]))
    return True


def _package(offer: EntryPoint) -> str:
    return offer.dist.name if offer.dist is not None else offer.value


def _rank(offer: EntryPoint) -> tuple[bool, str]:
    """Put OpenTelemetry's own packages first; they keep to the conventions."""
    author = offer.dist.metadata.json.get("author_email", "") if offer.dist is not None else ""
    return ("opentelemetry" not in str(author).lower(), _package(offer))
