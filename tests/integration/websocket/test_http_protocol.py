"""What a peer can do before its request is complete, over real sockets."""

import asyncio
import select
import socket
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, closing

import pytest
import pytest_asyncio
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket
from structlog.testing import capture_logs
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
LARGE = b"x" * 16_777_216


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


async def _large(request: Request) -> PlainTextResponse:
    return PlainTextResponse(LARGE)


async def _medium(request: Request) -> PlainTextResponse:
    return PlainTextResponse(LARGE[:50_000])  # less than fills a buffer


async def _endless(request: Request) -> StreamingResponse:
    async def parts() -> AsyncGenerator[bytes]:
        while True:
            yield LARGE[:100_000]
            await asyncio.sleep(0)  # or it would not hear of the end

    return StreamingResponse(parts())


APPLICATION = Starlette(
    routes=[
        Route("/", _hello),
        Route("/slow", _slow),
        Route("/large", _large),
        Route("/medium", _medium),
        Route("/endless", _endless),
        WebSocketRoute("/echo", _echo),
    ]
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

    async def some(self, size: int) -> bytes:
        async with asyncio.timeout(20):
            return await self._reader.read(size)

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


def tuple_of(address: str) -> tuple[str, int]:
    host, _, port = address.partition(":")
    return host, int(port)


def until_cut(peer: socket.socket) -> None:
    """Wait for a reset, reading nothing."""
    poll = select.poll()
    poll.register(peer, 0)
    assert poll.poll(20_000)


@pytest.mark.parametrize("said", [b"", b"GET", REQUEST, b"\r\n\r\n"])
async def test_socket_without_a_whole_head_is_cut(serve: Serve, said: bytes) -> None:
    with closing(await Socket.open(await serve(APPLICATION, http=Impatient))) as peer:
        peer.say(said)
        assert await peer.rest() == b""


async def test_tls_on_a_port_without_is_explained_once(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(BolideHTTP, "_has_told_of_tls", False)
    address = await serve(APPLICATION, http=BolideHTTP)
    with capture_logs() as logs:
        for _ in range(2):
            with closing(await Socket.open(address)) as peer:
                peer.say(b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00")
                assert (await peer.rest()).endswith(
                    b"This port speaks no TLS: use http:// or ws://\n"
                )
    (told,) = logs
    assert "open it with http://" in told["event"]


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


async def test_parser_is_given_no_more_than_a_head_may_hold(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    http = BolideHTTP.limited(Limits(max_head_bytes=1000))
    headers: list[bytes] = []

    def on_header(_: BolideHTTP, name: bytes, value: bytes) -> None:
        headers.append(value)

    monkeypatch.setattr(BolideHTTP, "on_header", on_header)
    with closing(await Socket.open(await serve(APPLICATION, http=http))) as peer:
        peer.say(REQUEST + b"x: y\r\n" * 5_000 + b"\r\n")  # whole, and in one piece
        assert (await peer.rest()).startswith(b"HTTP/1.1 431 ")
    assert len(headers) < 1000 / 6


@pytest.mark.parametrize("length", [1000, 1001])
async def test_head_may_have_its_limit_and_no_more(serve: Serve, length: int) -> None:
    http = BolideHTTP.limited(Limits(max_head_bytes=1000))
    with closing(await Socket.open(await serve(APPLICATION, http=http))) as peer:
        start = REQUEST + b"connection: close\r\nx: "
        peer.say(start + b"x" * (length - len(start) - 4) + b"\r\n\r\n")
        assert (b" 200 " in await peer.rest()) == (length == 1000)


async def test_head_that_follows_a_request_in_work_has_the_same_limit(serve: Serve) -> None:
    http = BolideHTTP.limited(Limits(max_head_bytes=1000))
    with closing(await Socket.open(await serve(APPLICATION, http=http))) as peer:
        peer.say(REQUEST.replace(b"/ ", b"/slow ") + b"\r\n")
        peer.say(REQUEST + b"x: y\r\n" * 5_000)
        assert b"HTTP/1.1 431 " in await peer.rest()


async def test_requests_in_one_piece_are_each_answered(serve: Serve) -> None:
    http = BolideHTTP.limited(Limits(max_head_bytes=1000))
    with closing(await Socket.open(await serve(APPLICATION, http=http))) as peer:
        peer.say((REQUEST + b"content-length: 1500\r\n\r\n" + b"x" * 1500) * 3)
        for _ in range(3):
            assert await peer.until(b"hello")


async def test_body_does_not_count_as_head(serve: Serve) -> None:
    http = BolideHTTP.limited(Limits(max_head_bytes=1000))
    with closing(await Socket.open(await serve(APPLICATION, http=http))) as peer:
        peer.say(REQUEST + b"content-length: 5000\r\n\r\n" + b"x" * 5000)
        assert await peer.until(b"hello")


@pytest.mark.parametrize("path", [b"/large ", b"/medium ", b"/endless "])
async def test_client_that_never_reads_gives_its_place_up(serve: Serve, path: bytes) -> None:
    http = type("Strict", (BolideHTTP,), {"slow_reader_timeout_s": SHORTLY_S})
    address = await serve(APPLICATION, http=http, timeout_keep_alive=100)
    with closing(socket.create_connection(tuple_of(address))) as peer:
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        request = REQUEST.replace(b"/ ", path) + b"\r\n"
        peer.sendall(request * 400 if path == b"/medium " else request)
        await asyncio.to_thread(until_cut, peer)


async def test_client_that_reads_slowly_gets_all(serve: Serve) -> None:
    # A third of what it takes to read it all, and many times what one part takes on a busy machine.
    http = type("Strict", (BolideHTTP,), {"slow_reader_timeout_s": 20 * SHORTLY_S})
    address = await serve(APPLICATION, http=http, timeout_keep_alive=100)
    with closing(await Socket.open(address)) as peer:
        peer.say(REQUEST.replace(b"/ ", b"/large ") + b"connection: close\r\n\r\n")
        read = 0
        while part := await peer.some(262_144):
            read += len(part)
            await asyncio.sleep(SHORTLY_S)
        assert read > len(LARGE)


async def test_client_that_has_read_all_may_wait(serve: Serve) -> None:
    http = type("Strict", (BolideHTTP,), {"slow_reader_timeout_s": SHORTLY_S})
    address = await serve(APPLICATION, http=http, timeout_keep_alive=100)
    with closing(await Socket.open(address)) as peer:
        for _ in range(2):
            peer.say(REQUEST + b"\r\n")
            assert await peer.until(b"hello")
            await asyncio.sleep(3 * SHORTLY_S)
        peer.say(REQUEST.replace(b"/ ", b"/slow ") + b"\r\n")
        assert await peer.until(b"hello at last")


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
    limits = Limits(
        max_connections=1, header_timeout_s=2, max_head_bytes=3, slow_reader_timeout_s=4
    )
    http = BolideHTTP.limited(limits)
    assert (http.max_connections, http.header_timeout_s, http.max_head_bytes) == (1, 2, 3)
    assert http.slow_reader_timeout_s == 4
    assert BolideHTTP.max_connections == Limits().max_connections
