"""The WebSocket class on uvicorn, over real sockets, with the client of another library."""

import asyncio
import socket
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack

import httpx
import pytest
import pytest_asyncio
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect
from tests.integration.conftest import Serve, Server
from tests.turns import yield_once
from websockets.asyncio.client import ClientConnection, connect
from websockets.client import ClientProtocol
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.frames import Frame, Opcode
from websockets.uri import parse_uri

from bolide.server.web.websocket.frames import text_frame
from bolide.server.web.websocket.protocol import WRITE_HIGH_WATER_BYTES, BolideWebSocket
from bolide.server.web.websocket.push import EXTENSION, PushSocket

MEBIBYTE = 1_048_576


async def _echo(websocket: WebSocket) -> None:
    await websocket.accept(subprotocol=next(iter(websocket.scope["subprotocols"]), None))
    try:
        while True:
            message = await websocket.receive()
            if message["type"] == "websocket.disconnect":
                return
            await websocket.send({**message, "type": "websocket.send"})
    except WebSocketDisconnect:
        return


@pytest_asyncio.fixture
async def serve() -> AsyncGenerator[Serve]:
    async with AsyncExitStack() as stack:
        yield Serve(stack, ws=BolideWebSocket)


@pytest_asyncio.fixture
async def echo(serve: Serve) -> AsyncGenerator[ClientConnection]:
    address = await serve(Starlette(routes=[WebSocketRoute("/", _echo)]))
    async with connect(f"ws://{address}/", subprotocols=None) as client:
        yield client


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65_535, 65_536, MEBIBYTE])
async def test_echo_of_any_length(echo: ClientConnection, size: int) -> None:
    for message in ("ä" * (size // 2), b"x" * size):
        await echo.send(message)
        assert await echo.recv() == message


async def test_fragments_and_pings_are_understood(echo: ClientConnection) -> None:
    await echo.send(["Tempe", "", "ratur"])
    waiter = await echo.ping(b"alive?")
    assert await echo.recv() == "Temperatur"
    await waiter


async def test_client_closes_with_a_code_of_its_own(echo: ClientConnection) -> None:
    await echo.close(4001, "bye")
    assert echo.protocol.close_rcvd is not None
    assert echo.protocol.close_rcvd.code == 4001


async def test_compression_is_never_agreed_on(echo: ClientConnection) -> None:
    assert echo.protocol.extensions == []


async def test_subprotocol_is_the_applications_choice(serve: Serve) -> None:
    address = await serve(Starlette(routes=[WebSocketRoute("/", _echo)]))
    async with connect(f"ws://{address}/", subprotocols=["b", "a"]) as client:  # type: ignore[list-item]
        assert client.subprotocol == "b"


async def test_denial_reaches_the_client(serve: Serve) -> None:
    async def deny(websocket: WebSocket) -> None:
        await websocket.send_denial_response(PlainTextResponse("no entry\n", 401, {"x-why": "age"}))

    address = await serve(Starlette(routes=[WebSocketRoute("/", deny)]))
    with pytest.raises(InvalidStatus) as caught:
        await connect(f"ws://{address}/")
    response = caught.value.response
    assert (response.status_code, response.body) == (401, b"no entry\n")
    assert response.headers["x-why"] == "age"
    with pytest.raises(InvalidStatus) as unknown:
        await connect(f"ws://{address}/nowhere")
    assert unknown.value.response.status_code == 403


async def test_bad_handshake_is_answered_with_what_is_missing(serve: Serve) -> None:
    address = await serve(Starlette(routes=[WebSocketRoute("/", _echo)]))
    headers = {"upgrade": "websocket", "connection": "upgrade", "sec-websocket-version": "12"}
    async with httpx.AsyncClient(trust_env=False) as http:
        answer = await http.get(f"http://{address}/", headers=headers)
    assert answer.status_code == 426
    assert answer.headers["sec-websocket-version"] == "13"


class RawClient:
    """A client that sends what it likes, and reads when the test says so."""

    def __init__(self, address: str) -> None:
        self._address = address
        self.socket = socket.socket()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8_192)
        self.socket.setblocking(False)
        self.protocol = ClientProtocol(parse_uri(f"ws://{address}/"), max_size=None)
        self._loop = asyncio.get_running_loop()

    async def open(self) -> "RawClient":
        host, _, port = self._address.partition(":")
        await self._loop.sock_connect(self.socket, (host, int(port)))
        self.protocol.send_request(self.protocol.connect())
        await self.flush()
        self.protocol.receive_data(await self._loop.sock_recv(self.socket, 4_096))
        self.protocol.events_received()
        return self

    async def flush(self) -> None:
        await self.send(b"".join(self.protocol.data_to_send()))

    async def send(self, data: bytes) -> None:
        await self._loop.sock_sendall(self.socket, data)

    async def frames(self) -> list[Frame]:
        """Read until the server ends the connection."""
        found: list[Frame] = []
        async with asyncio.timeout(20):
            while data := await self._loop.sock_recv(self.socket, 1 << 16):
                self.protocol.receive_data(data)
                found += [one for one in self.protocol.events_received() if isinstance(one, Frame)]
                await self.flush()  # the answer to a close frame
        return found


class Application:
    """An application that the test steers; accepts one connection and ends when it is told."""

    def __init__(self) -> None:
        self.websocket: WebSocket
        self.accepted = asyncio.Event()
        self.over = asyncio.Event()
        self.starlette = Starlette(routes=[WebSocketRoute("/", self._serve)])

    async def _serve(self, websocket: WebSocket) -> None:
        await websocket.accept()
        self.websocket = websocket
        self.accepted.set()
        await self.over.wait()

    @property
    def push(self) -> PushSocket:
        push: PushSocket = self.websocket.scope["extensions"][EXTENSION]
        return push


@pytest_asyncio.fixture
async def application() -> AsyncGenerator[Application]:
    application = Application()
    yield application
    application.over.set()


@pytest_asyncio.fixture
async def raw_client(serve: Serve, application: Application) -> AsyncGenerator[RawClient]:
    """Connect with the application, which accepted."""
    client = await RawClient(await serve(application.starlette)).open()
    with client.socket:
        async with asyncio.timeout(20):
            await application.accepted.wait()
        yield client


async def test_violation_is_explained_before_the_end(serve: Serve) -> None:
    address = await serve(Starlette(routes=[WebSocketRoute("/", _echo)]))
    client = await RawClient(address).open()
    with client.socket:
        await client.send(b"\x81\x01x" + b"\0" * 100_000)  # not masked, and much more unread
        (last,) = await client.frames()
    assert last.opcode is Opcode.CLOSE
    assert last.data == b"\x03\xeaFrame not masked"


async def test_half_a_frame_and_gone_is_1006(
    raw_client: RawClient, application: Application
) -> None:
    with raw_client.socket:
        await raw_client.send(b"\x81\xff\0\0\0\0\0\x0f\0\0mask" + b"x" * 100)
    async with asyncio.timeout(20):
        assert (await application.websocket.receive())["code"] == 1006


async def test_flood_waits_in_the_client_until_the_application_reads(
    raw_client: RawClient, application: Application
) -> None:
    count = 48
    for number in range(count):
        raw_client.protocol.send_text(b"%d " % number + b"x" * MEBIBYTE)
    raw_client.protocol.send_close(1000)
    flood = asyncio.create_task(raw_client.flush())
    read: list[str] = []
    async with asyncio.timeout(60):
        assert (await application.websocket.receive_text())[:2] == "0 "
        # What the kernel does not take waits in the client: this would never end otherwise. No
        # event tells that it takes no more, so the flood gets turns in which it could end.
        for _ in range(100):
            await yield_once()
        assert not flood.done()
        while (message := await application.websocket.receive())["type"] == "websocket.receive":
            read.append(message["text"].split(" ", 1)[0])
        await flood
    assert read == [str(number) for number in range(1, count)]


async def test_application_that_sends_to_a_deaf_client_waits(
    raw_client: RawClient, application: Application
) -> None:
    most, sent = 0, 0

    async def send_all() -> None:
        nonlocal most, sent
        for _ in range(64):
            await application.websocket.send_text("x" * MEBIBYTE)
            most = max(most, application.push.buffered)
            sent += 1
        await application.websocket.close()

    sending = asyncio.create_task(send_all())
    frames = await raw_client.frames()
    await sending
    assert [len(one.data) for one in frames[:-1]] == [MEBIBYTE] * 64
    assert frames[-1].opcode is Opcode.CLOSE
    assert most <= WRITE_HIGH_WATER_BYTES + MEBIBYTE + 10


async def test_server_that_stops_says_1012(application: Application) -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    server = Server(application.starlette, ws=BolideWebSocket)
    await server.start(listener)
    address = f"127.0.0.1:{listener.getsockname()[1]}"
    async with connect(f"ws://{address}/") as client:
        async with asyncio.timeout(20):
            await application.accepted.wait()
        stopping = asyncio.create_task(server.stop())
        with pytest.raises(ConnectionClosed):
            await client.recv()
        assert client.close_code == 1012
        assert (await application.websocket.receive())["code"] == 1012
        application.over.set()
        await stopping


class Shout:
    """A receiver that answers in capitals; it gets all messages from now on."""

    def __init__(self, push: PushSocket) -> None:
        self._push = push
        self.flow: list[str] = []
        self.lost: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        push.start(self)

    def message_received(self, text: str) -> None:
        self._push.write(text_frame(text.upper().encode()))

    def binary_received(self) -> None:
        self._push.close(1003, "text only")

    def writing_paused(self) -> None:
        self.flow.append("paused")

    def writing_resumed(self) -> None:
        self.flow.append("resumed")

    def connection_lost(self, clean: bool) -> None:
        self.lost.set_result(clean)


async def test_push_answers_without_a_task_switch(serve: Serve, application: Application) -> None:
    address = await serve(application.starlette)
    async with connect(f"ws://{address}/") as client, asyncio.timeout(20):
        await application.accepted.wait()
        await client.send("early")
        receiver = Shout(application.push)
        assert await client.recv() == "EARLY"
        for word in ("one", "ä" * 40_000):
            await client.send(word)
            assert await client.recv() == word.upper()
        await client.send(b"\0")
        with pytest.raises(ConnectionClosed):
            await client.recv()
        assert client.close_code == 1003
        assert await receiver.lost is True
        assert (await application.websocket.receive())["type"] == "websocket.disconnect"
        application.push.write(b"nobody minds")


async def test_push_hears_when_a_client_stops_reading_and_begins_again(
    raw_client: RawClient, application: Application
) -> None:
    receiver = Shout(application.push)
    frame = text_frame(b"x" * MEBIBYTE)
    while not receiver.flow:
        application.push.write(frame)
    assert application.push.buffered > WRITE_HIGH_WATER_BYTES
    application.push.close()
    frames = await raw_client.frames()
    assert frames[-1].opcode is Opcode.CLOSE
    assert receiver.flow == ["paused", "resumed"]


async def test_push_cuts_a_client_that_does_not_read(
    raw_client: RawClient, application: Application
) -> None:
    async with asyncio.timeout(20):
        receiver = Shout(application.push)
        application.push.write(text_frame(b"x" * 16 * MEBIBYTE))
        application.push.abort()
        assert await receiver.lost is False
        assert application.push.buffered == 0
