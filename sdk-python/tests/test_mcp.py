"""MCP in both directions, with its own client and server: one trace, the right parents, and whom it is about."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import textwrap
import urllib.request
import venv
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import loom
import loom.mcp
import mcp_types
import pytest
from conftest import Bus, eventually
from loom import Context
from loom.mcp.__main__ import main
from loom.mcp.directory import Directory, Offer, offers_of
from loom.mcp.results import from_mcp, to_mcp
from loom.mcp.serving import tool_of
from loom.testing import LoomServer, LoomSpans
from loom.testing.server import find_binary
from mcp import Client, MCPError, StdioServerParameters
from mcp.server import MCPServer
from mcp.server.mcpserver import Image
from mcp.server.mcpserver.exceptions import ToolError
from mcp_types import CallToolResult, TextContent
from opentelemetry import trace

tracer = trace.get_tracer("tests")
# Most start a process or two.
pytestmark = pytest.mark.timeout(120)
BOUND = re.compile(r"running on (http://127\.0\.0\.1:\d+)")


@pytest.fixture
def spans(server: LoomServer) -> Iterator[LoomSpans]:
    with LoomSpans(server) as spans:
        yield spans


def weather() -> MCPServer:
    """Make an MCP server as its SDK's guide does."""
    made = MCPServer("weather")

    @made.tool()
    def forecast(city: str) -> dict[str, Any]:
        """What the weather will be."""
        with tracer.start_as_current_span("look"):
            return {"city": city, "celsius": 21}

    @made.tool()
    def fails() -> str:
        """Never works."""
        raise ToolError("no weather today")

    @made.tool()
    def picture() -> Image:
        """Show it."""
        return Image(data=b"\x89PNG", format="png")

    @made.tool(structured_output=False)
    def words() -> str:
        """Say it."""
        return "sunny"

    return made


FORECAST = """
broker.invoke
  agent.on_action [agent.id={agent} user.id=ann]
    MCP send tools/call forecast [kind=client user.id=ann mcp.method.name=tools/call]
      tools/call forecast [kind=server gen_ai.operation.name=execute_tool gen_ai.tool.name=forecast user.id=ann]
        look [service=weather-server]
"""


def below(depth: int, tree: str) -> str:
    return "\n".join("  " * depth + line for line in tree.strip().splitlines())


async def test_tools_are_capabilities_in_the_trace_of_their_callers(bus: Bus, spans: LoomSpans) -> None:
    providing, asking = bus.agent("weather"), await bus.started("asker")
    prefix = f"{bus.names.agent('w')}."
    async with loom.mcp.tools(providing, weather(), prefix=prefix, only=["f*"]) as names:
        assert names == [f"{prefix}forecast", f"{prefix}fails"]
        await providing.start()
        with tracer.start_as_current_span("ask") as root, loom.context(user_id="ann"):
            found = await asking.invoke(f"{prefix}forecast", {"city": "Bern"})
        assert found == {"city": "Bern", "celsius": 21}
        with pytest.raises(loom.HandlerFailed, match="no weather today"):
            await asking.invoke(f"{prefix}fails")
        with pytest.raises(loom.InvalidEvent, match="are an object, not list"):
            await asking.invoke(f"{prefix}forecast", [1])
        await providing.stop()
    # In its own process MCP has no wire, and so no span of a client.
    await spans.assert_trace(
        root,
        f"""
        ask
          broker.invoke
            agent.on_action [agent.id={providing.agent_id} user.id=ann]
              tools/call forecast [kind=server gen_ai.operation.name=execute_tool gen_ai.tool.name=forecast]
                look [user.id=ann]
        """,
    )


WEATHER = """
    import loom
    from mcp.server import MCPServer
    from opentelemetry import trace

    provider = loom.init_telemetry("weather-server")
    server = MCPServer("weather")

    @server.tool()
    def forecast(city: str) -> dict[str, str | int]:
        with trace.get_tracer("weather").start_as_current_span("look"):
            return {"city": city, "celsius": 21}

    @server.tool()
    def leaves() -> str:
        import os
        os._exit(3)

    server.run("stdio")
"""


@pytest.fixture
def weather_process(server: LoomServer, tmp_path: Path) -> StdioServerParameters:
    script = tmp_path / "weather.py"
    script.write_text(textwrap.dedent(WEATHER), encoding="utf-8")
    environment = {**os.environ, **server.environment}
    return StdioServerParameters(command=sys.executable, args=[str(script)], env=environment)


async def test_a_server_in_a_process_of_its_own_is_in_the_trace(
    bus: Bus, spans: LoomSpans, weather_process: StdioServerParameters
) -> None:
    providing, asking = bus.agent("weather"), await bus.started("asker")
    prefix = f"{bus.names.agent('w')}."
    async with loom.mcp.tools(providing, weather_process, prefix=prefix):
        await providing.start()
        with tracer.start_as_current_span("ask") as root, loom.context(user_id="ann"):
            found = await asking.invoke(f"{prefix}forecast", {"city": "Bern"})
        assert found == {"city": "Bern", "celsius": 21}
        await spans.assert_trace(root, "ask\n" + below(1, FORECAST.format(agent=providing.agent_id)))
        with pytest.raises(loom.HandlerFailed, match="the MCP server weather: Connection closed"):
            await asking.invoke(f"{prefix}leaves")
        await providing.stop()


async def calculator(bus: Bus) -> tuple[loom.Agent, str]:
    """Start an agent with capabilities of every kind; return it with what their names begin with."""
    agent, prefix = bus.agent("calc"), bus.names.agent("calc")

    @agent.capability(f"{prefix}.add", description="adds", input_schema={"type": "object", "required": ["a", "b"]})
    async def add(ctx: Context, args: dict[str, int]) -> int:
        return args["a"] + args["b"]

    @agent.capability(f"{prefix}.who")
    async def who(ctx: Context, args: Any) -> dict[str, Any]:
        """Tell whom it is about."""
        about = loom.get_current_context()
        return {"user": about.user_id, "workflow": about.workflow_id, "caller": ctx.caller}

    @agent.capability(f"{prefix}.fail")
    async def fail(ctx: Context, args: Any) -> None:
        raise ArithmeticError("too much")

    @agent.capability(f"{prefix}.sleep")
    async def sleep(ctx: Context, args: Any) -> None:
        await asyncio.Event().wait()

    @agent.capability(f"{prefix}.raw")
    async def raw(ctx: Context, args: Any) -> bytes:
        return b"\x00\x01"

    await agent.start()
    return agent, prefix


PYTHON = (sys.executable, "-m", "loom.mcp")
BINARY = (str(find_binary()), "mcp")


def serving(command: tuple[str, ...], server: LoomServer, *arguments: str) -> StdioServerParameters:
    return StdioServerParameters(
        command=command[0],
        args=[*command[1:], "serve", *arguments],
        env={**os.environ, **server.environment, "LOOM_PYTHON": sys.executable, "PYTHONWARNINGS": "error"},
    )


CALLED = """
client
  MCP send tools/call {prefix}.who [kind=client]
    tools/call {prefix}.who [kind=server gen_ai.operation.name=execute_tool user.id=ann service=agent-{served}]
      broker.invoke
        agent.on_action [agent.id={agent} user.id=ann workflow.id=w]
"""


@pytest.mark.parametrize(("command", "timeout"), [(PYTHON, "0.5"), (BINARY, "500ms")], ids=["python", "binary"])
async def test_capabilities_are_tools_over_stdio(
    command: tuple[str, ...], timeout: str, bus: Bus, spans: LoomSpans, server: LoomServer
) -> None:
    agent, prefix = await calculator(bus)
    served = bus.names.agent("mcp")
    parameters = serving(command, server, "--agent-id", served, "--tool", f"{prefix}.*", "--timeout", timeout)
    async with Client(parameters) as client:
        listed = (await client.list_tools()).tools
        assert [tool.name for tool in listed] == [f"{prefix}.{name}" for name in ("add", "fail", "raw", "sleep", "who")]
        assert [tool.description for tool in listed] == ["adds", None, None, None, "Tell whom it is about."]
        assert listed[0].input_schema == {"type": "object", "required": ["a", "b"]}

        added = await client.call_tool(f"{prefix}.add", {"a": 1, "b": 2})
        assert (added.is_error, added.content) == (False, [TextContent(type="text", text="3")])
        with tracer.start_as_current_span("client") as root, loom.context(user_id="ann", workflow_id="w"):
            told = await client.call_tool(f"{prefix}.who")
        assert told.structured_content == {"user": "ann", "workflow": "w", "caller": served}

        failed = await client.call_tool(f"{prefix}.fail")
        assert (failed.is_error, text_of(failed)) == (True, "ArithmeticError: too much (handler_failed)")
        late = await client.call_tool(f"{prefix}.sleep")
        assert (late.is_error, text_of(late)[-20:]) == (True, " (deadline_exceeded)")
        raw = (await client.call_tool(f"{prefix}.raw")).content[0]
        assert isinstance(raw, mcp_types.EmbeddedResource)
        assert isinstance(raw.resource, mcp_types.BlobResourceContents)
        assert raw.resource.blob == "AAE="
        for name in (f"{prefix}.nothing", "other.add", "_loom.barrier"):
            with pytest.raises(MCPError, match="unknown tool") as refused:
                await client.call_tool(name)
            assert refused.value.code == mcp_types.INVALID_PARAMS
        tree = CALLED.format(prefix=prefix, agent=agent.agent_id, served=served)
        await spans.assert_trace(root, tree)


def text_of(result: CallToolResult) -> str:
    block = result.content[0]
    assert isinstance(block, TextContent)
    return block.text


def start_http(server: LoomServer, log: Path, *arguments: str) -> subprocess.Popen[bytes]:
    with log.open("wb") as output:
        return subprocess.Popen(
            [sys.executable, "-m", "loom.mcp", "serve", "--http", "127.0.0.1:0", *arguments],
            stdout=output,
            stderr=output,
            env={**os.environ, **server.environment},
        )


@asynccontextmanager
async def http_service(server: LoomServer, log: Path, *arguments: str) -> AsyncGenerator[str]:
    process = start_http(server, log, *arguments)
    try:
        yield f"{(await eventually(lambda: BOUND.search(log.read_text(encoding='utf-8')), 60))[1]}/mcp"
        process.send_signal(signal.SIGTERM)
        await asyncio.to_thread(process.wait, 30)
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_capabilities_are_tools_over_http(
    bus: Bus, spans: LoomSpans, server: LoomServer, tmp_path: Path, mode: Any
) -> None:
    agent, prefix = await calculator(bus)
    served = bus.names.agent("mcp")
    async with http_service(server, tmp_path / "log", "--agent-id", served, "--tool", f"{prefix}.*") as url:
        async with Client(url, mode=mode) as client:
            assert len((await client.list_tools()).tools) == 5
            with tracer.start_as_current_span("client") as root, loom.context(user_id="ann", workflow_id="w"):
                told = await client.call_tool(f"{prefix}.who")
            assert told.structured_content == {"user": "ann", "workflow": "w", "caller": served}
        tree = CALLED.format(prefix=prefix, agent=agent.agent_id, served=served)
        await spans.assert_trace(root, tree)
        # The agent leaves with the service, and is not only lost.
        assert served in {one["agent_id"] for one in agents(server)}
    assert served not in {one["agent_id"] for one in agents(server)}


def agents(server: LoomServer) -> list[dict[str, Any]]:
    with urllib.request.urlopen(f"http://{server.http}/api/v1/agents", timeout=10) as reply:
        found: list[dict[str, Any]] = json.load(reply)["items"]
    return found


async def test_a_tool_of_a_server_behind_a_capability_behind_a_tool_is_one_trace(
    bus: Bus, spans: LoomSpans, server: LoomServer
) -> None:
    providing, calling = bus.agent("weather"), bus.agent("calling")
    prefix = f"{bus.names.agent('w')}."
    async with loom.mcp.tools(providing, weather(), prefix=prefix):
        await providing.start()
        async with Client(loom.mcp.server(calling, http=server.http)) as client:
            with tracer.start_as_current_span("client") as root, loom.context(user_id="ann"):
                result = await client.call_tool(f"{prefix}forecast", {"city": "Bern"})
            assert result.structured_content == {"city": "Bern", "celsius": 21}
        assert "not connected" in repr(calling)
        await providing.stop()
    names = [span.name for span in await spans.trace(root)]
    assert names[0] == "client"
    assert {"broker.invoke", "agent.on_action", "look", f"tools/call {prefix}forecast", "tools/call forecast"} < {
        *names
    }


async def test_results_of_tools_are_results_of_calls(bus: Bus) -> None:
    async with Client(weather()) as client:
        assert from_mcp(await client.call_tool("words")) == "sunny"
        picture = from_mcp(await client.call_tool("picture"))
        assert picture == [{"type": "image", "data": "iVBORw==", "mimeType": "image/png"}]
        agent = bus.agent()
        async with loom.mcp.tools(agent, client) as names:
            assert names == ["forecast", "fails", "picture", "words"]
        async with loom.mcp.tools(bus.agent(), client.session, only=["words"]) as names:
            assert names == ["words"]
        # Given open, left open.
        assert from_mcp(await client.call_tool("words")) == "sunny"


@pytest.mark.parametrize("result", [None, "text", {"a": [1, None]}])
def test_what_goes_out_as_a_tool_s_result_comes_back_from_one(result: Any) -> None:
    assert from_mcp(to_mcp(result)) == result


def test_lists_and_numbers_are_text_for_those_who_take_objects_only() -> None:
    assert to_mcp([1, "ü"]).content == [TextContent(type="text", text='[1, "ü"]')]
    assert to_mcp([1]).structured_content is None
    with pytest.raises(loom.HandlerFailed, match="says no more"):
        from_mcp(CallToolResult(content=[], is_error=True))


def test_the_directory_is_read_as_the_server_writes_it() -> None:
    schema: dict[str, Any] = {"type": "object", "properties": {"x": {}}}
    answer: dict[str, Any] = {
        "items": [
            {"capabilities": [{"name": "b", "description": "two"}, {"name": "_award.1"}]},
            {"capabilities": [{"name": "a", "description": "", "input_schema": '{"type": "object"}'}, {"name": "b"}]},
            {"capabilities": [{"name": "c", "description": "", "input_schema": schema}]},
        ]
    }
    assert offers_of(answer) == [Offer("a", "", {"type": "object"}), Offer("b", "two", None), Offer("c", "", schema)]


def test_arguments_that_are_no_object_make_no_tool(caplog: pytest.LogCaptureFixture) -> None:
    assert tool_of(Offer("sum", "", {"type": "array"})) is None
    assert "the capability sum is no MCP tool" in caplog.text
    made = tool_of(Offer("sum", "", {"properties": {}}))
    assert made is not None
    assert made.input_schema == {"type": "object", "properties": {}}


async def test_a_server_that_is_away_is_told(port: int, bus: Bus) -> None:
    with pytest.raises(loom.ConnectionLost, match="LOOM_HTTP says where it is"):
        await Directory(f"127.0.0.1:{port}").offers()
    async with Client(loom.mcp.server(await bus.started(), http=f"127.0.0.1:{port}")) as client:
        with pytest.raises(MCPError, match="does not answer"):
            await client.list_tools()


async def test_a_token_is_shown_where_the_server_wants_one() -> None:
    token = "0123456789abcdef"
    with LoomServer(settings="", environment={"LOOM_TOKEN": token}) as server:
        assert await Directory(server.http, token).offers() == []
        with pytest.raises(loom.PermissionDenied):
            await Directory(server.http, "another-token-of-16").offers()


@pytest.mark.parametrize("door", ["0.0.0.0:1", "example.org:1", "[::]:1", "nowhere", ":1"])
def test_no_door_is_opened_to_strangers(door: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["serve", "--http", door])
    assert "no HOST:PORT" in (told := capsys.readouterr().err) or "can be reached by others" in told


def test_the_command_says_what_is_missing(tmp_path: Path) -> None:
    venv.create(tmp_path, with_pip=False)
    environment = {**os.environ, "LOOM_PYTHON": str(tmp_path / "bin" / "python")}
    done = subprocess.run([*BINARY, "serve"], env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert "has no loom-agents and mcp\n  pip install 'loom-agents[mcp]' there" in done.stderr
    environment["LOOM_PYTHON"] = str(tmp_path / "nothing")
    done = subprocess.run([*BINARY, "serve"], env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, "cannot be run" in done.stderr) == (1, True)
