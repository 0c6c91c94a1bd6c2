"""The root of a run: a span around everything that one request leads to, and whom it is about."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from loom._functions import in_block
from loom._otel import own_tracer
from loom.identity import context
from loom.semconv import attribute
from loom.semconv import span as span_name

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from types import TracebackType

    from opentelemetry.trace import Span

__all__ = ["workflow"]

F = TypeVar("F")


class workflow:  # noqa: N801 - called like a function
    """A run of a workflow: ``with loom.workflow("onboarding", user_id=user.id) as span:``, or as a decorator.

    A span ``invoke_workflow NAME``, which is the root of a trace where no span is current, and ``loom.context`` with
    the other arguments. ``workflow_id`` is the name unless told otherwise.
    """

    __slots__ = ("_context", "_current", "_identity", "_name")

    def __init__(self, name: str, *, workflow_id: object = None, **identity: Any) -> None:
        self._name = name
        self._identity: dict[str, Any] = {"workflow_id": name if workflow_id is None else workflow_id, **identity}

    def __enter__(self) -> Span:
        self._context = context(**self._identity)
        self._context.__enter__()
        attributes = {
            attribute.GEN_AI_OPERATION_NAME: span_name.INVOKE_WORKFLOW,
            attribute.GEN_AI_WORKFLOW_NAME: self._name,
        }
        self._current: AbstractContextManager[Span] = own_tracer().start_as_current_span(
            f"{span_name.INVOKE_WORKFLOW} {self._name}", attributes=attributes
        )
        return self._current.__enter__()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._current.__exit__(kind, error, traceback)
        self._context.__exit__(kind, error, traceback)

    async def __aenter__(self) -> Span:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, traceback)

    def __call__(self, function: F) -> F:
        """Make each call of a function, async or not, a run."""
        return in_block(function, lambda _args, _kwargs: workflow(self._name, **self._identity))
