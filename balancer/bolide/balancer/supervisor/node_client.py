"""Ask the management listener of a node something, over a connection that ends with the answer."""

import asyncio
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final, Protocol, TypeVar

from bolide.balancer.heads.body import Body
from bolide.balancer.heads.errors import HeadError
from bolide.balancer.heads.reading import cut
from bolide.balancer.heads.request import parse_request
from bolide.balancer.heads.response import parse_response
from bolide.balancer.members.address import Address

__all__ = ["MAX_ANSWER_BYTES", "Answer", "NodeClient", "NodeProof"]

MAX_ANSWER_BYTES: Final = 65_536
"""Longest answer with its head; a longer one is none."""

_Result = TypeVar("_Result")

_MAX_FIELDS: Final = 100
_READ_BYTES: Final = 16_384


class NodeProof(Protocol):
    """How nodes prove themselves: a :class:`~bolide.balancer.tls.node_context.NodeContext`."""

    def wrap(self, raw: socket.socket, name: str, server_name: str) -> socket.socket:
        """Return a connection that has not shaken hands yet."""
        ...

    def prove(self, connection: socket.socket, name: str) -> None:
        """Raise a :class:`~bolide.core.errors.BolideError` unless it leads to this node."""
        ...

    def remember(self, name: str, connection: socket.socket) -> None:
        """Keep the TLS session for the next connection."""
        ...


@dataclass(frozen=True, slots=True)
class Answer:
    """What a node said.

    Attributes:
        status: Of HTTP.
        body: Without its framing.
    """

    status: int
    body: bytes


class NodeClient:
    """Asks nodes.

    Args:
        proof: How they prove themselves.
        timeout_s: How long an answer may take, from the beginning of the connection.
    """

    def __init__(self, proof: NodeProof, *, timeout_s: float) -> None:
        """Keep them."""
        self._proof = proof
        self._timeout_s = timeout_s

    async def ask(
        self,
        name: str,
        address: Address,
        path: str,
        *,
        server_name: str = "",
        method: str = "GET",
        body: bytes = b"",
    ) -> Answer:
        """Send one request and return the answer.

        Args:
            name: Of the node, which it must prove.
            address: Where it is asked; an IP address.
            path: With its query.
            server_name: What TLS asks for.
            method: Of HTTP.
            body: JSON; empty for none.

        Raises:
            OSError: If there is no answer in time, or none that can be understood.
            BolideError: If somebody else is there.
        """
        head = f"{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n"
        if body:
            head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        async with asyncio.timeout(self._timeout_s):
            connection = await self._connect(name, address, server_name)
            try:
                await _send(connection, head.encode() + b"\r\n" + body)
                answer = await _receive(connection, head.encode() + b"\r\n")
                self._proof.remember(name, connection)
            finally:
                connection.close()
        return answer

    async def _connect(self, name: str, address: Address, server_name: str) -> socket.socket:
        raw = socket.socket(socket.AF_INET6 if ":" in address.host else socket.AF_INET)
        connection = raw
        try:
            raw.setblocking(False)
            await asyncio.get_running_loop().sock_connect(raw, (address.host, address.port))
            connection = self._proof.wrap(raw, name, server_name)
            if isinstance(connection, ssl.SSLSocket):
                await _until_done(connection, connection.do_handshake)
            self._proof.prove(connection, name)
        except BaseException:
            connection.close()
            raise
        return connection


async def _send(connection: socket.socket, data: bytes) -> None:
    left = memoryview(data)
    while left:
        count = await _until_done(connection, partial(connection.send, left), is_writing=True)
        left = left[count:]


async def _receive(connection: socket.socket, request_head: bytes) -> Answer:
    """Read one answer; what follows it is of no interest.

    Raises:
        OSError: If it is none, too long, or not complete.
    """
    request = parse_request(request_head, max_fields=_MAX_FIELDS, cookie_name=b"")
    received = b""
    try:
        while True:
            end = cut(received, MAX_ANSWER_BYTES)
            if end:
                response = parse_response(received[:end], request, max_fields=_MAX_FIELDS)
                received = received[end:]
                if not response.is_interim:
                    break
                continue
            received += await _read(connection, len(received), is_whole=False)
        body = Body(response.length, max_fields=_MAX_FIELDS, strips=True)
        content, _ = body.receive(received)
        while not body.is_complete:
            data = await _read(connection, len(content), is_whole=body.ends_with_connection)
            if not data:
                break
            content += body.receive(data)[0]
    except HeadError as error:
        raise OSError(f"no answer of HTTP: {error.name}") from None
    return Answer(response.status, content)


async def _read(connection: socket.socket, so_far: int, *, is_whole: bool) -> bytes:
    """Read some; nothing at the end, which is an error unless the answer is whole then."""
    if so_far > MAX_ANSWER_BYTES:
        raise OSError("the answer is too long")
    data = await _until_done(connection, partial(connection.recv, _READ_BYTES))
    if not data and not is_whole:
        raise OSError("the answer is not complete")
    return data


async def _until_done(
    connection: socket.socket, attempt: Callable[[], _Result], *, is_writing: bool = False
) -> _Result:
    """Repeat what a non-blocking socket does until it is done."""
    loop = asyncio.get_running_loop()
    while True:
        waits_to_write = is_writing
        try:
            return attempt()
        except BlockingIOError:
            pass
        except ssl.SSLWantReadError:
            waits_to_write = False
        except ssl.SSLWantWriteError:
            waits_to_write = True
        watch = loop.add_writer if waits_to_write else loop.add_reader
        forget = loop.remove_writer if waits_to_write else loop.remove_reader
        ready = asyncio.Event()
        fd = connection.fileno()
        watch(fd, ready.set)
        try:
            await ready.wait()
        finally:
            forget(fd)
