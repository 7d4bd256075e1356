"""Cut a connection whose peer keeps OpenSSL reading.

OpenSSL reads on over records that carry no data of the application, such as TLS 1.3's key
updates, for as long as there are bytes in the socket, and Python's OpenSSL cannot be told
otherwise. A peer that sends nothing else keeps the event loop inside one ``recv()``.

Theory of operation. Whoever calls OpenSSL on the loop leaves a new token in ``_running`` before and
takes it away after. A thread looks at it: the same token in two looks is the same call, and costs
the connection one look. Whose calls cost :data:`_LOOKS` is cut by the thread: both directions of
the socket are shut down, and what it has received is thrown away. The kernel answers whatever comes
then with a reset, so the next read of OpenSSL is the end of the stream, and the call returns.

Only looks are counted, not the clock: of a process that was stopped meanwhile, or that got no
processor, the thread did not look either.

Why the thread never touches another connection. Between its look and its ``shutdown()`` the call
might return and the loop close the socket, and a new connection get the same number. So the
thread, holding the lock, first sets ``_is_striking`` and then compares the token again; the loop
first takes the token away and then looks at ``_is_striking``. The interpreter's lock puts these
four in one order. If the thread still finds the token, the loop has yet to look at
``_is_striking``, finds it set, and waits for the lock before it goes on to close anything. If the
thread does not find it, it does nothing. The loop pays two stores and one look for each call, and
waits only while somebody is being cut.

The number of the socket stays the loop's to close; ``dup2()`` over it would end the call as surely,
but it takes the socket out of the kernel's watch list unseen by the loop, which libuv answers with
``abort()``.
"""

import logging
import socket
import struct
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Final, TypeVar

__all__ = ["Watchdog"]

_LOOKS: Final = 5
"""How often a connection may be found in a call that was there a look before."""
_LEAST_LOOK_S: Final = 0.01
_FORGIVEN_AFTER_LOOKS: Final = 600
_CHUNK_BYTES: Final = 262_144

_Result = TypeVar("_Result")

_logger = logging.getLogger("uvicorn.error")


class Watchdog:
    """Watches the calls of OpenSSL that one event loop makes.

    Args:
        limit_ms: How long a connection may keep the loop in calls that are found in two looks or
            more, milliseconds; a fifth of it lies between the looks.
    """

    def __init__(self, limit_ms: int) -> None:
        """Wait for the first call; the thread starts with it."""
        self._limit_ms = limit_ms
        self._look_every_s = max(limit_ms / 1000 / _LOOKS, _LEAST_LOOK_S)
        self._running: tuple[socket.socket] | None = None
        self._is_striking = False
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to look, if that has not begun."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="bolide-tls-watch", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """End the thread; calls are then made unwatched."""
        self._ended.set()
        if self._thread is not None:
            self._thread.join()

    def watch(self, connection: socket.socket, call: Callable[..., _Result], *args: int) -> _Result:
        """Make a call that reads a connection, and cut the connection if it lasts too long.

        Args:
            connection: Stays open during the call.
            call: May raise what it likes; after a cut it finds the end of the stream.
            args: For the call.
        """
        self._running = (connection,)  # as long as the thread has it, no other is the same
        try:
            return call(*args)
        finally:
            self._running = None
            if self._is_striking:
                with self._lock:  # until the strike is over
                    pass

    def _run(self) -> None:
        seen: tuple[socket.socket] | None = None
        found: dict[socket.socket, int] = {}
        looks = 0
        while not self._ended.wait(self._look_every_s):
            looks += 1
            if looks % _FORGIVEN_AFTER_LOOKS == 0:
                found.clear()
            running = self._running
            if running is not None and running is seen:
                [connection] = running
                found[connection] = found.get(connection, 0) + 1
                if found[connection] >= _LOOKS and self._strike(running):
                    del found[connection]
            seen = running

    def _strike(self, seen: tuple[socket.socket]) -> bool:
        """Cut the connection of a call if the call is still running; see the module."""
        with self._lock:
            self._is_striking = True
            is_running = self._running is seen
            if is_running:
                _cut(*seen)
            self._is_striking = False
        if is_running:
            _logger.warning(
                "A TLS connection was cut: its peer kept the node reading for more than %d ms"
                " (max_tls_read_ms) without sending anything, as an attack with key updates does",
                self._limit_ms,
            )
        return is_running


def _cut(connection: socket.socket) -> None:
    """End both directions, and throw away what was received.

    The methods of a plain socket are meant: those of ``SSLSocket`` would change what OpenSSL uses.
    """
    with suppress(OSError):
        socket.socket.shutdown(connection, socket.SHUT_RDWR)
        # A peer that waits for room would not hear of it: let closing be a reset.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        # The kernel takes nothing more, so this ends.
        while socket.socket.recv(connection, _CHUNK_BYTES):
            pass
