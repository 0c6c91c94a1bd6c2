"""A stand-in for a model: it speaks OpenAI's chat completions over HTTP, and needs no network and no key.

It knows nothing: from the figures in the question it makes a word or two, the same ones each time.
"""

from __future__ import annotations

import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

__all__ = ["serve"]


def serve() -> str:
    """Serve from a thread of its own until the process ends; return the base URL for a client."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Completions)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_port}/v1"


def answer(messages: list[dict[str, Any]]) -> str:
    """Say something about the last message."""
    role, question = messages[0]["content"], messages[-1]["content"]
    if "decide" in role:
        votes = len(re.findall(r"rising|calm|good", question)) - len(re.findall(r"falling|wild|bad", question))
        return "buy" if votes > 0 else "sell" if votes < 0 else "hold"
    figures = {name: float(number) for name, number in re.findall(r"'(\w+)': (-?[\d.e-]+)", question)}
    if "short" in figures:
        return "rising" if figures["short"] > figures["long"] else "falling"
    if "volatility" in figures:
        return "calm" if figures["volatility"] < 0.02 else "wild"
    return "good" if figures.get("momentum", 0) > 0 else "bad"


class Completions(BaseHTTPRequestHandler):
    """`POST /v1/chat/completions`, whole or streamed."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        """Answer one request."""
        request = json.loads(self.rfile.read(int(self.headers["content-length"])))
        text = answer(request["messages"])
        prompt = sum(len(str(message["content"]).split()) for message in request["messages"])
        usage = {"prompt_tokens": prompt, "completion_tokens": len(text), "total_tokens": prompt + len(text)}
        head = {"id": "stand-in", "created": 0, "model": request["model"]}
        if not request.get("stream"):
            choice = {"index": 0, **self._message(request, text)}
            body = {**head, "object": "chat.completion", "choices": [choice], "usage": usage}
            self._send("application/json", json.dumps(body))
            return
        chunks: list[dict[str, Any]] = [
            {"choices": [{"index": 0, "delta": {"role": "assistant", "content": letter}, "finish_reason": None}]}
            for letter in text
        ]
        chunks.append({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
        if request.get("stream_options", {}).get("include_usage"):
            chunks.append({"choices": [], "usage": usage})
        lines = [json.dumps({**head, "object": "chat.completion.chunk", **chunk}) for chunk in chunks]
        self._send("text/event-stream", "".join(f"data: {line}\n\n" for line in (*lines, "[DONE]")))

    @staticmethod
    def _message(request: dict[str, Any], text: str) -> dict[str, Any]:
        """Call the first tool, where there are tools and none was called yet; else answer."""
        if not request.get("tools") or request["messages"][-1]["role"] == "tool":
            return {"finish_reason": "stop", "message": {"role": "assistant", "content": text}}
        function = {"name": request["tools"][0]["function"]["name"], "arguments": "{}"}
        call = {"id": "call-1", "type": "function", "function": function}
        return {
            "finish_reason": "tool_calls",
            "message": {"role": "assistant", "content": None, "tool_calls": [call]},
        }

    def _send(self, content_type: str, text: str) -> None:
        body = text.encode()
        self.send_response(200)
        self.send_header("content-type", content_type)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""
