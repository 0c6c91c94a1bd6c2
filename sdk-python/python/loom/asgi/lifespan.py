"""An agent that lives as long as the application: once in each of its worker processes."""

from __future__ import annotations

import asyncio
import logging
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeAlias

from loom.agent import Agent
from loom.exceptions import AgentIdInUse

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable
    from contextlib import AbstractAsyncContextManager

__all__ = ["agent_lifespan"]

_log = logging.getLogger("loom")

Lifespan: TypeAlias = "Callable[[Any], AbstractAsyncContextManager[dict[str, Agent]]]"


def agent_lifespan(
    agent: Agent | Callable[[str], Agent],
    agent_id: str | None = None,
    *,
    max_workers: int = 64,
    start_timeout: float | None = None,
) -> Lifespan:
    """Start an agent with the application and stop it with it: ``FastAPI(lifespan=agent_lifespan(agent))``.

    An agent id is in use by one process at a time. So an application with several worker processes gives a function
    that makes the agent, and the id that its workers have in common: ``agent_lifespan(make_agent, "web")`` starts
    ``web-1`` in the first, ``web-2`` in the next, and in one that is started anew whichever is free.

    Requests find the agent as ``request.state.agent``. The application starts when the server has welcomed the agent;
    it waits for that, for ``start_timeout`` seconds at most.

    Raises:
        AgentIdInUse: Another process has the agent's id, or ``max_workers`` of them have those of the workers.
        TimeoutError: There was no server within ``start_timeout`` seconds.

    """
    if isinstance(agent, Agent) is (agent_id is not None):
        raise TypeError('give an agent, or a function that makes one and the id of the workers: (make_agent, "web")')

    @asynccontextmanager
    async def lifespan(_app: Any) -> AsyncGenerator[dict[str, Agent]]:
        async with asyncio.timeout(start_timeout):
            if isinstance(agent, Agent):
                started = await _started_alone(agent)
            else:
                started = await _started_beside_others(agent, f"{agent_id}", max_workers)
        try:
            yield {"agent": started}
        finally:
            await started.stop()

    return lifespan


async def _started_alone(agent: Agent) -> Agent:
    try:
        await agent.start()
    except AgentIdInUse as error:
        raise AgentIdInUse(
            f"{error}; where the application has several workers, give agent_lifespan a function that makes the agent "
            f'of each: agent_lifespan(make_agent, "{agent.agent_id}")',
            field=error.field,
        ) from None
    return agent


async def _started_beside_others(make: Callable[[str], Agent], agent_id: str, max_workers: int) -> Agent:
    # The server says which are free: two workers that try the same one at the same time are told so.
    for number in range(1, max_workers + 1):
        agent = make(f"{agent_id}-{number}")
        try:
            await agent.start()
        except AgentIdInUse:
            continue
        _log.info("this worker is the agent %s", agent.agent_id)
        return agent
    raise AgentIdInUse(
        f"{max_workers} agents are connected under the ids {agent_id}-1 to {agent_id}-{max_workers}: are there more "
        f"workers than max_workers?",
        field="hello.agent_id",
    )
