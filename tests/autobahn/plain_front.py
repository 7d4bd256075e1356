"""Somebody who speaks TLS for a client that does not."""

import asyncio
import ssl
import threading
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

__all__ = ["plain_front"]

_READ_BYTES = 262_144


@dataclass
class _Front:
    """Takes plain connections, and copies each to and from one over TLS."""

    address: tuple[str, int]
    context: ssl.SSLContext

    async def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        host, port = self.address
        back = await asyncio.open_connection(
            host, port, ssl=self.context, server_hostname="localhost"
        )
        await asyncio.gather(_copy(reader, back[1]), _copy(back[0], writer))

    async def serve(self, is_over: asyncio.Event, started: "_Started") -> None:
        server = await asyncio.start_server(self.take, "127.0.0.1", 0)
        async with server:
            started.tell(asyncio.get_running_loop(), is_over, server.sockets[0].getsockname()[1])
            await is_over.wait()


class _Started:
    """What another thread needs to know."""

    def __init__(self) -> None:
        self._is_there = threading.Event()

    def tell(self, loop: asyncio.AbstractEventLoop, is_over: asyncio.Event, port: int) -> None:
        self._loop, self._is_over, self._port = loop, is_over, port
        self._is_there.set()

    def wait(self) -> int:
        self._is_there.wait()
        return self._port

    def end(self) -> None:
        self._loop.call_soon_threadsafe(self._is_over.set)


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError, ssl.SSLError):
        while data := await reader.read(_READ_BYTES):
            writer.write(data)
            await writer.drain()
    writer.close()


@contextmanager
def plain_front(address: tuple[str, int], context: ssl.SSLContext) -> Generator[int]:
    """Take plain connections for somebody who speaks TLS; gives the port."""
    started = _Started()
    front = _Front(address, context)

    async def run() -> None:
        await front.serve(asyncio.Event(), started)

    thread = threading.Thread(target=asyncio.run, args=(run(),))
    thread.start()
    try:
        yield started.wait()
    finally:
        started.end()
        thread.join()
