"""Connecting: which address is tried when, and what the status says."""

import asyncio
import json
import ssl
import subprocess
from contextlib import aclosing
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest
from tests.unit.client.conftest import WAIT_S, FakeServer
from websockets.http11 import Response

from bolide.client import (
    Backoff,
    Client,
    ClientLimits,
    ConnectionFailed,
    ConnectionState,
    Status,
    connect,
)
from bolide.client.connection.address import parse_addresses
from bolide.client.connection.link import LinkOptions
from bolide.client.ddp.conversation import Conversation
from bolide.core.errors import ConfigurationError, SessionBroken

AT_ONCE = Backoff(eager_delay_s=0.0, base_s=0.0)
NEVER = Backoff(eager_delay_s=1e6)


async def until(client: Client, wanted: ConnectionState) -> Status:
    async with asyncio.timeout(WAIT_S), aclosing(client.statuses()) as statuses:
        async for status in statuses:
            if status.state is wanted:
                return status
    raise AssertionError("the client has ended")


def unused(server: FakeServer) -> str:
    """Return an address where nothing listens."""
    return f"ws://127.0.0.1:1/{server.port}"


async def test_entering_waits_for_the_session_and_sends_the_headers(server: FakeServer) -> None:
    accepting = asyncio.create_task(server.accepted())
    url = server.url.replace("ws://", "http://").removesuffix("/websocket")
    async with connect(url, headers={"X-Ward": "7"}) as client:
        assert client.status == Status(state=ConnectionState.CONNECTED)
    await accepting
    (request,) = server.requests
    assert (request.path, request.headers["X-Ward"]) == ("/websocket", "7")


async def test_entering_fails_when_nobody_answers_in_time(server: FakeServer) -> None:
    with pytest.raises(ConnectionFailed, match="did not answer in DDP in time"):
        async with connect(server.url, connect_timeout_s=0.05, backoff=NEVER):
            pass


async def test_entering_gives_the_reason_of_the_last_attempt(server: FakeServer) -> None:
    with pytest.raises(ConnectionFailed, match=r"Nothing listens at ws://127\.0\.0\.1:1"):
        async with connect(unused(server), connect_timeout_s=0.1, backoff=NEVER):
            pass


async def test_entering_without_any_reason_names_the_address() -> None:
    options = LinkOptions(addresses=parse_addresses("ws://h:1"), connect_timeout_s=0.0)
    client = Client(Conversation(), options)
    with pytest.raises(ConnectionFailed, match="ws://h:1 did not answer within 0 s"):
        await client.wait_connected()
    await client.close()


@pytest.mark.parametrize(
    ("status", "text"),
    [
        (HTTPStatus.NOT_FOUND, "no DDP endpoint"),
        (HTTPStatus.FORBIDDEN, "refused the connection"),
        (HTTPStatus.FOUND, "redirects elsewhere"),
    ],
)
async def test_entering_fails_at_once_when_a_retry_cannot_help(
    server: FakeServer, status: HTTPStatus, text: str
) -> None:
    def refuse(socket: Any, request: Any) -> Response:
        response: Response = socket.respond(status, "no")
        response.headers["Location"] = server.url
        return response

    server.refuse = refuse
    with pytest.raises(ConnectionFailed, match=text):
        async with connect(server.url, connect_timeout_s=1e6):
            pass
    assert len(server.requests) == 1


async def test_server_without_a_common_version_fails_the_client_for_good(
    server: FakeServer,
) -> None:
    async with connect(server.url, wait=False) as client:
        call = asyncio.create_task(client.call("m"))
        peer = await server.peer()
        await peer.send(msg="failed", version="2")
        status = await until(client, ConnectionState.FAILED)
        assert status.reason is not None
        assert "DDP versions" in status.reason
        with pytest.raises(SessionBroken, match="DDP versions") as caught:
            await call
        assert isinstance(caught.value.__cause__, ConnectionFailed)
        with pytest.raises(SessionBroken):
            await client.subscribe("ward")
    assert client.status is status


async def test_older_version_is_offered_to_the_same_server_at_once(
    server: FakeServer, second_server: FakeServer
) -> None:
    async with connect([server.url, second_server.url], wait=False, backoff=NEVER) as client:
        peer = await server.peer()
        await peer.send(msg="failed", version="pre2")
        again = await server.peer()
        assert (await again.receive("connect"))["version"] == "pre2"
        await again.send(msg="connected", session="s")
        await until(client, ConnectionState.CONNECTED)
    assert second_server.requests == []


async def test_list_is_tried_in_order_without_delay(
    server: FakeServer, second_server: FakeServer
) -> None:
    urls = [unused(server), server.url, second_server.url]
    async with connect(urls, wait=False, backoff=NEVER) as client:
        await server.accepted()
        await until(client, ConnectionState.CONNECTED)
    assert second_server.requests == []


async def test_address_that_is_draining_is_passed_over_without_delay(
    server: FakeServer, second_server: FakeServer
) -> None:
    def refuse(socket: Any, request: Any) -> Response:
        response: Response = socket.respond(HTTPStatus.SERVICE_UNAVAILABLE, "draining")
        return response

    server.refuse = refuse
    async with connect([server.url, second_server.url], wait=False, backoff=NEVER) as client:
        await second_server.accepted()
        await until(client, ConnectionState.CONNECTED)
        assert len(server.requests) == 1


async def test_address_that_accepts_and_says_nothing_is_passed_over(
    server: FakeServer, second_server: FakeServer
) -> None:
    urls = [server.url, second_server.url]
    async with connect(urls, wait=False, backoff=AT_ONCE, connect_timeout_s=0.05):
        await server.peer()
        await second_server.peer()


async def test_session_lost_too_soon_counts_as_a_failed_attempt(
    server: FakeServer, second_server: FakeServer
) -> None:
    async with connect([server.url, second_server.url], wait=False, backoff=NEVER) as client:
        await (await server.accepted()).drop()
        await (await second_server.accepted()).drop()
        status = await until(client, ConnectionState.WAITING)
        assert status.attempts == 2
        assert status.reason is not None
        assert status.reason.count("was lost") == 2
        client.reconnect()
        await server.accepted()
        await until(client, ConnectionState.CONNECTED)


async def test_good_session_that_is_lost_is_sought_at_the_same_address(
    server: FakeServer, second_server: FakeServer
) -> None:
    options = LinkOptions(
        addresses=parse_addresses([server.url, second_server.url]),
        backoff=AT_ONCE,
        good_after_s=0.0,
    )
    client = Client(Conversation(), options)
    client.open()
    for _ in range(3):
        await (await server.accepted()).drop()
    await server.accepted()
    assert (await until(client, ConnectionState.CONNECTED)).attempts == 0
    await client.close()
    assert second_server.requests == []


async def test_waiting_tells_the_delay_and_reconnect_ends_it(server: FakeServer) -> None:
    url = server.url
    await server.stop()
    async with connect(url, wait=False, backoff=NEVER) as client:
        status = await until(client, ConnectionState.WAITING)
        assert (status.retry_in_s, status.attempts) == (1e6, 1)
        assert status.reason is not None
        assert status.reason.startswith("Nothing listens at ws://127.0.0.1:")
        await server.start()
        client.reconnect()
        await server.accepted()
        connected = await until(client, ConnectionState.CONNECTED)
        assert connected == Status(state=ConnectionState.CONNECTED)


async def test_server_restart_is_survived_without_help(server: FakeServer) -> None:
    async with connect(server.url, wait=False, backoff=AT_ONCE) as client:
        await server.accepted()
        await until(client, ConnectionState.CONNECTED)
        await server.stop()
        waiting = await until(client, ConnectionState.WAITING)
        assert waiting.reason is not None
        await server.start()
        await server.accepted()
        await until(client, ConnectionState.CONNECTED)


async def test_silent_server_is_pinged_and_left(server: FakeServer) -> None:
    options: dict[str, Any] = {"heartbeat_interval_s": 0.01, "heartbeat_timeout_s": 0.01}
    async with connect(server.url, wait=False, backoff=AT_ONCE, **options) as client:
        peer = await server.accepted()
        await peer.receive("ping")
        await server.accepted()
        await until(client, ConnectionState.CONNECTED)


@pytest.mark.parametrize(
    ("frame", "text"),
    [
        (b"\x00", "binary frame"),
        ("{", "not valid JSON"),
        (json.dumps({"msg": "connected", "session": "x" * 2_000}), "limits.max_frame_bytes"),
    ],
)
async def test_frame_that_cannot_be_used_is_the_reason(
    server: FakeServer, frame: str | bytes, text: str
) -> None:
    limits = ClientLimits(max_frame_bytes=1_000)
    async with connect(server.url, wait=False, backoff=NEVER, limits=limits) as client:
        peer = await server.accepted()
        await peer.socket.send(frame)
        status = await until(client, ConnectionState.WAITING)
        assert status.reason is not None
        assert text in status.reason


async def test_error_in_our_own_code_fails_the_client_without_its_text(
    server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(self: Conversation, frame: str, now: float) -> None:
        raise RuntimeError("secret")

    monkeypatch.setattr(Conversation, "receive_frame", broken)
    async with connect(server.url, wait=False) as client:
        peer = await server.peer()
        await peer.send(msg="connected")
        status = await until(client, ConnectionState.FAILED)
        assert status.reason == "An internal error ended the client (RuntimeError)."
        with pytest.raises(SessionBroken) as caught:
            await client.call("m")
        assert isinstance(caught.value.__cause__, RuntimeError)


# TLS


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a certificate for 127.0.0.1 that nobody trusts."""
    path = tmp_path_factory.mktemp("tls") / "server.pem"
    subject = ["-subj", "/CN=bolide-test", "-addext", "subjectAltName=IP:127.0.0.1"]
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    output = ["-nodes", "-days", "1", "-keyout", str(path), "-out", str(path.with_suffix(".crt"))]
    subprocess.run([*command, *subject, *output], check=True, capture_output=True)
    path.write_text(path.read_text() + path.with_suffix(".crt").read_text())
    return path


async def test_untrusted_certificate_is_named_and_a_given_authority_is_used(
    certificate: Path,
) -> None:
    server = FakeServer()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    await server.start(context)
    try:
        with pytest.raises(ConnectionFailed, match=r"is not trusted .*in SSL_CERT_FILE"):
            async with connect(server.url, connect_timeout_s=1e6):
                pass
        trusting = ssl.create_default_context(cafile=str(certificate.with_suffix(".crt")))
        accepting = asyncio.create_task(server.accepted())
        async with connect(server.url, ssl=trusting) as client:
            assert client.status.state is ConnectionState.CONNECTED
        await accepting
    finally:
        await server.stop()


def test_tls_context_for_a_plain_address_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="https or wss"):
        connect("http://h", ssl=ssl.create_default_context())
