"""A node on a stock uvicorn, in the loop of the test, on a free port."""

import asyncio
import json
import socket
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack

# Messages are JSON of any shape.
from typing import Any

import pytest_asyncio
import uvicorn
from starlette.types import ASGIApp
from websockets.asyncio.client import ClientConnection, connect

__all__ = ["Peer", "Serve", "Server"]


class Peer:
    """A client that sends and reads messages one by one."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection

    async def send(self, **message: Any) -> None:
        await self.connection.send(json.dumps(message))

    async def read(self) -> dict[str, Any]:
        async with asyncio.timeout(10):
            message: dict[str, Any] = json.loads(await self.connection.recv())
        return message

    async def connect(self) -> str:
        await self.send(msg="connect", version="1", support=["1"])
        message = await self.read()
        assert message["msg"] == "connected"
        session: str = message["session"]
        return session

    async def call(self, name: str, *params: Any) -> dict[str, Any]:
        """Call a method; returns the ``result`` message, and reads past ``updated``."""
        await self.send(msg="method", id="m", method=name, params=params)
        found: dict[str, Any] = {}
        while not {"result", "updated"} <= found.keys():
            message = await self.read()
            found[message["msg"]] = message
        result: dict[str, Any] = found["result"]
        return result


class Server(uvicorn.Server):
    """A stock uvicorn that can be waited for."""

    def __init__(self, application: ASGIApp, **options: Any) -> None:
        super().__init__(uvicorn.Config(application, log_config=None, access_log=False, **options))
        self._listening = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._listening.set()

    async def start(self, listener: socket.socket) -> None:
        """Return when it takes connections."""
        self._serving = asyncio.create_task(self.serve([listener]))
        listening = asyncio.create_task(self._listening.wait())
        await asyncio.wait((self._serving, listening), return_when=asyncio.FIRST_COMPLETED)
        assert listening.done(), "the server did not start"
        assert self.started, "the application did not start"

    async def stop(self) -> None:
        """Return when it has ended."""
        self.should_exit = True
        await self._serving


class Serve:
    """Serves ASGI applications and opens connections to them; ``defaults`` go to uvicorn."""

    def __init__(self, stack: AsyncExitStack, **defaults: Any) -> None:
        self._stack = stack
        self._defaults = defaults

    async def __call__(self, application: ASGIApp, **options: Any) -> str:
        """Start a server; returns ``127.0.0.1:port``."""
        listener = socket.create_server(("127.0.0.1", 0))
        server = Server(application, **{**self._defaults, **options})
        await server.start(listener)
        self._stack.push_async_callback(server.stop)
        return f"127.0.0.1:{listener.getsockname()[1]}"

    async def peer(self, address: str, path: str = "/websocket", **options: Any) -> Peer:
        """Open a WebSocket."""
        connection = await connect(f"ws://{address}{path}", **options)
        self._stack.push_async_callback(connection.close)
        return Peer(connection)


@pytest_asyncio.fixture
async def serve() -> AsyncGenerator[Serve]:
    async with AsyncExitStack() as stack:
        yield Serve(stack)
