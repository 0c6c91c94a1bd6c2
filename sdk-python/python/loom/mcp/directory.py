"""What connected agents can do, as the server's HTTP API tells it."""

from __future__ import annotations

import asyncio
import json
import os
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from loom.config import TOKEN
from loom.exceptions import ConnectionLost, PermissionDenied

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Directory", "Offer", "offers_of"]

HTTP = "LOOM_HTTP"
"""Address of the server's HTTP API; the variable that the commands of ``loom`` read, too."""
_DEFAULT = "127.0.0.1:8080"
_TIMEOUT = 10.0
_DENIED = (401, 403)


@dataclass(frozen=True, slots=True)
class Offer:
    """A capability that somebody provides."""

    name: str
    description: str
    input_schema: Mapping[str, Any] | None
    """JSON Schema of its arguments; None where none is known."""


class Directory:
    """Asks the server who is connected."""

    def __init__(self, http: str | None = None, token: str | None = None) -> None:
        self._http = http or os.environ.get(HTTP) or _DEFAULT
        self._token = token or os.environ.get(TOKEN)

    async def offers(self) -> list[Offer]:
        """Return what is offered, by name; what several agents provide stands once.

        Raises:
            ConnectionLost: The server does not answer.
            PermissionDenied: The token is missing or wrong.

        """
        return offers_of(await asyncio.to_thread(self._ask))

    def _ask(self) -> Any:
        request = urllib.request.Request(f"http://{self._http}/api/v1/agents")
        if self._token:
            request.add_header("authorization", f"Bearer {self._token}")
        try:
            with urllib.request.urlopen(request, timeout=_TIMEOUT) as reply:  # noqa: S310 - http, and no other scheme
                return json.load(reply)
        except urllib.error.HTTPError as error:
            with error:
                kind = PermissionDenied if error.code in _DENIED else ConnectionLost
                raise kind(f"the server's HTTP API at {self._http} answered {error.code}") from None
        except OSError as error:
            why = f"the server's HTTP API at {self._http} does not answer: {error}"
            raise ConnectionLost(f"{why}; {HTTP} says where it is") from None


def offers_of(answer: Any) -> list[Offer]:
    """Read the capabilities in an answer of ``/api/v1/agents``."""
    found: dict[str, Offer] = {}
    for agent in answer["items"]:
        for capability in agent["capabilities"]:
            name: str = capability["name"]
            # Those of the runtime itself, such as the awards of a contract net, are nobody's tools.
            if name.startswith("_"):
                continue
            schema = capability.get("input_schema") or None
            if isinstance(schema, str):
                schema = json.loads(schema)
            found.setdefault(name, Offer(name, capability.get("description", ""), schema))
    return [found[name] for name in sorted(found)]
