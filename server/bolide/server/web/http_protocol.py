"""uvicorn's HTTP protocol with limits on what a peer can make it hold.

uvicorn itself waits for ever for a request head, of any size, on any number of sockets, and for
ever until an answer is read.
"""

import asyncio
import socket
import struct
from asyncio.transports import Transport
from typing import ClassVar, Final, cast

import structlog
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from bolide.server.limits import Limits
from bolide.server.web.peer import PEER, client_of, peer_of
from bolide.server.web.websocket.handshake import refusing

__all__ = ["BolideHTTP"]

_log = structlog.get_logger("bolide.web")
_DEFAULTS = Limits()
_CLIENT_HELLO: Final = b"\x16\x03"


class BolideHTTP(HttpToolsProtocol):
    """One connection until it becomes a WebSocket; for ``uvicorn.Config(http=...)``.

    uvicorn makes the instances, so limits are attributes of a class: see :meth:`limited`.
    """

    max_connections: ClassVar[int] = _DEFAULTS.max_connections
    header_timeout_s: ClassVar[float] = _DEFAULTS.header_timeout_s
    max_head_bytes: ClassVar[int] = _DEFAULTS.max_head_bytes
    slow_reader_timeout_s: ClassVar[float] = _DEFAULTS.slow_reader_timeout_s

    _has_told_of_tls: ClassVar[bool] = False
    _head_timer: asyncio.TimerHandle | None = None
    _head_bytes = 0
    _is_in_body = False
    _reader_timer: asyncio.TimerHandle | None = None
    _unread_bytes = 0

    @classmethod
    def limited(cls, limits: Limits) -> type["BolideHTTP"]:
        """Return the class with the limits of a node."""
        return type(
            cls.__name__,
            (cls,),
            {
                "max_connections": limits.max_connections,
                "header_timeout_s": limits.header_timeout_s,
                "max_head_bytes": limits.max_head_bytes,
                "slow_reader_timeout_s": limits.slow_reader_timeout_s,
            },
        )

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]  # as uvicorn
        """Take a socket, unless there are too many."""
        super().connection_made(transport)
        # WebSockets stay in the same set.
        if len(self.connections) > self.max_connections:
            self._refuse(503, b"Too many connections\n")
        else:
            self._await_head()

    def data_received(self, data: bytes) -> None:
        """Take a part of a request."""
        # uvicorn's types do not say that there is no cycle before the first request.
        cycle = cast("RequestResponseCycle | None", self.cycle)
        if self._head_timer is None and (cycle is None or cycle.response_complete):
            self._await_head()
        if data.startswith(_CLIENT_HELLO) and cycle is None and not self._head_bytes:
            self._refuse_tls()
            return
        # The parser keeps of a head what it is given, so it is given no more than may be.
        most = self.max_head_bytes
        while data and not self.transport.is_closing() and not self._is_upgraded:
            room = most if self._is_in_body else most - self._head_bytes
            if room == 0:
                self._refuse(431, b"The head of this request is too large\n")
                return
            part, data = data[:room], data[room:]
            if not self._is_in_body:
                self._head_bytes += len(part)
            super().data_received(part)

    def on_headers_complete(self) -> None:
        """Learn that a head is complete."""
        self._is_in_body = True
        self._head_bytes = 0
        self._stop_waiting()
        self._watch_reader()
        peer = peer_of(self.transport)
        if peer is not None:
            # uvicorn's type of a scope knows only what ASGI names.
            scope = cast("dict[str, object]", self.scope)
            scope[PEER] = peer
            scope["client"] = client_of(self.transport, self.headers)
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """Learn that a request is complete."""
        self._is_in_body = False
        super().on_message_complete()

    def handle_websocket_upgrade(self) -> None:
        """Hand the transport over, and let go of what would keep this object for the collector."""
        self._stop_watching()
        super().handle_websocket_upgrade()
        self.parser = None  # type: ignore[assignment]  # as uvicorn's own connection_lost()

    def resume_writing(self) -> None:
        """Learn that the peer took most of what waited for it."""
        self._unread_bytes = 0
        super().resume_writing()

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no request."""
        self._watch_reader()
        super().send_400_response(msg)

    def connection_lost(self, exc: Exception | None) -> None:
        """Learn that the socket is gone."""
        self._stop_waiting()
        self._stop_watching()
        super().connection_lost(exc)

    @property
    def _is_upgraded(self) -> bool:
        # uvicorn's types do not say that it lets go of its parser.
        return cast("object | None", self.parser) is None

    def _await_head(self) -> None:
        # A browser opens sockets ahead that never say anything: no answer would be understood.
        self._head_timer = self.loop.call_later(self.header_timeout_s, self.transport.abort)

    def _stop_waiting(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _watch_reader(self) -> None:
        """Look now and then whether the peer takes what waits for it, until nothing does."""
        if self._reader_timer is None:
            self._unread_bytes = 0
            self._look_later()

    def _look_later(self) -> None:
        self._reader_timer = self.loop.call_later(self.slow_reader_timeout_s, self._look)

    def _look(self) -> None:
        self._reader_timer = None
        unread = self.transport.get_write_buffer_size()
        # More than before says nothing: the answer goes on as long as there is room.
        if unread and unread == self._unread_bytes:
            # What the kernel holds for the peer would wait on, for nobody.
            connection = cast(socket.socket, self.transport.get_extra_info("socket"))
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.transport.abort()
            return
        self._unread_bytes = unread
        cycle = cast("RequestResponseCycle | None", self.cycle)
        if unread or (cycle is not None and not cycle.response_complete):
            self._look_later()

    def _stop_watching(self) -> None:
        if self._reader_timer is not None:
            self._reader_timer.cancel()
            self._reader_timer = None

    def _refuse_tls(self) -> None:
        """Say what is wrong to whoever looks at the log, once: to browsers it is noise."""
        if not BolideHTTP._has_told_of_tls:
            BolideHTTP._has_told_of_tls = True
            _log.warning(
                "a client spoke TLS to a node without: open it with http://, or give it a"
                " certificate (--tls-cert)"
            )
        self._refuse(400, b"This port speaks no TLS: use http:// or ws://\n")

    def _refuse(self, status: int, text: bytes) -> None:
        self._watch_reader()
        headers = [(b"content-type", b"text/plain; charset=utf-8")]
        self.transport.write(refusing(status, headers, text))
        self.transport.close()
