"""TLS over real sockets: what holds on uvicorn's own TLS too, and what ours adds."""

import asyncio
import errno
import os
import select
import socket
import ssl
import struct
import subprocess
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack, closing
from dataclasses import dataclass, replace
from pathlib import Path

# Options go to uvicorn as they are.
from typing import Any

import httpx
import pytest
import pytest_asyncio
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.types import ASGIApp
from starlette.websockets import WebSocket
from tests.certificates import Authority
from tests.integration.conftest import Server
from tests.integration.websocket import key_updates
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from bolide.ops.node.tls import tls_of
from bolide.server.limits import Limits
from bolide.server.settings import Settings
from bolide.server.web.http_protocol import BolideHTTP
from bolide.server.web.tls import transport as tls_transport
from bolide.server.web.tls.listener import TLSListener
from bolide.server.web.tls.server import TLSServer
from bolide.server.web.tls.transport import TLSTransport
from bolide.server.web.websocket import BolideWebSocket
from bolide.server.web.websocket.frames import text_frame
from bolide.server.web.websocket.protocol import WRITE_HIGH_WATER_BYTES
from bolide.server.web.websocket.push import EXTENSION, PushSocket

MEBIBYTE = 1_048_576
SHORTLY_S = 0.05
TIMEOUT_S = 20
REQUEST = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n"
FLOOD_UPDATES = 200_000
FLOOD_S = 2  # at least: what a node needs to read them
UPGRADE = (
    b"GET /echo HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n"
    b"sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


class OurServer(Server, TLSServer):
    """The server of the other tests, with our TLS."""

    def __init__(
        self, application: ASGIApp, *, limits: Limits | None = None, **options: Any
    ) -> None:
        super().__init__(application, **options)
        self._limits = limits or Limits()


class Impatient(BolideHTTP):
    """Does not wait for long, so that tests need not."""

    header_timeout_s = SHORTLY_S


class Application:
    """Says who asked, and echoes; keeps the last WebSocket for the test."""

    def __init__(self) -> None:
        self.websocket: WebSocket
        self.accepted = asyncio.Event()
        self.over = asyncio.Event()
        self.starlette = Starlette(
            routes=[
                Route("/", self._tell),
                Route("/large", self._tell_much),
                WebSocketRoute("/echo", self._echo),
                WebSocketRoute("/wait", self._wait),
            ]
        )

    async def _tell(self, request: Request) -> PlainTextResponse:
        assert request.client is not None
        return PlainTextResponse(f"{request.url.scheme} {request.client.host}")

    async def _tell_much(self, request: Request) -> PlainTextResponse:
        return PlainTextResponse(b"x" * 16 * MEBIBYTE)

    async def _echo(self, websocket: WebSocket) -> None:
        await websocket.accept()
        while (message := await websocket.receive())["type"] == "websocket.receive":
            await websocket.send({**message, "type": "websocket.send"})

    async def _wait(self, websocket: WebSocket) -> None:
        await websocket.accept()
        self.websocket = websocket
        self.accepted.set()
        await self.over.wait()

    @property
    def push(self) -> PushSocket:
        push: PushSocket = self.websocket.scope["extensions"][EXTENSION]
        return push


def _always(context: ssl.SSLContext) -> Callable[[uvicorn.Config, object], ssl.SSLContext]:
    return lambda _config, _default: context


@dataclass
class Serve:
    """Serves applications over TLS."""

    stack: AsyncExitStack
    authority: Authority
    kind: type[Server]

    async def __call__(self, application: ASGIApp, **options: Any) -> str:
        files = self.authority.issue()
        tls = tls_of(Settings(tls_cert=files.cert, tls_key=files.key))
        assert tls is not None
        make_context = _always(tls.context)
        options = {"ws": BolideWebSocket, "http": BolideHTTP, **options}
        server = self.kind(application, ssl_context_factory=make_context, **options)
        listener = socket.create_server(("127.0.0.1", 0))
        await server.start(listener)
        self.stack.push_async_callback(server.stop)
        return f"127.0.0.1:{listener.getsockname()[1]}"

    @property
    def trusting(self) -> ssl.SSLContext:
        return self.authority.client_context()


@pytest_asyncio.fixture
async def ours(tmp_path: Path) -> AsyncGenerator[Serve]:
    async with AsyncExitStack() as stack:
        yield Serve(stack, Authority(tmp_path), OurServer)


@pytest.fixture(params=[OurServer, Server], ids=["ours", "uvicorn"])
def serve(ours: Serve, request: pytest.FixtureRequest) -> Serve:
    return replace(ours, kind=request.param)


@pytest_asyncio.fixture
async def application() -> AsyncGenerator[Application]:
    application = Application()
    yield application
    application.over.set()


class Client:
    """A client in a thread of its own, which reads when it is told."""

    def __init__(self, connection: ssl.SSLSocket) -> None:
        self.connection = connection

    @classmethod
    async def open(cls, serve: "Serve | Listening", address: str) -> "Client":
        plain = dial(address)
        context = serve.trusting

        def shake() -> ssl.SSLSocket:
            return context.wrap_socket(
                plain, server_hostname="127.0.0.1", suppress_ragged_eofs=False
            )

        return cls(await asyncio.to_thread(shake))

    async def send(self, data: bytes) -> None:
        await asyncio.to_thread(self.connection.sendall, data)

    async def until(self, words: bytes) -> bytes:
        read = bytearray()
        while words not in read[-65_536 - len(words) :]:
            more = await asyncio.to_thread(self.connection.recv, 65_536)
            assert more
            read += more
        return bytes(read)

    async def rest(self) -> bytes:
        """Return what comes until the server says goodbye; its mere end is an error."""
        read = bytearray()
        while more := await asyncio.to_thread(self.connection.recv, 65_536):
            read += more
        return bytes(read)

    def close(self) -> None:
        self.connection.close()


def dial(address: str) -> socket.socket:
    """Return a plain connection of small buffers."""
    host, _, port = address.partition(":")
    plain = socket.socket()
    plain.settimeout(TIMEOUT_S)
    plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8_192)
    plain.connect((host, int(port)))
    return plain


async def end_of(plain: socket.socket) -> bytes:
    """Return what comes until the server ends the connection."""

    def read() -> bytes:
        found = b""
        try:
            while more := plain.recv(65_536):
                found += more
        except ConnectionResetError:
            pass
        return found

    with closing(plain):
        return await asyncio.to_thread(read)


async def begin_flood(address: str) -> Callable[[], Awaitable[bytes]]:
    """Let a process send key updates; what is returned waits for its end, and what it says."""
    port = address.partition(":")[2]
    flood = await asyncio.create_subprocess_exec(
        sys.executable, key_updates.__file__, port, str(FLOOD_UPDATES), stdout=subprocess.PIPE
    )
    assert flood.stdout is not None

    async def end() -> bytes:
        said, _ = await flood.communicate()
        return said

    if await flood.stdout.readline() != b"sending\n":
        assert await flood.wait() == key_updates.NO_OPENSSL
        assert "CI" not in os.environ
        pytest.skip("there is no libssl.so.3")
    return end


async def test_echo_of_any_length(serve: Serve, application: Application) -> None:
    address = await serve(application.starlette)
    async with connect(f"wss://{address}/echo", ssl=serve.trusting) as client:
        for size in (0, 1, 16_384, 16_385, 65_536, MEBIBYTE):
            for message in ("ä" * (size // 2), b"x" * size):
                await client.send(message)
                assert await client.recv() == message


async def test_request_knows_scheme_and_client(serve: Serve, application: Application) -> None:
    address = await serve(application.starlette)
    async with httpx.AsyncClient(trust_env=False, verify=serve.trusting) as client:
        for _ in range(2):
            answer = await client.get(f"https://{address}/")
            assert answer.text == "https 127.0.0.1"


async def test_client_that_speaks_no_tls_disturbs_nobody(
    serve: Serve, application: Application
) -> None:
    address = await serve(application.starlette)
    async with connect(f"wss://{address}/echo", ssl=serve.trusting) as client:
        for words in (REQUEST, b"\x16\x03\x01\0\x05hello", b"\0" * 100_000):
            plain = dial(address)
            plain.sendall(words)
            assert b"200 OK" not in await end_of(plain)
        dial(address).close()
        await client.send("still here")
        assert await client.recv() == "still here"


async def test_client_that_does_not_trust_us_disturbs_nobody(
    serve: Serve, application: Application
) -> None:
    address = await serve(application.starlette)
    with pytest.raises(ssl.SSLCertVerificationError):
        await connect(f"wss://{address}/echo", ssl=ssl.create_default_context())
    async with connect(f"wss://{address}/echo", ssl=serve.trusting) as client:
        await client.send("hello")
        assert await client.recv() == "hello"


@pytest.mark.parametrize("said", [b"", REQUEST[:20]])
async def test_connection_without_a_whole_head_is_cut(
    serve: Serve, application: Application, said: bytes
) -> None:
    address = await serve(application.starlette, http=Impatient)
    client = await Client.open(serve, address)
    with closing(client):
        if said:
            await client.send(said)
        with pytest.raises((ssl.SSLEOFError, ConnectionResetError)):
            await client.rest()


async def test_one_connection_too_many_is_told(serve: Serve, application: Application) -> None:
    http = BolideHTTP.limited(Limits(max_connections=1))
    address = await serve(application.starlette, http=http)
    async with connect(f"wss://{address}/echo", ssl=serve.trusting):
        with closing(await Client.open(serve, address)) as surplus:
            assert (await surplus.rest()).startswith(b"HTTP/1.1 503 ")


async def test_application_that_sends_to_a_deaf_client_waits(
    serve: Serve, application: Application
) -> None:
    client = await Client.open(serve, await serve(application.starlette))
    with closing(client):
        await client.send(UPGRADE.replace(b"/echo", b"/wait"))
        await client.until(b"\r\n\r\n")
        most = 0

        async def send_all() -> None:
            nonlocal most
            for _ in range(16):
                await application.websocket.send_text("x" * MEBIBYTE)
                most = max(most, application.push.buffered)
            await application.websocket.close()

        async with asyncio.timeout(TIMEOUT_S):
            await application.accepted.wait()
            sending = asyncio.create_task(send_all())
            for _ in range(100):
                await asyncio.sleep(0)
            assert not sending.done()
            read = await client.until(b"\x88\x02\x03\xe8")
            await sending
        assert read == text_frame(b"x" * MEBIBYTE) * 16 + b"\x88\x02\x03\xe8"
        assert most <= WRITE_HIGH_WATER_BYTES + 2 * MEBIBYTE


async def test_flood_waits_in_the_client_until_the_application_reads(
    serve: Serve, application: Application
) -> None:
    address = await serve(application.starlette)
    async with connect(f"wss://{address}/wait", ssl=serve.trusting) as client:
        count = 48

        async def send_all() -> None:
            for number in range(count):
                await client.send(f"{number} " + "x" * MEBIBYTE)

        async with asyncio.timeout(60):
            await application.accepted.wait()
            flood = asyncio.create_task(send_all())
            assert (await application.websocket.receive_text())[:2] == "0 "
            for _ in range(100):
                await asyncio.sleep(0)
            assert not flood.done()
            for number in range(1, count):
                assert (await application.websocket.receive_text()).startswith(f"{number} ")
            await flood


@pytest.mark.parametrize("is_polite", [True, False])
async def test_client_that_goes_is_1006(
    serve: Serve, application: Application, is_polite: bool
) -> None:
    client = await Client.open(serve, await serve(application.starlette))
    await client.send(UPGRADE.replace(b"/echo", b"/wait"))
    await client.until(b"\r\n\r\n")
    async with asyncio.timeout(TIMEOUT_S):
        await application.accepted.wait()
        with closing(client):
            if is_polite:
                assert await asyncio.to_thread(client.connection.unwrap)
            else:
                client.connection.shutdown(socket.SHUT_WR)
            assert (await application.websocket.receive())["code"] == 1006


async def test_server_that_stops_says_1012(ours: Serve, application: Application) -> None:
    async with AsyncExitStack() as stack:
        address = await replace(ours, stack=stack)(application.starlette)
        async with connect(f"wss://{address}/wait", ssl=ours.trusting) as client:
            async with asyncio.timeout(TIMEOUT_S):
                await application.accepted.wait()
            stopping = asyncio.create_task(stack.aclose())
            with pytest.raises(ConnectionClosed):
                await client.recv()
            assert client.close_code == 1012
            application.over.set()
            await stopping


# What only ours does.


async def test_client_that_forgot_the_s_of_https_is_told(
    ours: Serve, application: Application
) -> None:
    address = await ours(application.starlette)
    async with httpx.AsyncClient(trust_env=False) as client:
        for body in (b"", b"x" * MEBIBYTE):
            answer = await client.post(f"http://{address}/", content=body)
            assert answer.status_code == 400
            assert "https://" in answer.text


async def test_client_that_never_reads_its_page_gives_its_place_up(
    ours: Serve, application: Application
) -> None:
    http = type("Strict", (BolideHTTP,), {"slow_reader_timeout_s": SHORTLY_S})
    address = await ours(application.starlette, http=http, timeout_keep_alive=100)
    client = await Client.open(ours, address)
    with closing(client):
        await client.send(REQUEST.replace(b"/ ", b"/large "))
        poll = select.poll()
        poll.register(client.connection, 0)
        assert await asyncio.to_thread(poll.poll, 10_000)  # it is reset


async def test_violation_is_explained_before_the_end(ours: Serve, application: Application) -> None:
    client = await Client.open(ours, await ours(application.starlette))
    with closing(client):
        await client.send(UPGRADE)
        await client.until(b"\r\n\r\n")
        await client.send(b"\x81\x01x" + b"\0" * 100_000)  # not masked, and much more unread
        assert await client.rest() == b"\x88\x12\x03\xeaFrame not masked"


async def test_peer_that_only_updates_keys_is_cut_and_others_are_served(
    ours: Serve, application: Application, caplog: pytest.LogCaptureFixture
) -> None:
    address = await ours(application.starlette, limits=Limits(max_tls_read_ms=100))
    flood = await begin_flood(address)
    async with asyncio.timeout(FLOOD_S / 2):
        async with connect(f"wss://{address}/echo", ssl=ours.trusting) as client:
            await client.send("still here")
            assert await client.recv() == "still here"
        assert await flood() == b"cut\n"
    assert "max_tls_read_ms" in caplog.text


async def test_server_ends_although_a_client_does_not_let_go(
    ours: Serve, application: Application
) -> None:
    async with AsyncExitStack() as stack:
        client = await Client.open(ours, await replace(ours, stack=stack)(application.starlette))
        with closing(client), closing(dial(":".join(map(str, client.connection.getpeername())))):
            await client.send(REQUEST)
            await client.until(b"https")
            async with asyncio.timeout(tls_transport.LINGER_TIMEOUT_S):
                await stack.aclose()


@dataclass
class Heard(asyncio.Protocol):
    """A protocol that keeps what it heard."""

    failing: str = ""

    def __post_init__(self) -> None:
        self.transport: TLSTransport
        self.heard: list[str] = []
        self.lost: asyncio.Future[Exception | None] = asyncio.get_running_loop().create_future()
        self.made = asyncio.Event()
        self.came = asyncio.Event()

    def _hear(self, name: str) -> None:
        self.heard.append(name)
        if self.failing == name:
            raise LookupError(name)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, TLSTransport)
        self.transport = transport
        self.made.set()
        self._hear("made")

    def data_received(self, data: bytes) -> None:
        self.came.set()
        self._hear("data")

    def eof_received(self) -> None:
        self._hear("eof")

    def pause_writing(self) -> None:
        self._hear("paused")

    def resume_writing(self) -> None:
        self._hear("resumed")

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.set_result(exc)


@dataclass
class Listening:
    """A listener without a server."""

    listener: TLSListener
    address: str
    authority: Authority
    protocol: Heard

    @property
    def trusting(self) -> ssl.SSLContext:
        return self.authority.client_context()

    async def strays(self, count: int) -> None:
        async with asyncio.timeout(TIMEOUT_S):
            while self.listener.stray_count != count:  # noqa: ASYNC110 (nobody tells)
                await asyncio.sleep(0.001)


class Crowded(socket.socket):
    """A listening socket of a process that has no room for sockets at first."""

    refusals = 1

    def accept(self) -> tuple[socket.socket, Any]:
        if self.refusals:
            self.refusals -= 1
            raise OSError(errno.EMFILE, "Too many open files")
        return super().accept()


@pytest_asyncio.fixture
async def listen(tmp_path: Path) -> AsyncGenerator[Callable[..., Listening]]:
    async with AsyncExitStack() as stack:

        def listen(
            failing: str = "",
            timeout_s: float = 100,
            most: int = 10,
            kind: type[socket.socket] = socket.socket,
        ) -> Listening:
            authority = Authority(tmp_path)
            files = authority.issue()
            tls = tls_of(Settings(tls_cert=files.cert, tls_key=files.key))
            assert tls is not None
            plain = stack.enter_context(closing(kind()))
            plain.bind(("127.0.0.1", 0))
            protocol = Heard(failing)
            listener = TLSListener(
                plain,
                tls.context,
                lambda: protocol,
                backlog=10,
                handshake_timeout_s=timeout_s,
                max_strays=most,
                max_read_ms=100,
            )
            stack.push_async_callback(listener.wait_closed)
            stack.callback(listener.close)
            return Listening(listener, f"127.0.0.1:{plain.getsockname()[1]}", authority, protocol)

        yield listen


async def test_silent_socket_is_cut(listen: Callable[..., Listening]) -> None:
    assert await end_of(dial(listen(timeout_s=SHORTLY_S).address)) == b""


async def test_silent_sockets_leave_no_room_for_more(listen: Callable[..., Listening]) -> None:
    at = listen(most=2)
    with closing(dial(at.address)) as one, closing(dial(at.address)):
        await at.strays(2)
        assert await end_of(dial(at.address)) == b""
        one.close()
        await at.strays(1)
        with closing(await Client.open(at, at.address)):
            await at.protocol.made.wait()
            await at.strays(1)


async def test_process_without_room_goes_on_later(
    listen: Callable[..., Listening], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bolide.server.web.tls.listener._PAUSE_S", SHORTLY_S)
    at = listen(kind=Crowded)
    with closing(await Client.open(at, at.address)):
        await at.protocol.made.wait()


async def test_peer_that_does_not_let_go_is_cut(
    listen: Callable[..., Listening], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tls_transport, "LINGER_TIMEOUT_S", SHORTLY_S)
    at = listen()
    with closing(await Client.open(at, at.address)):
        await at.protocol.made.wait()
        at.protocol.transport.close()
        assert await at.protocol.lost is None
        await at.strays(1)
        await at.strays(0)


async def test_peer_that_only_updates_keys_does_not_hold_up_a_goodbye(
    listen: Callable[..., Listening],
) -> None:
    at = listen()
    opening = asyncio.create_task(begin_flood(at.address))
    await at.protocol.made.wait()
    at.protocol.transport.pause_reading()
    flood = await opening
    async with asyncio.timeout(FLOOD_S / 2):
        connection = at.protocol.transport.get_extra_info("socket")
        await asyncio.to_thread(select.select, [connection], [], [], TIMEOUT_S)
        at.protocol.transport.close()
        assert await flood() == b"cut\n"


async def test_peer_that_lets_go_is_forgotten(listen: Callable[..., Listening]) -> None:
    at = listen()
    client = await Client.open(at, at.address)
    await at.protocol.made.wait()
    at.protocol.transport.write(b"last words")
    at.protocol.transport.close()
    at.protocol.transport.close()
    at.protocol.transport.write(b"nobody minds")
    assert at.protocol.transport.is_closing()
    await at.protocol.lost
    assert await client.rest() == b"last words"
    client.close()
    await at.strays(0)


async def test_peer_that_never_reads_is_cut(
    listen: Callable[..., Listening], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tls_transport, "FLUSH_TIMEOUT_S", SHORTLY_S)
    at = listen()
    with closing(await Client.open(at, at.address)):
        await at.protocol.made.wait()
        at.protocol.transport.write(b"x" * 16 * MEBIBYTE)
        at.protocol.transport.close()
        assert not at.protocol.lost.done()
        await at.protocol.lost


async def test_what_waits_is_sent_before_goodbye(listen: Callable[..., Listening]) -> None:
    at = listen()
    with closing(await Client.open(at, at.address)) as client:
        await at.protocol.made.wait()
        transport = at.protocol.transport
        assert transport.get_write_buffer_limits() == (16_384, 65_536)
        transport.set_write_buffer_limits(high=100_000)
        assert transport.get_write_buffer_limits() == (25_000, 100_000)
        transport.set_write_buffer_limits(low=1_000)
        assert transport.get_write_buffer_limits() == (1_000, 4_000)
        transport.set_write_buffer_limits()
        with pytest.raises(ValueError, match="low must be from 0 to high, which is 1"):
            transport.set_write_buffer_limits(high=1, low=2)
        data = bytes(range(256)) * 65_536
        for part in (data, memoryview(data), bytearray(data), b""):
            transport.write(part)
        assert transport.get_write_buffer_size() > 65_536
        assert at.protocol.heard[-1] == "paused"
        transport.close()
        assert await client.rest() == data * 3


async def test_writer_hears_when_a_peer_catches_up(listen: Callable[..., Listening]) -> None:
    at = listen()
    with closing(await Client.open(at, at.address)) as client:
        await at.protocol.made.wait()
        at.protocol.transport.write(b"x" * 16 * MEBIBYTE + b"end")
        await client.until(b"end")
        assert at.protocol.heard == ["made", "paused", "resumed"]
        assert at.protocol.transport.get_write_buffer_size() == 0


async def test_reading_stops_and_goes_on(listen: Callable[..., Listening]) -> None:
    at = listen()
    with closing(await Client.open(at, at.address)) as client:
        await at.protocol.made.wait()
        transport = at.protocol.transport
        assert transport.is_reading()
        for _ in range(2):
            transport.pause_reading()
        assert not transport.is_reading()
        await client.send(b"hello")
        for _ in range(50):
            await asyncio.sleep(0.001)
        assert at.protocol.heard == ["made"]
        for _ in range(2):
            transport.resume_reading()
        async with asyncio.timeout(TIMEOUT_S):
            await at.protocol.came.wait()


async def test_transport_tells_what_it_is(listen: Callable[..., Listening]) -> None:
    at = listen()
    with closing(await Client.open(at, at.address)) as client:
        await at.protocol.made.wait()
        transport = at.protocol.transport
        assert transport.get_protocol() is at.protocol
        assert not transport.can_write_eof()
        assert transport.get_extra_info("peername") == client.connection.getsockname()
        assert transport.get_extra_info("sockname") == client.connection.getpeername()
        assert transport.get_extra_info("cipher") == client.connection.cipher()
        assert transport.get_extra_info("ssl_object").version() == "TLSv1.3"
        assert isinstance(transport.get_extra_info("sslcontext"), ssl.SSLContext)
        assert transport.get_extra_info("weather", "fair") == "fair"
        transport.abort()
        assert transport.get_extra_info("peername") is None
        assert await at.protocol.lost is None


@pytest.mark.parametrize("failing", ["made", "data", "eof", "paused", "resumed"])
async def test_protocol_that_fails_loses_its_connection(
    listen: Callable[..., Listening], failing: str
) -> None:
    told: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))
    at = listen(failing)
    client = await Client.open(at, at.address)
    with closing(client):
        await at.protocol.made.wait()
        if failing == "data":
            await client.send(b"hello")
        elif failing == "eof":
            client.connection.shutdown(socket.SHUT_WR)
        elif failing == "paused":
            at.protocol.transport.write(b"x" * 16 * MEBIBYTE)
        elif failing == "resumed":
            at.protocol.transport.write(b"x" * 16 * MEBIBYTE)
            with pytest.raises((ssl.SSLEOFError, ConnectionResetError)):
                await client.rest()
        assert isinstance(await at.protocol.lost, LookupError)
        assert told[0]["protocol"] is at.protocol


async def test_peer_that_resets_is_lost(listen: Callable[..., Listening]) -> None:
    at = listen()
    client = await Client.open(at, at.address)
    await at.protocol.made.wait()
    client.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()
    await at.protocol.lost


async def test_record_that_is_none_ends_the_connection(listen: Callable[..., Listening]) -> None:
    at = listen()
    with closing(await Client.open(at, at.address)) as client:
        await at.protocol.made.wait()
        os.write(client.connection.fileno(), b"GET / HTTP/1.1\r\n\r\n")
        assert isinstance(await at.protocol.lost, ssl.SSLError)
        assert at.protocol.heard == ["made"]
