"""The Model Context Protocol: capabilities of agents as MCP tools, and tools of MCP servers as capabilities.

    async with loom.mcp.tools(agent, StdioServerParameters(command="weather-server")):
        async with agent: ...

    python -m loom.mcp serve

Trace and identity go along both ways, in ``_meta`` as SEP-414 has it. It needs the package ``mcp`` from 2.3 on, the
extra of that name. docs/mcp.md is the guide.
"""

from __future__ import annotations

try:
    import mcp as _sdk
except ImportError as error:
    raise ImportError("loom.mcp needs the package mcp from 2.3 on: pip install 'mcp>=2.3'") from error

from loom.mcp.serving import server
from loom.mcp.using import tools

del _sdk

__all__ = ["server", "tools"]
