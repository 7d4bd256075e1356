"""The worker's end of the socket pair to the supervisor: messages as lines."""

import socket
from collections.abc import Callable
from select import EPOLLIN, EPOLLOUT
from typing import Final

import msgspec

from bolide.balancer.relay.event_loop import EventLoop
from bolide.balancer.worker.messages import MAX_LINE_BYTES, FromSupervisor, FromWorker

__all__ = ["Control"]

_CHUNK_BYTES: Final = 65_536
_MAX_WAITING_BYTES: Final = 4 * 1024 * 1024
"""A supervisor that does not read is told no more than this."""


class Control:
    """Takes what the supervisor says, and tells it things.

    Args:
        loop: Watches the socket.
        connection: One end of the pair.
        take: Called with each message.
        on_end: Called when the supervisor is gone.
    """

    def __init__(
        self,
        loop: EventLoop,
        connection: socket.socket,
        take: Callable[[FromSupervisor], None],
        on_end: Callable[[], None],
    ) -> None:
        """Begin to read."""
        connection.setblocking(False)
        self._loop = loop
        self._connection = connection
        self._take = take
        self._on_end = on_end
        self._received = bytearray()
        self._waiting = bytearray()
        self._decode = msgspec.json.Decoder(FromSupervisor).decode
        self._encode = msgspec.json.Encoder().encode
        loop.watch(connection.fileno(), self, self._on_events, EPOLLIN)

    def tell(self, message: FromWorker) -> None:
        """Tell the supervisor something, now or as soon as it reads."""
        if len(self._waiting) < _MAX_WAITING_BYTES:
            self._waiting += self._encode(message) + b"\n"
        self._send()

    def abort(self) -> None:
        """Hear and tell nothing any more."""
        self._loop.close(self._connection)
        self._on_end()

    def _on_events(self, events: int) -> None:
        if events & EPOLLOUT:
            self._send()
        if events & ~EPOLLOUT:
            self._read()

    def _read(self) -> None:
        try:
            data = self._connection.recv(_CHUNK_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data or len(self._received) > MAX_LINE_BYTES:
            self.abort()
            return
        self._received += data
        while (end := self._received.find(b"\n")) >= 0:
            line = bytes(self._received[:end])
            del self._received[: end + 1]
            self._take(self._decode(line))

    def _send(self) -> None:
        try:
            while self._waiting:
                del self._waiting[: self._connection.send(self._waiting)]
        except BlockingIOError:
            pass
        except OSError:
            self._waiting.clear()
        fd = self._connection.fileno()
        if fd >= 0:
            self._loop.expect(fd, EPOLLIN | (EPOLLOUT if self._waiting else 0))
