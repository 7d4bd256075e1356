"""The management client: whole answers, and one line about everything else."""

import asyncio
import ssl
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import closing

import pytest
import pytest_asyncio

from bolide.core.errors import ConfigurationError
from bolide.ops.node.listener import bind
from bolide.ops.top import management_client
from bolide.ops.top.management_client import Management, ManagementFailed, NoManagement
from bolide.server.settings import Settings


class Answering:
    """A server that answers each request with the same bytes.

    Attributes:
        answer: What it sends.
        requests: The heads that it got.
        is_silent: It sends nothing, and keeps the connection.
    """

    def __init__(self) -> None:
        self.answer = b""
        self.requests: list[bytes] = []
        self.is_silent = False
        self.over = asyncio.Event()
        self.management = Management("127.0.0.1", 0)

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.requests.append(await reader.readuntil(b"\r\n\r\n"))
        if self.is_silent:
            await self.over.wait()
        writer.write(self.answer)
        writer.close()


@pytest_asyncio.fixture
async def answering() -> AsyncGenerator[Answering]:
    answering = Answering()
    server = await asyncio.start_server(answering.handle, "127.0.0.1", 0)
    async with server:
        port: int = server.sockets[0].getsockname()[1]
        answering.management = Management("127.0.0.1", port)
        yield answering
        answering.over.set()


async def failure(get: Callable[[str], Awaitable[bytes]]) -> str:
    with pytest.raises(ManagementFailed) as caught:
        await get("/top")
    return str(caught.value)


async def test_the_body_is_returned_however_it_comes(answering: Answering) -> None:
    for answer in (
        b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nbody",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nbo\r\n2\r\ndy\r\n0\r\n\r\n",
    ):
        answering.answer = answer
        assert await answering.management.get("/top?limit=3") == b"body"
    port = answering.management.port
    assert answering.requests[0].startswith(b"GET /top?limit=3 HTTP/1.1\r\n")
    assert f"Host: 127.0.0.1:{port}\r\n".encode() in answering.requests[0]


async def test_nobody_there_is_told_with_the_flag(answering: Answering) -> None:
    with closing(bind("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
    assert await failure(Management("127.0.0.1", port).get) == (
        f"http://127.0.0.1:{port} cannot be reached: start the node with --management-port {port}."
    )


@pytest.mark.parametrize(
    ("answer", "answered"),
    [
        (b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n", " (it answered 404)"),
        (b"220 mail.example.org ESMTP\r\n", ""),
        (b"", ""),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nbody", ""),
    ],
    ids=["other paths", "other protocol", "nothing", "cut"],
)
async def test_another_server_is_told_with_the_flag(
    answering: Answering, answer: bytes, answered: str
) -> None:
    answering.answer = answer
    assert await failure(answering.management.get) == (
        f"{answering.management.url} is not the management listener of a node{answered}: give the"
        " port that the node was given with --management-port."
    )


async def test_an_answer_without_an_end_is_given_up(
    answering: Answering, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(management_client, "MAX_ANSWER_BYTES", 100)
    answering.answer = b"HTTP/1.1 200 OK\r\ncontent-length: 9999\r\n\r\n" + 200 * b"x"
    assert "is not the management listener" in await failure(answering.management.get)


async def test_a_node_that_is_stopped_is_told(
    answering: Answering, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(management_client, "_TIMEOUT_S", 0.05)
    answering.is_silent = True
    assert await failure(answering.management.get) == (
        f"{answering.management.url} does not answer within 0.05 s: the node is stopped or"
        " overloaded."
    )


async def test_a_node_that_does_not_run_is_told(answering: Answering) -> None:
    answering.answer = b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n"
    assert (await failure(answering.management.get)).endswith("its node does not run now.")


@pytest.mark.parametrize(
    ("url", "management"),
    [
        ("http://127.0.0.1:9300", Management("127.0.0.1", 9300)),
        ("http://[::1]:9300/", Management("::1", 9300)),
    ],
)
def test_a_url_is_read(url: str, management: Management) -> None:
    assert Management.at(url) == management
    assert management.url == url.rstrip("/")


@pytest.mark.parametrize(
    "url",
    [
        "127.0.0.1:9300", "https://127.0.0.1:9300", "http://127.0.0.1", "http://:9300",
        "http://127.0.0.1:9300/top", "http://127.0.0.1:9300?a=b", "http://a:secret@127.0.0.1:1",
        "http://127.0.0.1:x", "http://127.0.0.1:9300#a", "http://[::1:9300",
    ],
)  # fmt: skip
def test_what_is_no_url_is_refused_without_secrets(url: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Management.at(url)
    assert "such as http://127.0.0.1:9300" in str(caught.value)
    assert "secret" not in str(caught.value)


def test_a_url_of_tls_needs_the_files_of_an_operator() -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    management = Management.at("https://[::1]:9300", lambda: context)
    assert (management.url, management.context) == ("https://[::1]:9300", context)
    assert Management.at("http://127.0.0.1:9300", lambda: context).context is None


def test_a_node_of_a_cluster_is_not_asked_with_its_own_certificate() -> None:
    settings = Settings(
        tls_cert="n.pem", tls_key="n.key", tls_client_ca="ca.pem", cluster="ward",
        management_port=9300,
    )  # fmt: skip
    with pytest.raises(NoManagement, match="an operator's --ca, --cert and --key"):
        Management.of(settings)


def test_the_settings_say_where_it_is() -> None:
    assert Management.of(Settings(management_port=9300)) == Management("127.0.0.1", 9300)


@pytest.mark.parametrize("port", [None, 0])
def test_settings_that_do_not_say_are_told_how(port: int | None) -> None:
    with pytest.raises(NoManagement, match="--management-port"):
        Management.of(Settings(management_port=port))
