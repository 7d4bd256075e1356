"""Take TLS connections from a listening socket, in the place of asyncio's server.

Sockets that are nobody's, because they shake hands or were said goodbye to, are counted here; the
others are the protocol's to count.
"""

import asyncio
import errno
import logging
import socket
import ssl
from collections.abc import Callable
from typing import Final

from bolide.server.web.tls.transport import Admit, TLSTransport
from bolide.server.web.tls.watchdog import Watchdog

__all__ = ["TLSListener"]

_ACCEPTED_PER_TURN: Final = 64
_PAUSE_S: Final = 1.0
"""For how long nobody is accepted when the system has no room for a socket, seconds."""
_NO_ROOM: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})

_logger = logging.getLogger("uvicorn.error")


class TLSListener:
    """One listening socket.

    Args:
        listener: Bound; whoever gave it closes it.
        context: For the server's side.
        make_protocol: Called after a handshake.
        backlog: Connections that may wait to be accepted.
        handshake_timeout_s: Time for a handshake, seconds.
        max_strays: Sockets that may be nobody's at the same time.
        max_read_ms: How long one connection may keep the loop reading, milliseconds.
        admit: Who may connect; None for everybody.
    """

    def __init__(
        self,
        listener: socket.socket,
        context: ssl.SSLContext,
        make_protocol: Callable[[], asyncio.Protocol],
        *,
        backlog: int,
        handshake_timeout_s: float,
        max_strays: int,
        max_read_ms: int,
        admit: Admit | None = None,
    ) -> None:
        """Begin to listen."""
        self._loop = asyncio.get_running_loop()
        self._listener = listener
        self._context = context
        self._make_protocol = make_protocol
        self._handshake_timeout_s = handshake_timeout_s
        self._max_strays = max_strays
        self._admit = admit
        self._watchdog = Watchdog(max_read_ms)
        self._strays: set[TLSTransport] = set()
        self._resuming: asyncio.TimerHandle | None = None
        self._is_closed = False
        listener.setblocking(False)
        listener.listen(backlog)
        self._fd = listener.fileno()
        self._listen()

    @property
    def stray_count(self) -> int:
        """How many sockets are nobody's."""
        return len(self._strays)

    def close(self) -> None:
        """Take no more connections."""
        self._is_closed = True
        self._loop.remove_reader(self._fd)
        if self._resuming is not None:
            self._resuming.cancel()

    async def wait_closed(self) -> None:
        """Cut the sockets that are nobody's; the protocols have ended theirs."""
        for stray in tuple(self._strays):
            stray.abort()
        self._watchdog.stop()

    def _listen(self) -> None:
        self._loop.add_reader(self._fd, self._accept)

    def _accept(self) -> None:
        for _ in range(_ACCEPTED_PER_TURN):
            try:
                connection, _address = self._listener.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                if error.errno not in _NO_ROOM:
                    raise
                # The socket stays readable: the loop would do nothing else.
                _logger.error("No connection can be accepted: %s", error.strerror)
                self._loop.remove_reader(self._fd)
                self._resuming = self._loop.call_later(_PAUSE_S, self._listen)
                return
            if len(self._strays) >= self._max_strays:
                connection.close()
            else:
                self._begin(connection)

    def _begin(self, connection: socket.socket) -> None:
        try:
            connection.setblocking(False)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            wrapped = self._context.wrap_socket(
                connection, server_side=True, do_handshake_on_connect=False
            )
        except OSError:  # it is gone already
            connection.close()
            return
        self._watchdog.start()
        TLSTransport(
            self._loop,
            wrapped,
            self._make_protocol,
            self._strays,
            self._watchdog,
            handshake_timeout_s=self._handshake_timeout_s,
            admit=self._admit,
        )
