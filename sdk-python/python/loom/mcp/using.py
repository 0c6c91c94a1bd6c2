"""Tools of MCP servers as capabilities of an agent."""

from __future__ import annotations

import re
from contextlib import AsyncExitStack, asynccontextmanager
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, TypeAlias, TypeGuard

from mcp import Client, ClientSession, MCPError
from mcp_types import PaginatedRequestParams

from loom.exceptions import HandlerFailed, InvalidEvent
from loom.mcp.results import error_of, from_mcp

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable

    from mcp import StdioServerParameters
    from mcp.client import Transport
    from mcp.server import MCPServer, Server
    from mcp_types import Tool

    from loom.agent import Agent
    from loom.handler import Context

__all__ = ["tools"]

McpServer: TypeAlias = "Client | ClientSession | StdioServerParameters | Transport | Server[Any] | MCPServer | str"
"""A connected client or session; else what ``mcp.Client`` connects to: a command, a URL, a transport, a server."""

_NOT_IN_A_NAME = re.compile(r"[^A-Za-z0-9_.-]")


@asynccontextmanager
async def tools(
    agent: Agent, server: McpServer, *, prefix: str = "", only: Iterable[str] = ("*",), timeout: float = 0.0
) -> AsyncGenerator[list[str]]:
    """Provide the tools of an MCP server that match ``only`` as capabilities, while the block lasts.

    Their names are those of the tools behind ``prefix``; a character that a capability's name cannot have is ``_``. The
    block yields the names. Start the agent inside of it: capabilities come before the start. A connected client or
    session that is given stays open.

    A call may take ``timeout`` seconds, 0 means as many as the agent's handlers may. Callers get ``HandlerFailed``
    where a tool fails or its server has gone, and ``InvalidEvent`` where it refuses the arguments.
    """
    async with AsyncExitStack() as stack:
        client = server
        if not isinstance(client, Client | ClientSession):
            client = await stack.enter_async_context(Client(client))
        patterns = tuple(only)
        names: list[str] = []
        for tool in await _listed(client):
            if any(fnmatchcase(tool.name, pattern) for pattern in patterns):
                name = prefix + _NOT_IN_A_NAME.sub("_", tool.name)
                provide = agent.capability(
                    name, description=tool.description or "", input_schema=tool.input_schema, timeout=timeout
                )
                provide(_calling(client, tool.name, timeout))
                names.append(name)
        yield names


async def _listed(client: Client | ClientSession) -> list[Tool]:
    session = client.session if isinstance(client, Client) else client
    found: list[Tool] = []
    cursor: str | None = None
    while True:
        page = await session.list_tools(params=PaginatedRequestParams(cursor=cursor))
        found += page.tools
        cursor = page.next_cursor
        if cursor is None:
            return found


def _is_object(args: object) -> TypeGuard[dict[str, Any]]:
    return isinstance(args, dict)


def _calling(client: Client | ClientSession, tool: str, timeout: float) -> Callable[[Context, Any], Awaitable[Any]]:
    async def call(_: Context, args: Any) -> Any:
        if args is not None and not _is_object(args):
            raise InvalidEvent(f"the arguments of {tool} are an object, not {type(args).__name__}", field="args")
        info = client.server_info
        try:
            # The SDK of MCP makes the span of the call, and writes trace and identity into ``_meta``.
            result = await client.call_tool(tool, args, read_timeout_seconds=timeout or None)
        except MCPError as error:
            raise error_of(error, info.name if info is not None else "?") from error
        except TimeoutError:
            raise HandlerFailed(f"the MCP tool {tool} did not answer within {timeout:g} s") from None
        return from_mcp(result)

    return call
