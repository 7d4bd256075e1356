"""One connection, encrypted or not: it reads, writes, and ends in good order.

Theory of operation. ``OPEN`` from the first byte. What is written leaves at once, in one call of
OpenSSL that makes the system call, too; only what the socket does not take waits, and whoever
writes is told when it left. ``ENDING`` after :meth:`Link.end`: what waits leaves, then close_notify
and the end of our direction, and what still comes is thrown away, because closing a socket with
unread data resets it and the peer might lose our last words. ``CLOSED`` at last.

OpenSSL reads no further than the record that it was asked for, so epoll, which looks at the
socket, never misses data that OpenSSL already has.
"""

import errno
import os
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from enum import IntEnum
from select import EPOLLIN, EPOLLOUT
from typing import Final, TypeAlias

from bolide.balancer.relay.alarm import Alarm
from bolide.balancer.relay.event_loop import EventLoop, nothing
from bolide.balancer.tls.engine import Engine

__all__ = ["AGAIN", "BUFFER", "FLUSH_TIMEOUT_S", "LINGER_TIMEOUT_S", "VIEW", "Link", "Readable"]

AGAIN: Final = (ssl.SSLWantReadError, ssl.SSLWantWriteError, BlockingIOError)
"""What a socket raises that can do nothing now."""

FLUSH_TIMEOUT_S: Final = 30.0
"""How long a peer may take to read what was written before the end, seconds."""
LINGER_TIMEOUT_S: Final = 5.0
"""How long it may take to let go of the connection after our last words, seconds."""

_RECORD_BYTES: Final = 16_384  # the most that a TLS record can hold
BUFFER: Final = bytearray(65_536)
"""Where everything is read to: the loop does one thing at a time."""
VIEW: Final = memoryview(BUFFER)

_Bytes: TypeAlias = bytes | bytearray | memoryview
Readable: TypeAlias = Callable[[], None]


class _State(IntEnum):
    OPEN = 0
    ENDING = 1
    CLOSED = 2


# Python looks members up by a method of their class, which takes as long as two calls.
_OPEN: Final = _State.OPEN
_ENDING: Final = _State.ENDING
_CLOSED: Final = _State.CLOSED


def _closed(*_: object) -> int:
    raise OSError(errno.EBADF, "the connection is closed")


class Link:
    """One side of a relay.

    Args:
        loop: Watches the socket.
        connection: Does not block.
        engine: OpenSSL's side of it; None without TLS.

    Attributes:
        connection: The socket.
        engine: The same.
        read: Reads up to so many bytes into a buffer; returns how many, 0 at the end.
        write: Writes what it can; returns how many bytes.
        pending: What the socket did not take; None: nothing.
        on_readable: Called when there may be something to read.
        on_writable: Called instead of sending what waits, for a handshake.
        on_drained: Called when nothing waits any more.
        on_closed: Called when it is closed by a failure or :meth:`abort`, once.
        received: Bytes that were read; whoever reads counts them.
        has_ended: The peer said that nothing more comes from it; whoever reads says so.
    """

    __slots__ = (
        "_alarm", "_events", "_has_shut", "_is_reading", "_is_watched", "_loop", "_state",
        "connection", "engine", "fd", "has_ended", "on_closed", "on_drained", "on_readable",
        "on_writable", "pending", "read", "received", "write",
    )  # fmt: skip

    def __init__(
        self, loop: EventLoop, connection: socket.socket, engine: Engine | None = None
    ) -> None:
        """Take a socket; it is watched from :meth:`watch` on."""
        self._loop = loop
        self._state = _OPEN
        self._is_reading = False
        self._is_watched = False
        self._events = 0
        self._alarm: Alarm | None = None
        self.connection = connection
        self.engine = engine
        self.fd = connection.fileno()
        self.pending: bytearray | None = None
        self.on_readable: Readable = nothing
        self.on_writable: Callable[[], None] | None = None
        self.on_drained: Callable[[], None] = nothing
        self.on_closed: Callable[[], None] = nothing
        self.received = 0
        self.has_ended = False
        self._has_shut = False
        self.read: Callable[[int, bytearray], int]
        self.write: Callable[[_Bytes], int]
        if engine is None:
            self.read = lambda size, buffer: connection.recv_into(buffer, size)
            self.write = connection.send
        else:
            self.read, self.write = engine.read, engine.write

    # What is read and written.

    def watch(self) -> None:
        """Let the loop watch the socket, for what is waited for already."""
        self._is_watched = True
        self._loop.watch(self.fd, self, self.on_events, self._events)

    @property
    def is_open(self) -> bool:
        """It was neither ended nor closed."""
        return self._state is _OPEN

    @property
    def is_closed(self) -> bool:
        """Nothing comes or goes any more."""
        return self._state is _CLOSED

    @property
    def is_reading(self) -> bool:
        """What comes is read; if not, it waits in the socket, and its sender at last."""
        return self._is_reading

    @is_reading.setter
    def is_reading(self, wanted: bool) -> None:
        if wanted is not self._is_reading and self._state is _OPEN:
            self._is_reading = wanted
            self._expect(self._events & ~EPOLLIN | (EPOLLIN if wanted else 0))

    def wait_to_write(self, wanted: bool) -> None:
        """Wait until the socket takes something, or not any more."""
        self._expect(self._events & ~EPOLLOUT | (EPOLLOUT if wanted else 0))

    def wait_to_read(self) -> None:
        """Wait until something comes, and for nothing else."""
        self._is_reading = True
        self._expect(EPOLLIN)

    def receive(self) -> int | None:
        """Read once into :data:`BUFFER`.

        Returns:
            How many bytes, 0 at the end; None if there is nothing, or the connection failed.
        """
        try:
            count = self.read(len(BUFFER), BUFFER)
        except AGAIN:
            return None
        except ssl.SSLZeroReturnError:  # the end, after we had ended our direction
            count = 0
        except OSError:
            self.abort()
            return None
        if not count:
            self.has_ended = True
        self.received += count
        return count

    def send(self, data: _Bytes) -> None:
        """Write bytes; what the socket does not take waits. After the end, nothing."""
        if self._state is not _OPEN or not data:
            return
        if self.pending is not None:
            self.pending += data
            return
        sent, size = 0, len(data)
        if size <= _RECORD_BYTES:
            try:
                sent = self.write(data)
                if sent == size:
                    return
            except AGAIN:
                pass
            except OSError:
                self.abort()
                return
        self.pending = bytearray(data[sent:])
        self._send_pending()
        if self.pending:
            self.wait_to_write(True)

    def handle(self, handler: Callable[[int], None]) -> None:
        """Let somebody else look at the socket's events.

        What it does not want to handle it hands to :meth:`on_events` or :meth:`on_other_events`.
        """
        self._loop.handle(self.fd, handler)

    # The end.

    def end(self) -> None:
        """Let what waits leave, say goodbye, and close."""
        if self._state is not _OPEN:
            return
        self._state = _ENDING
        self.on_drained = nothing
        if self._has_shut and self.has_ended:
            self.abort()
            return
        self._loop.handle(self.fd, self.on_events)
        if not self.pending:
            self._say_goodbye()
            return
        self._expect(EPOLLOUT)
        self._limit_time(FLUSH_TIMEOUT_S)

    def end_writing(self) -> None:
        """Say that nothing more comes from us, and read on; nothing may wait to be sent.

        Python calls ``SSL_shutdown()`` twice. The second call looks for the peer's close_notify and
        takes data for an error. So what came must have been read before, and our own close_notify
        waits in the kernel until then, for a peer's answer to it may come at once. Data that come
        between the two all the same end the connection: nobody gets half of them.
        """
        cork, connection = socket.TCP_CORK, self.connection
        self._has_shut = True
        try:
            connection.setsockopt(socket.IPPROTO_TCP, cork, 1)
            if self.engine is not None:
                with suppress(*AGAIN):
                    self.engine.shutdown()
            connection.shutdown(socket.SHUT_WR)
            connection.setsockopt(socket.IPPROTO_TCP, cork, 0)
        except OSError:
            self.abort()

    def abort(self) -> None:
        """Close at once; what waits is lost."""
        if self._state is _CLOSED:
            return
        self._state = _CLOSED
        self.pending = None
        if self._alarm is not None:
            self._alarm.release()
        self._loop.close(self.connection)
        # OpenSSL's memory is of use to the next connection; whoever holds us may do so for long.
        self.engine = None
        self.read = self.write = _closed
        told, self.on_closed = self.on_closed, nothing
        # Whoever holds us would hold all of it.
        self.on_readable = self.on_drained = nothing
        self.on_writable = None
        told()

    # Inside

    def _expect(self, events: int) -> None:
        self._events = events
        if self._is_watched and self._state is not _CLOSED:
            self._loop.expect(self.fd, events)

    def on_events(self, events: int) -> None:
        """Do what events ask for."""
        if events & EPOLLOUT:
            self.on_other_events(EPOLLOUT)
        if events & ~EPOLLOUT and self._state is not _CLOSED:
            if self._state is _ENDING:
                self._discard()
            elif self._is_reading:
                self.on_readable()
            else:  # EPOLLHUP or EPOLLERR, which come unasked: nobody is there
                self.abort()

    def on_other_events(self, events: int) -> None:
        """Do what events ask for that are not those of something to read."""
        if not events & EPOLLOUT:
            return
        if self.on_writable is not None:
            self.on_writable()
            return
        self._send_pending()
        if self._state is _CLOSED or self.pending:
            return
        self.wait_to_write(False)
        if self._state is _ENDING:
            self._say_goodbye()
        else:
            self.on_drained()

    def _send_pending(self) -> None:
        pending = self.pending
        if pending is None:
            return
        try:
            while pending:
                # OpenSSL takes all or nothing. After SSLWantWriteError it asks for the same bytes
                # again, and more may follow them.
                del pending[: self.write(pending[:_RECORD_BYTES])]
            self.pending = None
        except AGAIN:
            pass
        except OSError:
            self.abort()

    def _say_goodbye(self) -> None:
        """Send close_notify and the end of our direction; then wait for the peer's, if it owes it.

        Only then closing the socket does not reset it.
        """
        engine = self.engine
        try:
            if engine is not None and not self._has_shut:
                try:
                    engine.shutdown()  # it looks for the peer's, too
                except ssl.SSLWantWriteError:
                    if self._alarm is None:  # else it is limited from the begin of the end
                        self._limit_time(FLUSH_TIMEOUT_S)
                    self._expect(EPOLLOUT)
                    return
                except OSError:
                    pass  # it is sent; the peer's own is yet to come, or there is something before
            if self.has_ended:
                self.abort()
                return
            self.connection.shutdown(socket.SHUT_WR)
        except OSError:  # the peer is gone
            self.abort()
            return
        self._has_shut = True
        self._limit_time(LINGER_TIMEOUT_S)
        self._expect(EPOLLIN)

    def _limit_time(self, seconds: float) -> None:
        if self._alarm is None:
            self._alarm = Alarm(self._loop, self.abort)
        self._alarm.set(seconds)

    def _discard(self) -> None:
        """Throw away what still comes, undeciphered."""
        try:
            if os.read(self.fd, len(BUFFER)):
                return
        except BlockingIOError:
            return
        except OSError:
            pass
        self.abort()
