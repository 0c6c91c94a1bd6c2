"""Capabilities of connected agents as MCP tools."""

from __future__ import annotations

import logging
from contextlib import asynccontextmanager
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from mcp import MCPError
from mcp.server import Server
from mcp_types import INTERNAL_ERROR, INVALID_PARAMS, CallToolResult, ListToolsResult, Tool

from loom import _native
from loom.exceptions import LoomError, UnknownCapability
from loom.headers import from_headers
from loom.mcp.directory import Directory
from loom.mcp.results import failed, to_mcp
from loom.outgoing import DEFAULT_TIMEOUT
from loom.semconv import header

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterable

    from mcp.server import ServerRequestContext
    from mcp_types import CallToolRequestParams, PaginatedRequestParams

    from loom.agent import Agent
    from loom.mcp.directory import Offer

__all__ = ["server"]

_log = logging.getLogger("loom")


def server(
    agent: Agent,
    *,
    only: Iterable[str] = ("*",),
    name: str = "loom",
    timeout: float = DEFAULT_TIMEOUT,
    http: str | None = None,
    token: str | None = None,
) -> Server[Any]:
    """Make an MCP server whose tools are the capabilities of connected agents that match ``only``.

    The list is made anew whenever a client asks for it, of what the server's HTTP API at ``http`` says (``LOOM_HTTP``).
    ``agent`` makes the calls, each for ``timeout`` seconds at most; it is started and stopped with the MCP server
    unless it is running already.

    Serve it with ``mcp.server.stdio``, or with its ``streamable_http_app()``.
    """
    tools = Tools(agent, Directory(http, token), tuple(only), timeout)

    @asynccontextmanager
    async def lifespan(_: Server[Any]) -> AsyncGenerator[dict[str, Any]]:
        if agent.is_connected:
            yield {}
            return
        async with agent:
            yield {}

    return Server(
        name,
        version=_native.__version__,
        lifespan=lifespan,
        on_list_tools=tools.list,
        on_call_tool=tools.call,
    )


class Tools:
    """The two requests of MCP that are about tools. Their spans are made by the SDK of MCP."""

    def __init__(self, agent: Agent, directory: Directory, only: tuple[str, ...], timeout: float) -> None:
        self._agent = agent
        self._directory = directory
        self._only = only
        self._timeout = timeout

    async def list(self, _: ServerRequestContext[Any, Any], __: PaginatedRequestParams | None) -> ListToolsResult:
        """Tell what there is now."""
        try:
            offers = await self._directory.offers()
        except LoomError as error:
            raise MCPError(INTERNAL_ERROR, str(error)) from None
        found = (tool_of(offer) for offer in offers if self._is_offered(offer.name))
        return ListToolsResult(tools=[tool for tool in found if tool is not None])

    async def call(self, ctx: ServerRequestContext[Any, Any], params: CallToolRequestParams) -> CallToolResult:
        """Call a capability. What went wrong in it is told to the model, what was wrong with the call to its client."""
        if not self._is_offered(params.name):
            raise MCPError(INVALID_PARAMS, f"unknown tool: {params.name}")
        # The SDK's span is current already; it takes the trace of ``_meta``, and leaves whom the work is about.
        baggage = (ctx.meta or {}).get(header.BAGGAGE)
        with from_headers({header.BAGGAGE: baggage} if isinstance(baggage, str) else {}):
            try:
                arguments = params.arguments or {}
                return to_mcp(await self._agent.invoke(params.name, arguments, timeout=self._timeout))
            except UnknownCapability:
                raise MCPError(INVALID_PARAMS, f"unknown tool: {params.name}") from None
            except LoomError as error:
                return failed(error)

    def _is_offered(self, name: str) -> bool:
        return not name.startswith("_") and any(fnmatchcase(name, pattern) for pattern in self._only)


def tool_of(offer: Offer) -> Tool | None:
    """Describe a capability as a tool; None where MCP could not call it."""
    schema = dict(offer.input_schema or {})
    if schema.setdefault("type", "object") != "object":
        # The arguments of a tool have names.
        _log.warning("the capability %s is no MCP tool: its arguments are no object", offer.name)
        return None
    return Tool(name=offer.name, description=offer.description or None, input_schema=schema)
