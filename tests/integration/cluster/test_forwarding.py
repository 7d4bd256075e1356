"""Whose request it is: a node of a cluster learns that from its balancers."""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send
from tests.cluster_certificates import CLIENT, CertificateAuthority
from tests.integration.cluster.conftest import PUBLIC, Cluster
from tests.integration.conftest import Peer
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from bolide.ops.node.listener import bind
from bolide.ops.node.service import serving
from bolide.server.web.peer import PEER
from bolide.server.web.tls.admission import Admission

_B1 = "bolide://ward/balancer/b1"


@asynccontextmanager
async def _connected(
    cluster: Cluster,
    headers: Mapping[str, str],
    *,
    host: str = PUBLIC,
    origin: str | None = f"https://{PUBLIC}",
) -> AsyncGenerator[Peer]:
    context = cluster.client(cluster.authority.issue(_B1, purposes=[CLIENT]))
    async with connect(
        f"wss://{host}/websocket",
        ssl=context,
        host="127.0.0.1",
        port=cluster.port,
        additional_headers=headers,
        origin=origin,  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        proxy=None,
    ) as connection:
        peer = Peer(connection)
        await peer.connect()
        yield peer


@pytest.mark.parametrize(
    ("headers", "address"),
    [
        ({"X-Forwarded-For": "203.0.113.7", "Forwarded": "for=203.0.113.7"}, "203.0.113.7"),
        ({"X-Forwarded-For": "2001:db8::7"}, "2001:db8::7"),
        ({}, None),
        ({"X-Forwarded-For": "203.0.113.7, 203.0.113.8"}, None),
    ],
)
async def test_a_session_has_the_address_that_the_balancer_names(
    cluster: Cluster, headers: dict[str, str], address: str | None
) -> None:
    async with _connected(cluster, headers) as peer:
        assert (await peer.call("whoami"))["result"] == address


async def test_each_request_of_a_connection_has_its_own_client(tmp_path: Path) -> None:
    async def tell(scope: Scope, receive: Receive, send: Send) -> None:
        await PlainTextResponse(f"{scope['client']} {scope[PEER]}\n")(scope, receive, send)

    authority = CertificateAuthority(tmp_path)
    context = authority.server(authority.issue("bolide://ward/node/n1"))
    listener = bind("127.0.0.1", 0)
    port = listener.getsockname()[1]
    admit = Admission("ward", frozenset({"balancer"}))
    answer = b""
    async with serving(tell, listener, tls=context, admit=admit):
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", port, ssl=authority.client(authority.issue(_B1))
        )
        for headers in ("X-Forwarded-For: 203.0.113.7\r\n", "Connection: close\r\n"):
            writer.write(f"GET / HTTP/1.1\r\nHost: {PUBLIC}\r\n{headers}\r\n".encode())
            answer += await reader.readuntil(b"b1\n")
        writer.close()
    told = [line for line in answer.decode().splitlines() if line.endswith("b1")]
    assert told == [f"('203.0.113.7', 0) {_B1}", f"None {_B1}"]


async def test_pages_and_hosts_are_checked_behind_a_balancer_too(cluster: Cluster) -> None:
    for changes in (
        {"origin": "https://evil.example.com"},
        {"host": "n1.example.org"},
        {"host": "127.0.0.1"},
    ):
        with pytest.raises(InvalidStatus) as raised:
            async with _connected(cluster, {}, **changes):
                pass
        assert raised.value.response.status_code == 403
    async with _connected(cluster, {}, origin=None) as peer:
        assert await peer.call("whoami")
