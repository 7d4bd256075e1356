"""Cut a connection whose peer keeps OpenSSL reading.

OpenSSL reads on over records that carry no data, such as TLS 1.3's key updates, for as long as
there are bytes in the socket, and Python's OpenSSL cannot be told otherwise. Who sends nothing else
keeps the loop inside one ``read()``.

Theory of operation. The loop leaves each event in :attr:`EventLoop.running` while its handler runs;
an event is an object of its own. A thread looks at it: the same object in two looks is the same
call, and costs its socket one look. Whose calls cost :data:`_LOOKS` is cut: both directions are
shut down and what came is thrown away, so OpenSSL finds the end of the stream. Looks are counted
and not the clock: of a process that got no processor the thread did not look either.

The thread never touches another connection: holding the lock, it sets
:attr:`EventLoop.is_striking` and then compares the event again; the loop lets go of the event and
then looks at that, before it closes any socket. The interpreter's lock puts these four in one
order, so either the thread does nothing, or the loop waits for it. The node has a watchdog for its
own loop; products share no code that touches sockets.
"""

import os
import socket
import struct
import threading
from collections import Counter
from contextlib import suppress
from typing import Final

from bolide.balancer.relay.event_loop import EventLoop

__all__ = ["Watchdog"]

_LOOKS: Final = 5
_LEAST_LOOK_S: Final = 0.01
_FORGIVEN_AFTER_LOOKS: Final = 600
_CHUNK_BYTES: Final = 262_144


class Watchdog:
    """Watches one loop.

    Args:
        loop: Which.
        limit_ms: How long a connection may keep the loop in handlers that are found in two looks
            or more, milliseconds.

    Attributes:
        cut_count: How many connections were cut.
    """

    def __init__(self, loop: EventLoop, limit_ms: int) -> None:
        """Wait for :meth:`start`."""
        self.cut_count = 0
        self._loop = loop
        self._look_every_s = max(limit_ms / 1000 / _LOOKS, _LEAST_LOOK_S)
        self._lock = threading.Lock()
        self._ended = threading.Event()

    def start(self) -> None:
        """Begin to look."""
        self._loop.wait_for_strike = self._wait
        threading.Thread(target=self._run, name="bolide-tls-watch", daemon=True).start()

    def stop(self) -> None:
        """Look no more."""
        self._ended.set()

    def _wait(self) -> None:
        with self._lock:
            pass

    def _run(self) -> None:
        seen: tuple[int, int] | None = None
        found: Counter[int] = Counter()
        looks = 0
        while not self._ended.wait(self._look_every_s):
            looks += 1
            if looks % _FORGIVEN_AFTER_LOOKS == 0:
                found.clear()
            running = self._loop.running
            if running is not None and running is seen:
                fd = running[0]
                found[fd] += 1
                if found[fd] >= _LOOKS:
                    self._strike(running)
                    del found[fd]
            seen = running

    def _strike(self, seen: tuple[int, int]) -> None:
        loop = self._loop
        with self._lock:
            loop.is_striking = True
            if loop.running is seen:
                self.cut_count += 1
                _cut(seen[0])
            loop.is_striking = False


def _cut(fd: int) -> None:
    """End both directions of a socket, and throw away what was received."""
    with suppress(OSError), socket.socket(fileno=os.dup(fd)) as connection:
        connection.shutdown(socket.SHUT_RDWR)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        while connection.recv(_CHUNK_BYTES):
            pass
