"""The model that the desk asks: OpenAI's client, whichever server it speaks with.

OPENAI_BASE_URL, OPENAI_API_KEY and OPENAI_MODEL name a real one. Without a base URL and a key it is the stand-in of
this demo, whose address the agent `model` tells.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

from loom import Context
from openai import AsyncOpenAI

MODEL = os.environ.get("OPENAI_MODEL", "gpt-4o-mini")


@dataclass(frozen=True)
class Model:
    """A client, and the model that it asks for."""

    client: AsyncOpenAI

    async def ask(self, role: str, question: str) -> str:
        """Stream an answer, and return it as one text."""
        stream = await self.client.chat.completions.create(
            model=MODEL,
            messages=[{"role": "system", "content": role}, {"role": "user", "content": question}],
            stream=True,
            stream_options={"include_usage": True},
        )
        words = [chunk.choices[0].delta.content or "" async for chunk in stream if chunk.choices]
        return "".join(words).strip()


_model: Model | None = None


async def client_for(ctx: Context) -> Model:
    """Return the process' client."""
    global _model
    if _model is None:
        if os.environ.get("OPENAI_BASE_URL") or os.environ.get("OPENAI_API_KEY"):
            _model = Model(AsyncOpenAI())
        else:
            _model = Model(AsyncOpenAI(base_url=await ctx.invoke("model.address"), api_key="stand-in"))
    return _model
