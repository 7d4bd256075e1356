"""A TLS connection for asyncio's protocols that encrypts straight into its socket.

Theory of operation. ``SHAKING`` until the handshake is done; only then is there a protocol.
``OPEN`` until one side ends it. ``CLOSING`` while what was written before leaves. Then our
close_notify and the end of our direction are sent, the protocol hears that it is over, and
``LINGERING`` throws away what still comes: closing a socket with unread data resets it, and the
peer might lose our last words. ``LOST`` at last. A timer bounds every state but ``OPEN``. A
:class:`~bolide.server.web.tls.watchdog.Watchdog` bounds each call of OpenSSL that reads.

What is written leaves at once, in one call of OpenSSL that makes the system call, too. Only what
the socket does not take waits, and then the protocol is told as by any transport. A TLS transport
on top of a plain one copies each record twice more and queues it; that is a sixth of what a
message costs (docs/design/performance.md).

OpenSSL reads no further than the record that it was asked for, so the event loop, which looks at
the socket, never misses data that OpenSSL already has.
"""

import asyncio
import os
import socket
import ssl
from asyncio.transports import Transport
from collections.abc import Callable
from contextlib import suppress
from enum import IntEnum

# Any: what asyncio's transports are declared with.
from typing import Any, Final, TypeAlias

from bolide.core.identity import Identity
from bolide.server.web.peer import PEER
from bolide.server.web.tls.admission import NotAdmitted
from bolide.server.web.tls.watchdog import Watchdog

__all__ = ["FLUSH_TIMEOUT_S", "LINGER_TIMEOUT_S", "Admit", "TLSTransport"]

FLUSH_TIMEOUT_S: Final = 30.0
"""How long a peer may take to read what was written before the end, seconds; uvloop's figure."""
LINGER_TIMEOUT_S: Final = 5.0
"""How long it may take to let go of the connection after our last words, seconds."""

_RECORD_BYTES: Final = 16_384  # the most that a record can hold
_HIGH_WATER_BYTES: Final = 65_536


_ANSWER_TO_PLAIN_HTTP: Final = (
    b"HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain; charset=utf-8\r\n"
    b"connection: close\r\n\r\nThis port speaks TLS: use https:// or wss://.\n"
)

_Buffer: TypeAlias = bytes | bytearray | memoryview
Admit: TypeAlias = Callable[[ssl.SSLSocket], Identity]
"""Returns who connects; raises :class:`~bolide.server.web.tls.admission.NotAdmitted`."""


class _State(IntEnum):
    SHAKING = 0
    OPEN = 1
    CLOSING = 2
    LINGERING = 3
    LOST = 4


_SHAKING, _OPEN, _CLOSING, _LINGERING, _LOST = _State
_NOBODY: Final = asyncio.Protocol()
"""Stands for the protocol before the handshake and after the end."""


class TLSTransport(Transport):
    """One connection, from the first byte of the handshake to the end.

    Args:
        loop: With ``add_reader()``.
        connection: Accepted and wrapped; it does not block and has not shaken hands.
        make_protocol: Called after the handshake.
        strays: Holds this transport while it is nobody's: before the handshake is done, and
            after the protocol heard of the end.
        watchdog: Ends what keeps the loop reading.
        handshake_timeout_s: Time for the handshake, seconds.
        admit: Called after the handshake, before there is a protocol; None lets everybody in.
    """

    __slots__ = (
        "_admit", "_connection", "_data_received", "_fd", "_has_ended", "_high", "_is_paused",
        "_is_reading", "_loop", "_low", "_make_protocol", "_owes_answer", "_peer", "_pending",
        "_protocol", "_send", "_state", "_strays", "_timer", "_watch",
    )  # fmt: skip

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        connection: ssl.SSLSocket,
        make_protocol: Callable[[], asyncio.Protocol],
        strays: "set[TLSTransport]",
        watchdog: Watchdog,
        *,
        handshake_timeout_s: float,
        admit: Admit | None = None,
    ) -> None:
        """Wait for the peer's handshake."""
        super().__init__()
        self._loop = loop
        self._connection = connection
        self._fd = connection.fileno()
        self._make_protocol = make_protocol
        self._admit = admit
        self._peer: Identity | None = None
        self._strays = strays
        self._watch = watchdog.watch
        self._state = _SHAKING
        self._send: Callable[[_Buffer], int] = connection.send
        self._pending: bytearray | None = None
        self._high = _HIGH_WATER_BYTES
        self._low = _HIGH_WATER_BYTES // 4
        self._is_paused = False
        self._is_reading = True
        self._owes_answer = False
        self._has_ended = False
        self._timer: asyncio.TimerHandle | None = None
        self.set_protocol(_NOBODY)
        strays.add(self)
        self._limit_time(handshake_timeout_s)
        loop.add_reader(self._fd, self._shake_hands)

    # What a protocol calls.

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Return what asyncio's TLS transports tell, ``default`` if it is not known.

        Beside that, :data:`~bolide.server.web.peer.PEER` is who was let in.
        """
        connection = self._connection
        try:
            match name:
                case _ if name == PEER:
                    return default if self._peer is None else self._peer
                case "socket" | "ssl_object":
                    return connection
                case "sslcontext":
                    return connection.context
                case "peername":
                    return connection.getpeername()
                case "sockname":
                    return connection.getsockname()
                case "cipher":
                    return connection.cipher()
                case _:
                    return default
        except OSError:  # the connection is gone
            return default

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Give what comes to a protocol from now on."""
        assert isinstance(protocol, asyncio.Protocol)
        self._protocol = protocol
        self._data_received = protocol.data_received

    def get_protocol(self) -> asyncio.BaseProtocol:
        """Return who is given what comes."""
        return self._protocol

    def is_closing(self) -> bool:
        """Tell whether the connection ends or has ended."""
        return self._state is not _OPEN

    def is_reading(self) -> bool:
        """Tell whether what comes is read."""
        return self._is_reading and self._state is _OPEN

    def pause_reading(self) -> None:
        """Leave what comes in the socket."""
        if self._state is _OPEN and self._is_reading:
            self._is_reading = False
            self._loop.remove_reader(self._fd)

    def resume_reading(self) -> None:
        """Read again."""
        if self._state is _OPEN and not self._is_reading:
            self._is_reading = True
            self._loop.add_reader(self._fd, self._read)

    def write(self, data: _Buffer) -> None:
        """Send bytes now; what the socket does not take waits. After the end, nothing."""
        size = len(data)
        if 0 < size <= _RECORD_BYTES and not self._pending:
            try:
                self._send(data)  # it takes all or nothing
                return
            except ssl.SSLWantWriteError:
                pass
            except OSError as error:
                self._finish(error)
        if size and self._state is _OPEN:
            self._wait_with(data)

    def can_write_eof(self) -> bool:
        """Tell that one direction cannot end alone."""
        return False

    def get_write_buffer_size(self) -> int:
        """Return how much waits, bytes."""
        return len(self._pending or b"")

    def get_write_buffer_limits(self) -> tuple[int, int]:
        """Return the low-water and the high-water mark, bytes."""
        return self._low, self._high

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Set when a protocol is told that the peer does not keep up, and that it caught up."""
        if high is None:
            high = _HIGH_WATER_BYTES if low is None else 4 * low
        if low is None:
            low = high // 4
        if not 0 <= low <= high:
            raise ValueError(f"low must be from 0 to high, which is {high}")
        self._high, self._low = high, low

    def close(self) -> None:
        """Send what waits, and say goodbye."""
        if self._state is not _OPEN:
            return
        self._state = _CLOSING
        self._send = len
        self._loop.remove_reader(self._fd)
        self._limit_time(FLUSH_TIMEOUT_S)
        if not self._pending:
            self._say_goodbye()

    def abort(self) -> None:
        """Cut at once; what waits is lost."""
        self._finish()

    # The beginning.

    def _shake_hands(self) -> None:
        try:
            self._watch(self._connection, self._connection.do_handshake)
        except ssl.SSLWantReadError:
            return
        except ssl.SSLWantWriteError:
            self._loop.remove_reader(self._fd)
            self._loop.add_writer(self._fd, self._shake_on)
            return
        except OSError as error:
            if isinstance(error, ssl.SSLError) and error.reason == "HTTP_REQUEST":
                self._answer_plain_http()
            else:
                self._finish()  # OpenSSL has told the peer why
            return
        if self._admit is not None:
            try:
                self._peer = self._admit(self._connection)
            except NotAdmitted:
                self._finish()
                return
        self._strays.discard(self)
        self._stop_timer()
        self._state = _OPEN
        self._loop.add_reader(self._fd, self._read)
        try:
            protocol = self._make_protocol()
            self.set_protocol(protocol)
            protocol.connection_made(self)
        except Exception as error:
            self._fail(error)

    def _answer_plain_http(self) -> None:
        """Say to a client that encrypts nothing what it should do; a reset says nothing."""
        with suppress(OSError):
            os.write(self._fd, _ANSWER_TO_PLAIN_HTTP)
        self._linger()

    def _shake_on(self) -> None:
        self._loop.remove_writer(self._fd)
        self._loop.add_reader(self._fd, self._shake_hands)
        self._shake_hands()

    # What comes in.

    def _read(self) -> None:
        """Take one record; the loop comes again for the next, after all other sockets."""
        try:
            data = self._watch(self._connection, self._connection.recv, _RECORD_BYTES)
        except ssl.SSLWantReadError:
            return
        except ssl.SSLWantWriteError:
            # The peer changed its key, and our answer does not fit into the socket.
            self._owes_answer = True
            self._loop.remove_reader(self._fd)
            self._loop.add_writer(self._fd, self._write_on)
            return
        except OSError as error:
            self._finish(error)
            return
        try:
            if data:
                self._data_received(data)
            else:
                self._has_ended = True
                self._protocol.eof_received()
                self.close()
        except Exception as error:
            self._fail(error)

    # What goes out.

    def _wait_with(self, data: _Buffer) -> None:
        """Send what the socket takes, and keep the rest."""
        if self._pending is not None:
            self._pending += data
        else:
            self._pending = bytearray(data)
            self._send_pending()
            if self._state is not _OPEN or not self.get_write_buffer_size():
                return
            self._loop.add_writer(self._fd, self._write_on)
        if not self._is_paused and len(self._pending) > self._high:
            self._is_paused = True
            self._tell(self._protocol.pause_writing)

    def _write_on(self) -> None:
        """Send more: the socket has room."""
        if self._owes_answer:
            self._owes_answer = False
            if self.is_reading():
                self._loop.add_reader(self._fd, self._read)
        self._send_pending()
        if self._state is _LOST:
            return
        if self._pending is None:
            self._loop.remove_writer(self._fd)
            if self._state is _CLOSING:
                self._say_goodbye()
        if self._is_paused and self._state is _OPEN and self.get_write_buffer_size() <= self._low:
            self._is_paused = False
            self._tell(self._protocol.resume_writing)

    def _send_pending(self) -> None:
        pending = self._pending
        if pending is None:
            return
        try:
            while pending:
                # OpenSSL takes all or nothing. After SSLWantWriteError it asks for the same bytes
                # again, and more may follow them.
                del pending[: self._connection.send(pending[:_RECORD_BYTES])]
            self._pending = None
        except ssl.SSLWantWriteError:
            pass
        except OSError as error:
            self._finish(error)

    def _tell(self, news: Callable[[], None]) -> None:
        try:
            news()
        except Exception as error:
            self._fail(error)

    # The end.

    def _say_goodbye(self) -> None:
        self._loop.remove_writer(self._fd)
        try:
            self._watch(self._connection, self._connection.unwrap)  # it looks for the peer's, too
        except ssl.SSLWantWriteError:
            self._loop.add_writer(self._fd, self._say_goodbye)
            return
        except OSError:
            pass  # it is sent; the peer's own is yet to come, or there is something before it
        self._linger()

    def _linger(self) -> None:
        """End our direction, and wait until the peer ends its own."""
        try:
            self._connection.shutdown(socket.SHUT_WR)
        except OSError:  # the peer is gone
            self._has_ended = True
        if self._has_ended:
            self._finish()
            return
        self._state = _LINGERING
        self._strays.add(self)
        self._limit_time(LINGER_TIMEOUT_S)
        self._loop.add_reader(self._fd, self._discard)
        self._tell_of_end(None)

    def _discard(self) -> None:
        """Throw away what still comes, undeciphered."""
        try:
            if os.read(self._fd, _HIGH_WATER_BYTES):
                return
        except BlockingIOError:
            return
        except OSError:
            pass
        self._finish()

    def _fail(self, error: Exception) -> None:
        """Cut because the protocol raised what it should not have."""
        self._loop.call_exception_handler(
            {
                "message": "Exception in the protocol of a TLS connection",
                "exception": error,
                "transport": self,
                "protocol": self._protocol,
            }
        )
        self._finish(error)

    def _finish(self, error: Exception | None = None) -> None:
        if self._state is _LOST:
            return
        self._state = _LOST
        self._send = len
        self._pending = None
        self._stop_timer()
        self._loop.remove_reader(self._fd)
        self._loop.remove_writer(self._fd)
        self._connection.close()
        self._strays.discard(self)
        self._tell_of_end(error)

    def _tell_of_end(self, error: Exception | None) -> None:
        if self._protocol is not _NOBODY:
            self._loop.call_soon(self._protocol.connection_lost, error)
            self.set_protocol(_NOBODY)

    def _limit_time(self, timeout_s: float) -> None:
        self._stop_timer()
        self._timer = self._loop.call_later(timeout_s, self._finish)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
