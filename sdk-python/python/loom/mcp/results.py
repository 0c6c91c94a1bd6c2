"""Results of capabilities as results of MCP tools, and the other way round."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

from mcp_types import (
    INVALID_PARAMS,
    BlobResourceContents,
    CallToolResult,
    EmbeddedResource,
    TextContent,
)

from loom.exceptions import HandlerFailed, InvalidEvent, LoomError

if TYPE_CHECKING:
    from mcp import MCPError
    from mcp_types import ContentBlock

__all__ = ["error_of", "failed", "from_mcp", "to_mcp"]


def to_mcp(result: Any) -> CallToolResult:
    """Show a result: text as it is, bytes as a resource, JSON as text, and as structure where it is an object."""
    if result is None:
        return CallToolResult(content=[])
    if isinstance(result, bytes):
        blob = base64.b64encode(result).decode()
        contents = BlobResourceContents(uri="loom:result", mime_type="application/octet-stream", blob=blob)
        return CallToolResult(content=[EmbeddedResource(type="resource", resource=contents)])
    if isinstance(result, str):
        return CallToolResult(content=[TextContent(type="text", text=result)])
    text = TextContent(type="text", text=json.dumps(result, ensure_ascii=False))
    # Clients before the revision of 2026 take nothing else but objects for structure.
    return CallToolResult(content=[text], structured_content=result if isinstance(result, dict) else None)


def failed(error: LoomError) -> CallToolResult:
    """Tell a model of a failure, so that it can do better or without."""
    return CallToolResult(content=[TextContent(type="text", text=f"{error} ({error.code})")], is_error=True)


def from_mcp(result: CallToolResult) -> Any:
    """Return what a tool has found: its structure, else its text, else its contents as MCP has them.

    Raises:
        HandlerFailed: The tool says that it has failed.

    """
    texts = [block.text for block in result.content if isinstance(block, TextContent)]
    if result.is_error:
        raise HandlerFailed("\n".join(texts) or "the tool has failed and says no more")
    if result.structured_content is not None:
        return result.structured_content
    if not result.content:
        return None
    if len(texts) == len(result.content) == 1:
        return texts[0]
    return [_plain(block) for block in result.content]


def error_of(error: MCPError, server: str) -> LoomError:
    """Translate an error of the protocol."""
    # Whether a provider is unknown, gone or late is said by Loom's server alone, of Loom's own providers.
    kind = InvalidEvent if error.code == INVALID_PARAMS else HandlerFailed
    return kind(f"the MCP server {server}: {error.message}")


def _plain(block: ContentBlock) -> Any:
    return block.model_dump(mode="json", by_alias=True, exclude_none=True)
