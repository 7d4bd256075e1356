"""What a supervisor asks nodes, and what it makes of odd answers."""

import asyncio
import socket
import ssl
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TypeAlias

import pytest
from tests.cluster_certificates import CLIENT, SERVER, Certificate, CertificateAuthority

from bolide.balancer.members.address import Address
from bolide.balancer.members.member import Member
from bolide.balancer.supervisor.node_client import MAX_ANSWER_BYTES, Answer, NodeClient
from bolide.balancer.supervisor.probing import Prober, Report
from bolide.balancer.tls.node_context import NodeContext, Untrusted
from bolide.balancer.worker.messages import NodeTLS

Serve: TypeAlias = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
TIMEOUT_S = 20.0
PLAIN = NodeContext(NodeTLS(verify="off"), "ward")
READY = b'HTTP/1.1 200 OK\r\nContent-Length: 29\r\n\r\n{"ready":true,"sessions":170}'


def saying(answer: bytes, asked: list[bytes] | None = None) -> Serve:
    """Answer one request with these bytes, and end."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        if b"Content-Length: 12" in head:
            head += await reader.readexactly(12)
        if asked is not None:
            asked.append(head)
        writer.write(answer)
        writer.close()

    return serve


async def never(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()
    writer.close()


@asynccontextmanager
async def node(serve: Serve, tls: ssl.SSLContext | None = None) -> AsyncGenerator[Address]:
    serving: list[asyncio.Task[None]] = []

    async def serve_and_end(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await serve(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()
        with suppress(OSError):
            await writer.wait_closed()

    def begin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        serving.append(asyncio.create_task(serve_and_end(reader, writer)))

    server = await asyncio.start_server(begin, "127.0.0.1", 0, ssl=tls)
    async with server:
        yield Address(*server.sockets[0].getsockname())
    await asyncio.gather(*serving)


async def ask(
    address: Address, *, proof: NodeContext = PLAIN, timeout_s: float = TIMEOUT_S
) -> Answer:
    return await NodeClient(proof, timeout_s=timeout_s).ask("a", address, "/readyz")


@pytest.mark.parametrize(
    ("said", "body"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", b"hi"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi and more", b"hi"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;x\r\nhi\r\n0\r\n\r\n", b"hi"),
        (b"HTTP/1.0 200 OK\r\n\r\nhi", b"hi"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", b""),
        (b"HTTP/1.1 103 Early\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", b"hi"),
    ],
)  # fmt: skip
async def test_an_answer_is_read_whatever_its_framing(said: bytes, body: bytes) -> None:
    async with node(saying(said)) as address:
        assert await ask(address) == Answer(200, body)


async def test_a_request_says_where_it_goes_and_that_it_is_the_last_one() -> None:
    asked: list[bytes] = []
    async with node(saying(READY, asked)) as address:
        await ask(address)
        client = NodeClient(PLAIN, timeout_s=TIMEOUT_S)
        await client.ask("a", address, "/drain", method="POST", body=b'{"within":1}')
    host = str(address).encode()
    assert asked == [
        b"GET /readyz HTTP/1.1\r\nHost: " + host + b"\r\nConnection: close\r\n\r\n",
        b"POST /drain HTTP/1.1\r\nHost: " + host + b"\r\nConnection: close\r\n"
        b'Content-Type: application/json\r\nContent-Length: 12\r\n\r\n{"within":1}',
    ]


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"rubbish\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nhi",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nhi",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * MAX_ANSWER_BYTES + b"\r\n\r\n",
        b"HTTP/1.0 200 OK\r\n\r\n" + b"x" * 5 * MAX_ANSWER_BYTES,
    ],
    ids=lambda said: said[:40],
)
async def test_what_is_no_whole_answer_is_none(said: bytes) -> None:
    async with node(saying(said)) as address:
        with pytest.raises(OSError, match="answer"):
            await ask(address)


async def test_a_node_that_says_nothing_is_not_waited_for() -> None:
    async with node(never) as address:
        with pytest.raises(TimeoutError):
            await ask(address, timeout_s=0.05)


async def test_nobody_there_is_an_oserror() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = Address(*free.getsockname())
    with pytest.raises(ConnectionRefusedError):
        await ask(address)


class Ward:
    """A cluster's authority, and the proof that its balancer wants."""

    def __init__(self, folder: Path) -> None:
        self.authority = CertificateAuthority(folder)
        own = self.authority.issue("bolide://ward/balancer/b", purposes=[CLIENT])
        tls = NodeTLS(ca=self.authority.pem, chain=own.chain, key=own.key)
        self.proof = NodeContext(tls, "ward")

    def node(self, name: str) -> Certificate:
        return self.authority.issue(f"bolide://ward/node/{name}", purposes=[SERVER])


async def test_a_node_proves_its_name_and_sessions_are_resumed(tmp_path: Path) -> None:
    ward = Ward(tmp_path)
    resumed: list[object] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        resumed.append(writer.get_extra_info("ssl_object").session_reused)
        await saying(READY)(reader, writer)

    async with node(serve, ward.authority.server(ward.node("a"))) as address:
        for _ in range(2):
            assert (await ask(address, proof=ward.proof)).status == 200
    assert resumed == [False, True]


async def test_another_node_is_not_asked_anything(tmp_path: Path) -> None:
    ward = Ward(tmp_path)
    asked: list[bytes] = []
    tls = ward.authority.server(ward.node("b"))
    async with node(saying(READY, asked), tls) as address:
        with pytest.raises(Untrusted):
            await ask(address, proof=ward.proof)
    assert asked == []


class Asked:
    """What a prober found, and time that passes when the test wants."""

    def __init__(self) -> None:
        self.reports: asyncio.Queue[Report] = asyncio.Queue()
        self.pauses: list[float] = []
        self.go_on = asyncio.Semaphore(0)

    async def wait(self, seconds: float) -> None:
        self.pauses.append(seconds)
        await self.go_on.acquire()


@asynccontextmanager
async def probing(*members: Member, timeout_s: float = TIMEOUT_S) -> AsyncGenerator[Asked]:
    asked = Asked()
    client = NodeClient(PLAIN, timeout_s=timeout_s)
    prober = Prober(
        asked.reports.put_nowait, client, path="/readyz", interval_s=60, wait=asked.wait
    )
    prober.keep(members)
    try:
        yield asked
    finally:
        await prober.close()


@pytest.mark.parametrize(
    ("said", "report"),
    [
        (READY, Report("a", "ready", 170)),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", Report("a", "ready")),
        (b'HTTP/1.1 200 OK\r\nContent-Length: 15\r\n\r\n{"sessions":-1}', Report("a", "ready")),
        (
            b'HTTP/1.1 503 No\r\nContent-Length: 30\r\n\r\n{"ready":false,"sessions": 12}',
            Report("a", "draining", 12),
        ),
        (
            b'HTTP/1.1 200 OK\r\nContent-Length: 26\r\n\r\n{"sessions":1,"run":"r-1"}',
            Report("a", "ready", 1, run="r-1"),
        ),
        (
            b"HTTP/1.1 503 No\r\nContent-Length: 4\r\n\r\nbusy",
            Report("a", "failed", why="status 503"),
        ),
        (
            b"HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n",
            Report("a", "failed", why="status 404"),
        ),
        (b"", Report("a", "failed", why="OSError")),
    ],
    ids=lambda value: value[9:12] if isinstance(value, bytes) else None,
)
async def test_an_answer_says_how_a_node_is(said: bytes, report: Report) -> None:
    async with node(saying(said)) as address, probing(Member(name="a", address=address)) as asked:
        assert await asked.reports.get() == report


async def test_a_node_is_asked_again_and_again_at_its_management_listener() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        elsewhere = Address(*free.getsockname())
    async with node(saying(READY)) as address:
        member = Member(name="a", address=elsewhere, management=address)
        async with probing(member) as asked:
            for _ in range(3):
                assert (await asked.reports.get()).probe == "ready"
                asked.go_on.release()
            assert all(50 < pause <= 66 for pause in asked.pauses)


async def test_why_a_node_fails_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    async with (
        node(never) as address,
        probing(Member(name="a", address=address), timeout_s=0.02) as asked,
    ):
        for _ in range(3):
            assert (await asked.reports.get()).why == "TimeoutError"
            asked.go_on.release()
    assert caplog.text.count("node a does not answer as it should: TimeoutError") == 1
