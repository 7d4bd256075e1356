"""A server for the tests of the shell: a real WebSocket on a port of its own, played by hand."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest_asyncio
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.http11 import Request, Response

# No test waits for time to pass; this ends one that waits for what never comes.
WAIT_S = 10


class Peer:
    """One connection, seen from the server."""

    def __init__(self, socket: ServerConnection) -> None:
        self.socket = socket

    async def send(self, **message: Any) -> None:
        await self.socket.send(json.dumps(message))

    async def added(self, document_id: str, **fields: Any) -> None:
        await self.send(msg="added", collection="p", id=document_id, fields=fields)

    async def receive(self, kind: str) -> dict[str, Any]:
        """Return the next message, which must be of this kind; pings are answered on the way."""
        while True:
            async with asyncio.timeout(WAIT_S):
                message: dict[str, Any] = json.loads(await self.socket.recv())
            if message["msg"] == "ping" and kind != "ping":
                await self.send(msg="pong")
                continue
            assert message["msg"] == kind
            return message

    async def accept(self, **connected: Any) -> dict[str, Any]:
        connect = await self.receive("connect")
        await self.send(msg="connected", session="s", **connected)
        return connect

    async def answer_sub(self, *documents: str) -> str:
        """Answer the next subscription with these documents; returns its id."""
        subscription_id: str = (await self.receive("sub"))["id"]
        for document_id in documents:
            await self.added(document_id, n=1)
        await self.send(msg="ready", subs=[subscription_id])
        return subscription_id

    async def answer_call(self, result: Any = None) -> dict[str, Any]:
        call = await self.receive("method")
        await self.send(msg="result", id=call["id"], result=result)
        await self.send(msg="updated", methods=[call["id"]])
        return call

    async def drop(self) -> None:
        """Cut the connection without goodbye."""
        self.socket.transport.abort()
        await self.socket.wait_closed()


class FakeServer:
    """Hands each connection to the test that plays the server."""

    def __init__(self) -> None:
        self.peers: asyncio.Queue[Peer] = asyncio.Queue()
        self.requests: list[Request] = []
        self.refuse: Callable[[ServerConnection, Request], Response | None] = lambda _, __: None
        self.server: Server | None = None
        self.scheme = "ws"
        self.port = 0

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}/websocket"

    async def start(self, ssl_context: ssl.SSLContext | None = None) -> None:
        self.scheme = "ws" if ssl_context is None else "wss"
        self.server = await serve(
            self._serve,
            "127.0.0.1",
            self.port,
            process_request=self._process,
            ping_interval=None,
            ssl=ssl_context,
        )
        self.port = next(iter(self.server.sockets)).getsockname()[1]

    async def stop(self) -> None:
        if self.server is not None:
            self.server.close()
            await self.server.wait_closed()
            self.server = None

    async def peer(self) -> Peer:
        """Return the next connection, before its ``connect``."""
        async with asyncio.timeout(WAIT_S):
            return await self.peers.get()

    async def accepted(self, **connected: Any) -> Peer:
        """Return the next connection, with a session."""
        peer = await self.peer()
        await peer.accept(**connected)
        return peer

    def _process(self, socket: ServerConnection, request: Request) -> Response | None:
        self.requests.append(request)
        return self.refuse(socket, request)

    async def _serve(self, socket: ServerConnection) -> None:
        self.peers.put_nowait(Peer(socket))
        await socket.wait_closed()


@pytest_asyncio.fixture
async def server() -> AsyncIterator[FakeServer]:
    server = FakeServer()
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


@pytest_asyncio.fixture
async def second_server() -> AsyncIterator[FakeServer]:
    server = FakeServer()
    await server.start()
    yield server
    await server.stop()
