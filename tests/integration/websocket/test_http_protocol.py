"""What a peer can do before its request is complete, over real sockets."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, closing

import pytest
import pytest_asyncio
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket
from tests.integration.conftest import Serve
from websockets.asyncio.client import connect

from bolide.server.limits import Limits
from bolide.server.web.http_protocol import BolideHTTP
from bolide.server.web.websocket import BolideWebSocket

REQUEST = b"GET / HTTP/1.1\r\nhost: a\r\n"
UPGRADE = (
    b"connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n"
    b"sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
SHORTLY_S = 0.05


class Impatient(BolideHTTP):
    """Does not wait for long, so that tests need not."""

    header_timeout_s = SHORTLY_S


async def _echo(websocket: WebSocket) -> None:
    await websocket.accept()
    while (message := await websocket.receive())["type"] == "websocket.receive":
        await websocket.send({**message, "type": "websocket.send"})


async def _hello(request: Request) -> PlainTextResponse:
    return PlainTextResponse("hello")


async def _slow(request: Request) -> PlainTextResponse:
    later = asyncio.Event()
    asyncio.get_running_loop().call_later(2 * SHORTLY_S, later.set)
    await later.wait()
    return PlainTextResponse("hello at last")


APPLICATION = Starlette(
    routes=[Route("/", _hello), Route("/slow", _slow), WebSocketRoute("/echo", _echo)]
)


@pytest_asyncio.fixture
async def serve() -> AsyncGenerator[Serve]:
    async with AsyncExitStack() as stack:
        yield Serve(stack, ws=BolideWebSocket)


class Socket:
    """A plain connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def open(cls, address: str) -> "Socket":
        host, _, port = address.partition(":")
        return cls(*await asyncio.open_connection(host, int(port)))

    def say(self, data: bytes) -> None:
        self._writer.write(data)

    def close(self) -> None:
        self._writer.close()

    async def until(self, words: bytes) -> bytes:
        async with asyncio.timeout(20):
            return await self._reader.readuntil(words)

    async def rest(self) -> bytes:
        """Return what comes until the server ends the connection."""
        async with asyncio.timeout(20):
            try:
                return await self._reader.read()
            except ConnectionResetError:
                return b""


@pytest.mark.parametrize("said", [b"", b"GET", REQUEST, b"\r\n\r\n"])
async def test_socket_without_a_whole_head_is_cut(serve: Serve, said: bytes) -> None:
    with closing(await Socket.open(await serve(APPLICATION, http=Impatient))) as peer:
        peer.say(said)
        assert await peer.rest() == b""


@pytest.mark.parametrize("said", [REQUEST, b"\r\n"])
async def test_further_request_has_the_same_time(serve: Serve, said: bytes) -> None:
    address = await serve(APPLICATION, http=Impatient, timeout_keep_alive=100)
    with closing(await Socket.open(address)) as peer:
        peer.say(REQUEST + b"\r\n")
        assert await peer.until(b"hello")
        peer.say(said)
        assert await peer.rest() == b""


async def test_answer_and_websocket_may_take_longer(serve: Serve) -> None:
    address = await serve(APPLICATION, http=Impatient)
    async with connect(f"ws://{address}/echo") as client:
        with closing(await Socket.open(address)) as peer:
            peer.say(REQUEST.replace(b"/ ", b"/slow ") + b"\r\n")
            assert await peer.until(b"hello at last")
        with closing(await Socket.open(address)) as silent:
            assert await silent.rest() == b""
        await client.send("still here")
        assert await client.recv() == "still here"


async def test_head_over_the_limit_is_refused(serve: Serve) -> None:
    http = BolideHTTP.limited(Limits(max_head_bytes=1000))
    address = await serve(APPLICATION, http=http)
    with closing(await Socket.open(address)) as peer:
        peer.say(REQUEST + b"x: " + b"x" * 900)
        peer.say(b"x" * 100)
        assert (await peer.rest()).startswith(b"HTTP/1.1 431 ")
    with closing(await Socket.open(address)) as modest:
        modest.say(REQUEST + b"x: " + b"x" * 900)
        modest.say(b"\r\n\r\n")
        assert await modest.until(b"hello")


async def test_body_does_not_count_as_head(serve: Serve) -> None:
    http = BolideHTTP.limited(Limits(max_head_bytes=1000))
    with closing(await Socket.open(await serve(APPLICATION, http=http))) as peer:
        peer.say(REQUEST + b"content-length: 5000\r\n\r\n" + b"x" * 5000)
        assert await peer.until(b"hello")


async def test_one_socket_too_many_is_told(serve: Serve) -> None:
    http = BolideHTTP.limited(Limits(max_connections=2))
    address = await serve(APPLICATION, http=http)
    async with connect(f"ws://{address}/echo"):  # it counts, too
        peer = await Socket.open(address)
        peer.say(REQUEST + b"\r\n")
        assert await peer.until(b"hello")
        with closing(await Socket.open(address)) as surplus:
            assert (await surplus.rest()).startswith(b"HTTP/1.1 503 ")
        with closing(await Socket.open(address)) as surplus:
            surplus.say(REQUEST.replace(b"/ ", b"/echo ") + UPGRADE)
            assert (await surplus.rest()).startswith(b"HTTP/1.1 503 ")
        peer.say(REQUEST + b"connection: close\r\n\r\n")
        await peer.rest()
        peer.close()
        with closing(await Socket.open(address)) as further:
            further.say(REQUEST + b"\r\n")
            assert await further.until(b"hello")


def test_limits_of_a_node_are_those_of_its_class() -> None:
    limits = Limits(max_connections=1, header_timeout_s=2, max_head_bytes=3)
    http = BolideHTTP.limited(limits)
    assert (http.max_connections, http.header_timeout_s, http.max_head_bytes) == (1, 2, 3)
    assert BolideHTTP.max_connections == Limits().max_connections
