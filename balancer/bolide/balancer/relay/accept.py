"""New connections of clients, up to the end of their handshake.

A listening socket is shared by all workers, and is the supervisor's to close. Who has shaken hands,
or is refused, is somebody else's matter.
"""

import errno
import logging
import select
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, Protocol, TypeAlias, cast

from bolide.balancer.heads.answers import refusal
from bolide.balancer.heads.errors import HeadError
from bolide.balancer.heads.proxy_protocol import MAX_HEADER_BYTES, parse_proxy_header
from bolide.balancer.relay.alarm import Alarm
from bolide.balancer.relay.event_loop import EventLoop, nothing
from bolide.balancer.relay.link import Link
from bolide.balancer.tls.engine import server_engine
from bolide.balancer.worker.messages import Limits

__all__ = ["Acceptor", "Guest", "Room"]

_ACCEPTED_PER_TURN: Final = 16
"""More at once would let the connections that are there wait."""
_PAUSE_S: Final = 1.0
_SLOW_S: Final = 1.0
"""Who takes longer to shake hands makes room if others wait, seconds."""
_SPEAK_TLS: Final = refusal(403, 0, b"")
_MAX_PLAIN_BYTES: Final = 65_536
_NO_ROOM: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})

_AcceptFd: TypeAlias = Callable[[], tuple[int, tuple[str, int]]]

_logger = logging.getLogger("bolide.balancer")


class Room(Protocol):
    """Tells whether one more connection may be taken."""

    def has_room(self) -> bool:
        """Tell it of the worker as a whole; who is not accepted waits in the kernel."""
        ...

    def may_enter(self, address: str) -> bool:
        """Tell it of a client."""
        ...

    def entered(self, address: str) -> None:
        """Learn that one came."""
        ...

    def left(self, address: str) -> None:
        """Learn that one went that never became a client's connection."""
        ...

    def shook_hands(self, outcome: str) -> None:
        """Learn how a handshake ended: ``done``, ``timeout``, ``failed``, ``plain``, ``slow``."""
        ...


class Acceptor:
    """One listening socket.

    Args:
        loop: Watches it.
        listener: Bound and listening; does not block.
        context: Makes TLS of a socket; None: plain HTTP.
        is_proxied: Each connection begins with a PROXY protocol header.
        may_send_proxy: Tells whether an address may.
        room: How many may come.
        handshakes: Those that shake hands, of all listening sockets, the oldest first.
        limits: Tells how many may, and for how long.
        take: Takes a link that shook hands and is being read, and the client's address.
    """

    def __init__(
        self,
        loop: EventLoop,
        listener: socket.socket,
        context: Callable[[], ssl.SSLContext] | None,
        *,
        is_proxied: bool,
        may_send_proxy: Callable[[str], bool],
        room: Room,
        handshakes: "dict[Guest, None]",
        limits: Callable[[], Limits],
        take: Callable[[Link, str], None],
    ) -> None:
        """Begin to accept."""
        self.loop = loop
        self.context = context
        self.is_proxied = is_proxied
        self.room = room
        self.limits = limits
        self.take = take
        self._may_send_proxy = may_send_proxy
        self._listener = listener
        # What `accept` is made of: it also asks the kernel for the socket's family, each time.
        self._accept_fd = cast("_AcceptFd", cast("Any", listener)._accept)
        self._family = listener.family
        # What is accepted has it, too.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._handshakes = handshakes
        self._is_accepting = False
        self._is_closed = False
        self._alarm = Alarm(loop, self.resume)
        self.resume()

    def resume(self) -> None:
        """Accept, if that was paused and there is room."""
        if not self._is_accepting and not self._is_closed and self._has_room():
            self._is_accepting = True
            # Of several workers that wait, one is woken.
            self.loop.watch(
                self._listener.fileno(), self, self._accept, select.EPOLLIN | select.EPOLLEXCLUSIVE
            )

    def pause(self) -> None:
        """Let who comes wait in the kernel, or be taken by another worker."""
        if self._is_accepting:
            self._is_accepting = False
            self.loop.forget(self._listener.fileno())

    def close(self) -> None:
        """Accept nobody any more.

        Only our own descriptor of the listening socket is closed: who waits there is accepted by
        others, and the port is free once nobody has it.
        """
        if not self._is_closed:
            self.pause()
            self._alarm.release()
            self._is_closed = True
            self.loop.close(self._listener)

    def abort(self) -> None:
        """A mistake of ours was met while accepting; others are to be accepted all the same."""

    def _has_room(self) -> bool:
        if not self.room.has_room():
            return False
        if not self._is_crowded():
            return True
        # Else a few hundred connections that say nothing would keep everybody out.
        slow_in_s = next(iter(self._handshakes)).began + _SLOW_S - self.loop.now
        if slow_in_s > 0:
            self._alarm.set(slow_in_s)
            return False
        return True

    def _is_crowded(self) -> bool:
        return len(self._handshakes) >= self.limits().max_handshakes

    def _accept(self, _events: int) -> None:
        for _ in range(_ACCEPTED_PER_TURN):
            if not self._has_room():
                self.pause()
                return
            try:
                fd, address = self._accept_fd()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                if error.errno not in _NO_ROOM:
                    raise
                # The socket stays readable: the loop would do nothing else.
                _logger.error("no connection can be accepted: %s", error.strerror)
                self.pause()
                self.loop.call_later(_PAUSE_S, self.resume)
                return
            if self._is_crowded():
                next(iter(self._handshakes)).make_room()
            self._begin(socket.socket(self._family, socket.SOCK_STREAM, 0, fd), address[0])

    def _begin(self, connection: socket.socket, address: str) -> None:
        if self.is_proxied and not self._may_send_proxy(address):
            connection.close()
            self.room.shook_hands("stranger")
            return
        if not self.is_proxied and not self.room.may_enter(address):
            connection.close()
            self.room.shook_hands("crowd")
            return
        try:
            connection.setblocking(False)
        except OSError:  # it is gone already
            connection.close()
            return
        Guest(self, connection, address, self._handshakes)


class Guest:
    """A connection that shakes hands, after its PROXY protocol header if it has one.

    Attributes:
        began: When; monotonic, seconds.
    """

    __slots__ = (
        "__weakref__", "_acceptor", "_address", "_alarm", "_has_entered", "_link", "_others",
        "began",
    )  # fmt: skip

    def __init__(
        self,
        acceptor: Acceptor,
        connection: socket.socket,
        address: str,
        others: "dict[Guest, None]",
    ) -> None:
        """Begin."""
        self.began = acceptor.loop.now
        self._acceptor = acceptor
        self._address = address
        self._others = others
        self._has_entered = False
        others[self] = None
        self._alarm = Alarm(acceptor.loop, self._too_late)
        self._alarm.set(acceptor.limits().handshake_timeout_s)
        if acceptor.is_proxied:
            self._link = link = Link(acceptor.loop, connection)
            link.on_readable = self._read_proxy_header
            link.on_closed = self._cut
            link.is_reading = True
            link.watch()
        else:
            self._enter(address)
            self._link = self._wrapped(connection)
            self._go_on()

    def _set_context(self, context: ssl.SSLContext) -> None:
        """Go on in the context of another certificate, as the context decided by the host."""
        engine = self._link.engine
        assert engine is not None
        engine.context = context

    context = property(fset=_set_context)

    def _enter(self, address: str) -> None:
        self._address = address
        self._has_entered = True
        self._acceptor.room.entered(address)

    def _wrapped(self, connection: socket.socket) -> Link:
        acceptor = self._acceptor
        engine = None
        if acceptor.context is not None:
            engine = server_engine(acceptor.context(), connection, self)
        link = Link(acceptor.loop, connection, engine)
        link.on_closed = self._cut
        link.is_reading = True
        link.watch()
        return link

    def _go_on(self) -> None:
        if self._acceptor.context is None:
            self._finish()
            return
        self._link.on_readable = self._shake_hands

    def _read_proxy_header(self) -> None:
        """Take the header out of the socket, and not a byte more: TLS begins after it."""
        connection = self._link.connection
        try:
            seen = connection.recv(MAX_HEADER_BYTES, socket.MSG_PEEK)
        except BlockingIOError:
            return
        except OSError:
            self._link.abort()
            return
        try:
            found = parse_proxy_header(seen)
        except HeadError:
            self._end("malformed")
            return
        if found is None:
            if not seen or len(seen) == MAX_HEADER_BYTES:
                self._end("malformed")
            else:
                # What stays in the socket would wake the loop over and over.
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, len(seen) + 1)
            return
        connection.recv(found.size)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, 1)
        address = found.address or self._address
        if not self._acceptor.room.may_enter(address):
            self._end("crowd")
            return
        self._enter(address)
        # TLS takes the socket over, and is watched anew.
        self._acceptor.loop.forget(self._link.fd)
        self._link = self._wrapped(connection)
        self._go_on()

    def _shake_hands(self) -> None:
        link = self._link
        engine = link.engine
        assert engine is not None
        try:
            engine.do_handshake()
        except ssl.SSLWantReadError:
            link.on_writable = None
            link.wait_to_write(False)
            return
        except ssl.SSLWantWriteError:
            link.on_writable = self._shake_hands
            link.wait_to_write(True)
            return
        except OSError as error:
            is_plain = isinstance(error, ssl.SSLError) and error.reason == "HTTP_REQUEST"
            if is_plain:
                self._refuse_plain()
            self._end("plain" if is_plain else "failed")
            return
        link.on_writable = None
        link.wait_to_write(False)
        self._acceptor.room.shook_hands("done")
        self._finish()

    def _finish(self) -> None:
        self._forget()
        link = self._link
        link.on_closed = nothing
        self._acceptor.take(link, self._address)

    def _refuse_plain(self) -> None:
        """Tell who speaks plain HTTP that this port does not, if the socket takes it at once."""
        connection = self._link.connection
        with suppress(OSError):
            # A socket that is closed with unread data is reset, and our answer lost on its way.
            connection.recv(_MAX_PLAIN_BYTES)
        with suppress(OSError):
            connection.send(_SPEAK_TLS)
            connection.shutdown(socket.SHUT_WR)

    def make_room(self) -> None:
        """End, because it takes long and others wait."""
        self._end("slow")

    def _too_late(self) -> None:
        self._end("timeout")

    def _cut(self) -> None:
        self._end("cut")

    def _end(self, outcome: str) -> None:
        self._forget()
        self._link.on_closed = nothing
        self._link.abort()
        room = self._acceptor.room
        room.shook_hands(outcome)
        if self._has_entered:
            room.left(self._address)

    def _forget(self) -> None:
        self._alarm.release()
        self._others.pop(self, None)
        self._acceptor.resume()
