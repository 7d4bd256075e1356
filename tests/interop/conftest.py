"""Two server processes on one store, and clients that nobody changed for us."""

import asyncio
import json
import os
import shutil
import signal
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack
from pathlib import Path

# What a client prints is JSON of any shape.
from typing import Any

import pytest_asyncio

HERE = Path(__file__).parent
TIMEOUT_S = 30 * float(os.environ.get("BOLIDE_TESTS_TIMEOUT_FACTOR", "1"))


class Process:
    """A child whose output is read line by line."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.lines: list[str] = []

    @classmethod
    async def start(cls, *command: str, **environment: str) -> "Process":
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env={**os.environ, **environment},
        )
        return cls(process)

    async def line(self) -> str:
        """Return the next line."""
        assert self._process.stdout is not None
        async with asyncio.timeout(TIMEOUT_S):
            line = (await self._process.stdout.readline()).decode()
        assert line, f"the process ended; it had said {self.lines[-5:]}"
        self.lines.append(line.rstrip())
        return line.rstrip()

    def write(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n".encode())

    async def stop(self) -> None:
        if self._process.returncode is None:
            self._process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(TIMEOUT_S):
            await self._process.communicate()


class Client:
    """A third-party client in a process of its own."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self.views: dict[str, dict[str, Any]] = {}

    async def _event(self) -> dict[str, Any]:
        while True:
            line = await self._process.line()
            if line.startswith("{"):  # some libraries print remarks of their own
                event: dict[str, Any] = json.loads(line)
                if event["event"] == "view":
                    self.views[event["collection"]] = event["documents"]
                return event

    async def connected(self) -> None:
        assert (await self._event())["event"] == "connected"

    async def act(self, command: str, name: str, *args: object) -> dict[str, Any]:
        """Subscribe or call, and return the answer."""
        self._process.write(json.dumps({"command": command, "name": name, "args": args}))
        while True:
            event = await self._event()
            if event["event"] in (command, "error") and event["name"] == name:
                return event

    async def shows_messages(self, channel: str, *messages: object) -> None:
        """Wait until the client shows exactly these messages of a channel."""
        wanted = list(map(repr, messages))
        while (
            sorted(repr(one["message"]) for one in self.views.get(channel, {}).values()) != wanted
        ):
            await self._event()

    async def shows(self, collection: str, expected: dict[str, Any]) -> None:
        """Wait until the client shows exactly these documents."""
        while self.views.get(collection, {}) != expected:
            await self._event()


@pytest_asyncio.fixture
async def servers(tmp_path: Path) -> AsyncGenerator[list[str]]:
    """Yield the WebSocket addresses of two nodes on one file."""
    async with AsyncExitStack() as stack:
        yield await _start_nodes(stack, f"sqlite:///{tmp_path / 'tasks.db'}")


@pytest_asyncio.fixture
async def servers_on_mongodb(new_database: Callable[[], str]) -> AsyncGenerator[list[str]]:
    """Yield the WebSocket addresses of two nodes on one replica set."""
    async with AsyncExitStack() as stack:
        yield await _start_nodes(stack, new_database())


async def _start_nodes(stack: AsyncExitStack, store: str) -> list[str]:
    addresses: list[str] = []
    for _ in range(2):
        process = await Process.start(
            *(sys.executable, "-m", "bolide.ops", "run", "--app-dir", str(HERE), "app:app"),
            *("--port", "0", "--management-port", "0"),
            BOLIDE_STORE=store,
        )
        stack.push_async_callback(process.stop)
        addresses.append(await _address(process))
    return addresses


async def _address(process: Process) -> str:
    while True:
        line = await process.line()
        if "http://" in line:
            host = line.partition("http://")[2].split()[0].rstrip("/.,")
            return f"ws://{host}/websocket"


@pytest_asyncio.fixture
async def start_client() -> AsyncGenerator[Any]:
    """Yield a function that starts a client: ``await start_client(kind, url)``."""
    async with AsyncExitStack() as stack:

        async def start(kind: str, url: str) -> Client:
            name, _, framing = kind.partition("+")
            if name == "python-meteor":
                command = [sys.executable, str(HERE / "clients" / "python_meteor.py"), url]
            else:
                node = shutil.which("node")
                assert node is not None
                suffix = "cjs" if name == "ddp" else "mjs"
                command = [node, str(HERE / "clients" / f"{name}.{suffix}"), url, framing]
            process = await Process.start(*command)
            stack.push_async_callback(process.stop)
            client = Client(process)
            await client.connected()
            return client

        yield start
