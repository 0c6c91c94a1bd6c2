"""A request goes on in its client's trace, and everything that it leads to is in it. Under a real uvicorn."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import socket
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping
from typing import Any, Literal

import httpx
import loom
import pytest
import uvicorn
import websockets
from conftest import Bus, Names, eventually
from fastapi import FastAPI, HTTPException, Request, WebSocket
from fastapi.responses import StreamingResponse
from hypothesis import given
from hypothesis import strategies as st
from loom import Context, Event
from loom.asgi import LoomMiddleware, agent_lifespan
from loom.asgi.requests import attributes_of, context_headers
from loom.asgi.types import Identify
from loom.testing import LoomServer, LoomSpans, SpanRecord
from opentelemetry import baggage, trace
from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor

tracer = trace.get_tracer("tests")


@pytest.fixture
def spans(server: LoomServer) -> Iterator[LoomSpans]:
    with LoomSpans(server) as spans:
        yield spans


@contextlib.asynccontextmanager
async def serving(app: Any, lifespan: Literal["on", "off"] = "on") -> AsyncGenerator[httpx.AsyncClient]:
    """Serve an application as in production, in this loop, and return a client of it."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        config = uvicorn.Config(app, log_config=None, lifespan=lifespan, ws="websockets-sansio")
        running = uvicorn.Server(config)
        # In a context of its own: what is current here is the client's, and no request's.
        task = asyncio.create_task(running.serve([listener]), context=contextvars.Context())
        await eventually(lambda: running.started or task.done())
        host, port = listener.getsockname()
        async with httpx.AsyncClient(base_url=f"http://{host}:{port}", timeout=15) as client:
            yield client
        running.should_exit = True
        await task


def is_ann(_: Mapping[str, Any]) -> dict[str, object]:
    return {"user_id": "ann"}


def query_of(scope: Mapping[str, Any]) -> str:
    return str(scope["query_string"].decode())


def service(*, identify: Identify | None = None, lifespan: Any = None, **options: Any) -> FastAPI:
    """Make an application whose spans are Loom's; FastAPI makes its own unless it is told not to."""
    app = FastAPI(telemetry={"tracing": False}, lifespan=lifespan)
    app.add_middleware(LoomMiddleware, identify=identify, **options)
    return app


async def doubler(bus: Bus) -> tuple[loom.Agent, str]:
    """Start an agent that answers with twice the number, and return its topic."""
    topic = bus.names.topic("numbers")

    async def double(ctx: Context, topic: str, event: Event) -> None:
        await ctx.reply(2 * event.json())

    return await bus.started("doubler", topics=[topic], on_event=double), topic


HOP = """
bridge.publish
  EventBus.publish
    bridge.forward
      agent.on_event [{0}]
        bridge.publish
          EventBus.publish
            bridge.forward [topic=*]
"""


def below(depth: int, tree: str) -> str:
    return "\n".join("  " * depth + line for line in tree.strip().splitlines())


async def test_a_request_is_one_trace_from_its_client_to_the_agents_and_back(bus: Bus, spans: LoomSpans) -> None:
    answering, topic = await doubler(bus)
    asking = bus.agent("web")
    app = service(lifespan=agent_lifespan(asking))

    @app.get("/double/{number}")
    async def double(number: int, request: Request) -> int:
        reply = await request.state.agent.request(topic, number)
        return int(reply.json())

    async with serving(app) as client:
        with tracer.start_as_current_span("client") as root, loom.context(user_id="ann", session_id="s 1"):
            response = await client.get("/double/21?token=secret&verbose=1", headers=loom.to_headers())
        assert response.json() == 42
        identity = f'user.id=ann session.id="s 1" agent.id={answering.agent_id}'
        found = await spans.assert_trace(
            root,
            "client\n"
            "  GET /double/{number} [kind=server status=unset http.request.method=GET http.route=/double/{number}"
            " http.response.status_code=200 url.path=/double/21 url.scheme=http user.id=ann]\n"
            + below(2, HOP.format(identity)),
        )
    request = next(span for span in found if span.kind == "server" and "GET" in span.name)
    assert request.attributes["url.query"] == "token=REDACTED&verbose=1"
    assert request.attributes["server.address"] == "127.0.0.1"
    assert request.attributes["server.port"] == client.base_url.port
    assert request.attributes["client.address"] == "127.0.0.1"
    assert request.attributes["network.protocol.version"] == "1.1"
    assert request.attributes["user_agent.original"].startswith("python-httpx/")
    assert not asking.is_connected


async def test_without_a_client_s_trace_a_request_is_a_root(bus: Bus, spans: LoomSpans) -> None:
    _, topic = await doubler(bus)
    asking = await bus.started("web")
    app = service(identify=lambda scope: {"user_id": query_of(scope), "plan": "free"})
    seen: list[int] = []

    @app.get("/")
    async def root() -> str:
        seen.append(trace.get_current_span().get_span_context().trace_id)
        assert baggage.get_baggage("plan") == "free"
        return (await asking.request(topic, 1)).text()

    async with serving(app) as client:
        assert (await client.get("/?bob")).status_code == 200
    await spans.assert_trace(seen[0], "GET / [kind=server user.id=bob]\n" + below(1, HOP.format("user.id=bob")))


@pytest.mark.parametrize("accept_baggage", [True, False])
async def test_fastapi_s_own_span_is_respected(server: LoomServer, spans: LoomSpans, accept_baggage: bool) -> None:
    app = FastAPI()
    app.add_middleware(LoomMiddleware, identify=is_ann, trace_response=True, accept_baggage=accept_baggage)
    seen: list[str | None] = []

    @app.get("/items/{item}")
    async def item(item: int) -> None:
        seen.append(loom.get_current_context().tenant_id)
        with tracer.start_as_current_span("work"):
            pass

    async with serving(app) as client:
        with tracer.start_as_current_span("client") as root, loom.context(tenant_id="t"):
            response = await client.get("/items/3", headers=loom.to_headers())
    found = await spans.assert_trace(
        root,
        """
        client
          GET /items/{item} [kind=server user.id=ann]
            fastapi.dependencies [user.id=ann]
            fastapi.endpoint [user.id=ann]
              work [user.id=ann]
            fastapi.serialization
        """,
    )
    assert seen == ["t" if accept_baggage else None]
    assert response.headers["traceresponse"].split("-")[2] == found[1].span_id


async def test_an_application_that_is_called_in_a_handler_s_process_has_a_span_of_its_own(
    bus: Bus, spans: LoomSpans
) -> None:
    app = service()

    @app.get("/")
    async def root() -> None:
        return None

    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://here") as client:
        with tracer.start_as_current_span("like a handler", kind=trace.SpanKind.SERVER) as handler:
            with tracer.start_as_current_span("call"):
                headers = loom.to_headers()
            await client.get("/", headers=headers)
            await client.get("/")
    await spans.assert_trace(handler, "like a handler\n  call\n    GET /")


async def test_an_instrumentation_s_span_is_respected(bus: Bus, spans: LoomSpans) -> None:
    app = FastAPI(telemetry={"operation_spans": False})
    app.add_middleware(LoomMiddleware, identify=is_ann)
    inner: list[str | None] = []

    @app.get("/items/{item}")
    async def item(item: int) -> None:
        inner.append(loom.get_current_context().user_id)
        with tracer.start_as_current_span("work"):
            pass

    FastAPIInstrumentor.instrument_app(app, exclude_spans=["send", "receive"])
    async with serving(app) as client:
        with tracer.start_as_current_span("client") as root:
            await client.get("/items/3", headers=loom.to_headers())
    assert inner == ["ann"]
    await spans.assert_trace(
        root,
        """
        client
          GET /items/{item} [kind=server user.id=ann]
            work [user.id=ann]
        """,
    )


@pytest.mark.parametrize(
    ("path", "code", "expected"),
    [
        ("/broken", 500, "GET /broken [status=error error.type=ZeroDivisionError http.response.status_code=500]"),
        ("/busy", 503, "GET /busy [status=error error.type=503 http.response.status_code=503]"),
        ("/absent", 404, "GET /absent [status=unset http.response.status_code=404]"),
        ("/nowhere", 404, "GET [status=unset http.response.status_code=404 url.path=/nowhere]"),
    ],
)
async def test_errors_are_recorded(server: LoomServer, spans: LoomSpans, path: str, code: int, expected: str) -> None:
    app = service()

    @app.get("/broken")
    async def broken() -> float:
        return 1 / 0

    @app.get("/busy")
    async def busy() -> None:
        raise HTTPException(503)

    @app.get("/absent")
    async def absent() -> None:
        raise HTTPException(404)

    async with serving(app) as client:
        with tracer.start_as_current_span("client") as root:
            assert (await client.get(path, headers=loom.to_headers())).status_code == code
    await spans.assert_trace(root, f"client\n  {expected}")


async def test_a_response_in_parts_keeps_the_context_until_its_end(server: LoomServer, spans: LoomSpans) -> None:
    app, go = service(identify=lambda _: {"workflow_id": "w"}), asyncio.Event()

    @app.get("/parts")
    async def parts() -> StreamingResponse:
        async def stream() -> AsyncIterator[str]:
            for number in range(2):
                with tracer.start_as_current_span(f"part {number}"):
                    pass
                yield str(loom.get_current_context().workflow_id)
                await go.wait()

        return StreamingResponse(stream())

    @app.get("/fails")
    async def fails() -> StreamingResponse:
        async def stream() -> AsyncIterator[str]:
            yield "begun"
            raise ConnectionError("the source is gone")

        return StreamingResponse(stream())

    async with serving(app) as client:
        with tracer.start_as_current_span("client") as root:
            async with client.stream("GET", "/parts", headers=loom.to_headers()) as response:
                received = response.aiter_text()
                assert await anext(received) == "w"
                assert not [span for span in spans.finished() if span.kind == "server"]
                go.set()
                assert "".join([part async for part in received]) == "w"
            with contextlib.suppress(httpx.RemoteProtocolError):
                await client.get("/fails", headers=loom.to_headers())
    await spans.assert_trace(
        root,
        """
        client
          GET /parts [workflow.id=w http.response.status_code=200]
            part 0 [workflow.id=w]
            part 1 [workflow.id=w]
          GET /fails [status=error http.response.status_code=200]
        """,
    )


async def test_a_websocket_keeps_the_context_until_it_closes(server: LoomServer, spans: LoomSpans) -> None:
    app = service(identify=lambda _: {"session_id": "s-1"})

    @app.websocket("/talk/{room}")
    async def talk(socket: WebSocket, room: str) -> None:
        if room == "locked":
            await socket.close()
            return
        await socket.accept()
        async for text in socket.iter_text():
            with tracer.start_as_current_span("answer"):
                await socket.send_text(f"{text} {loom.get_current_context().session_id}")

    async with serving(app) as client:
        address = f"ws://{client.base_url.netloc.decode()}/talk"
        with tracer.start_as_current_span("client") as root:
            headers = loom.to_headers()
            async with websockets.connect(f"{address}/hall", additional_headers=headers) as connection:
                for text in ("one", "two"):
                    await connection.send(text)
                    assert await connection.recv() == f"{text} s-1"
            with pytest.raises(websockets.InvalidStatus):
                await websockets.connect(f"{address}/locked", additional_headers=headers)
        await spans.assert_trace(
            root,
            """
            client
              GET /talk/{room} [kind=server http.response.status_code=101 session.id=s-1 url.scheme=ws]
                answer [session.id=s-1] *2
              GET /talk/{room} [http.response.status_code=403]
            """,
        )


async def test_work_after_the_response_is_in_its_trace(server: LoomServer, spans: LoomSpans) -> None:
    """And no part of the request's time."""
    go, done = asyncio.Event(), asyncio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body"})
        await go.wait()
        with tracer.start_as_current_span("later"):
            done.set()

    async with serving(LoomMiddleware(app), lifespan="off") as client:
        with tracer.start_as_current_span("client") as span:
            await client.get("/", headers=loom.to_headers())
        await eventually(lambda: [span for span in spans.finished() if span.kind == "server"])
        go.set()
        await done.wait()
    await spans.assert_trace(span, "client\n  GET\n    later")


async def test_a_failing_identify_costs_the_identity_and_no_request(server: LoomServer, spans: LoomSpans) -> None:
    before = loom.telemetry_stats().faults.get("identify", 0)

    async def fails(_: Mapping[str, Any]) -> Mapping[str, object]:
        raise LookupError("no session")

    app = service(identify=fails)

    @app.get("/")
    async def root() -> str | None:
        return loom.get_current_context().user_id

    async with serving(app) as client:
        with loom.context(user_id="of-the-header"):
            response = await client.get("/", headers=loom.to_headers())
    assert (response.status_code, response.json()) == (200, "of-the-header")
    assert loom.telemetry_stats().faults["identify"] == before + 1


async def test_what_strangers_say_is_not_believed_where_it_shall_not_be(server: LoomServer, spans: LoomSpans) -> None:
    app = service(accept_baggage=False, trace_response=True, excluded=["/health"])
    seen: list[Any] = []

    @app.get("/")
    @app.get("/health")
    async def root() -> None:
        seen.append((loom.get_current_context().user_id, trace.get_current_span().get_span_context().is_valid))

    async with serving(app) as client:
        with tracer.start_as_current_span("client") as span, loom.context(user_id="admin"):
            response = await client.get("/", headers=loom.to_headers())
            health = await client.get("/health", headers=loom.to_headers())
    assert seen == [(None, True), (None, False)]
    found = await spans.assert_trace(span, "client\n  GET /")
    told = response.headers["traceresponse"].split("-")
    assert (told[1], told[2]) == (found[1].trace_id, found[1].span_id)
    assert "traceresponse" not in health.headers


async def test_requests_at_the_same_time_never_get_each_other_s_identity(bus: Bus, spans: LoomSpans) -> None:
    _, topic = await doubler(bus)
    asking = await bus.started("web")
    app = service(identify=lambda scope: {"tenant_id": f"t-{query_of(scope)}"})

    @app.get("/double/{number}")
    async def double(number: int) -> list[Any]:
        await asyncio.sleep(0)
        return [(await asking.request(topic, number)).json(), loom.get_current_context().tenant_id]

    @app.get("/sync/{number}")
    def sync(number: int) -> list[Any]:
        with tracer.start_as_current_span("sync"):
            return [2 * number, loom.get_current_context().tenant_id]

    numbers = range(100)
    async with serving(app) as client:
        with tracer.start_as_current_span("client") as root:
            headers = loom.to_headers()
            paths = [f"/{kind}/{number}?{number}" for number in numbers for kind in ("double", "sync")]
            answers = await asyncio.gather(*(client.get(path, headers=headers) for path in paths))
    assert [answer.json() for answer in answers] == [[2 * n, f"t-{n}"] for n in numbers for _ in range(2)]
    found = await spans.trace(root, until=lambda spans: len(spans) == 1 + 100 * (1 + 7) + 100 * 2)
    by_id = {span.span_id: span for span in found}

    def request_of(span: SpanRecord) -> SpanRecord:
        while span.kind != "server" or "url.query" not in span.attributes:
            assert span.parent_id is not None
            span = by_id[span.parent_id]
        return span

    for span in found:
        if span.name in ("agent.on_event", "sync"):
            assert span.attributes["tenant.id"] == f"t-{request_of(span).attributes['url.query']}"


async def test_a_plain_application_and_its_lifespan_pass(bus: Bus, names: Names) -> None:
    seen: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope["type"])
        if scope["type"] == "lifespan":
            for kind in ("startup", "shutdown"):
                assert (await receive())["type"] == f"lifespan.{kind}"
                await send({"type": f"lifespan.{kind}.complete"})
            return
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body"})

    async with serving(LoomMiddleware(app)) as client:
        assert (await client.request("PURGE", "/x")).status_code == 204
    assert seen == ["lifespan", "http"]


HEADERS = st.lists(
    st.tuples(
        st.sampled_from([b"traceparent", b"tracestate", b"baggage", b"host", b"user-agent", b"Host"]),
        st.one_of(st.binary(max_size=20), st.just(b"00-" + b"ab" * 16 + b"-" + b"cd" * 8 + b"-01")),
    ),
    max_size=5,
)


@given(HEADERS, st.binary(max_size=20), st.sampled_from(["GET", "get", "PURGE", ""]))
def test_no_request_is_too_odd_to_be_read(headers: list[tuple[bytes, bytes]], query: bytes, method: str) -> None:
    scope = {"type": "http", "path": "/", "method": method, "headers": headers, "query_string": query}
    assert all(value is not None for value in attributes_of(scope).values())
    found = context_headers(scope, with_baggage=True)
    assert ("traceparent" in found) == ([name for name, _ in headers].count(b"traceparent") == 1)
    with loom.from_headers(found):
        loom.to_headers()


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        (b"a=1&b=2", "a=1&b=2"),
        (b"api_key=1&x=2&X-Goog-Signature=3", "api_key=REDACTED&x=2&X-Goog-Signature=REDACTED"),
        (b"access_token=a=b", "access_token=REDACTED"),
        (b"", None),
    ],
)
def test_secrets_of_a_query_are_not_recorded(query: bytes, shown: str | None) -> None:
    assert attributes_of({"path": "/", "query_string": query}).get("url.query") == shown
