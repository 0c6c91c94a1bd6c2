"""``python -m loom.mcp serve``: the capabilities of connected agents as MCP tools, over stdio or streamable HTTP."""

from __future__ import annotations

import argparse
import asyncio
import ipaddress
import logging
import sys
import uuid
from typing import TYPE_CHECKING, Any

import uvicorn
from mcp.server.stdio import stdio_server

from loom._running import until_signalled
from loom.agent import Agent
from loom.mcp.serving import server
from loom.outgoing import DEFAULT_TIMEOUT

if TYPE_CHECKING:
    from mcp.server import Server

_LOCAL = "localhost"


def main(arguments: list[str] | None = None) -> int:
    """Read the command line, and serve until the client leaves or a signal comes; return the exit code."""
    options = _parser().parse_args(arguments)
    # Not to stdout: there the client listens.
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(levelname)s %(message)s")
    agent = Agent(options.agent_id or f"mcp-{uuid.uuid4().hex[:8]}", address=options.address)
    served = server(agent, only=options.tool or ("*",), timeout=options.timeout, http=options.api)
    if options.http is None:
        return asyncio.run(until_signalled(agent.agent_id, _over_stdio(served), agent.stop))
    host, port = options.http
    # uvicorn handles signals itself, and stops the agent with the application.
    uvicorn.run(served.streamable_http_app(host=host), host=host, port=port, log_level="info", access_log=False)
    return 0


async def _over_stdio(served: Server[Any]) -> None:
    async with stdio_server() as (reading, writing):
        await served.run(reading, writing, served.create_initialization_options())


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m loom.mcp", description="Loom and the Model Context Protocol")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    serve = commands.add_parser("serve", help="serve the capabilities of connected agents as MCP tools")
    serve.add_argument("--http", type=_door, metavar="HOST:PORT", help="streamable HTTP at /mcp, instead of stdio")
    serve.add_argument("--tool", action="append", metavar="PATTERN", help="only capabilities like this; repeatable")
    serve.add_argument(
        "--timeout", type=float, default=DEFAULT_TIMEOUT, metavar="SECONDS", help="how long a call may take (30)"
    )
    serve.add_argument("--address", metavar="HOST:PORT", help="the server's bridge (LOOM_ADDRESS, 127.0.0.1:50051)")
    serve.add_argument("--api", metavar="HOST:PORT", help="the server's HTTP API (LOOM_HTTP, 127.0.0.1:8080)")
    serve.add_argument("--agent-id", metavar="ID", help="under which the calls are made (mcp- and a random end)")
    return parser


def _door(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    host = host.strip("[]")
    if not port.isdigit() or not host:
        raise argparse.ArgumentTypeError(f"{text!r} is no HOST:PORT")
    if host != _LOCAL and not _is_loopback(host):
        raise argparse.ArgumentTypeError(
            f"{host} can be reached by others, and this door asks nobody who they are: listen on 127.0.0.1, behind a "
            f"proxy that asks"
        )
    return host, int(port)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


if __name__ == "__main__":
    sys.exit(main())
