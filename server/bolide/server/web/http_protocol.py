"""uvicorn's HTTP protocol with limits on what a peer can do before a request is complete.

uvicorn itself waits for ever for a request head, of any size, on any number of sockets.
"""

import asyncio
from asyncio.transports import Transport
from typing import ClassVar, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from bolide.server.limits import Limits
from bolide.server.web.websocket.handshake import refusing

__all__ = ["BolideHTTP"]

_DEFAULTS = Limits()


class BolideHTTP(HttpToolsProtocol):
    """One connection until it becomes a WebSocket; for ``uvicorn.Config(http=...)``.

    uvicorn makes the instances, so limits are attributes of a class: see :meth:`limited`.
    """

    max_connections: ClassVar[int] = _DEFAULTS.max_connections
    header_timeout_s: ClassVar[float] = _DEFAULTS.header_timeout_s
    max_head_bytes: ClassVar[int] = _DEFAULTS.max_head_bytes

    _head_timer: asyncio.TimerHandle | None = None
    _head_bytes = 0

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
        super().data_received(data)
        if self._head_timer is not None:  # the head is not complete yet
            self._head_bytes += len(data)
            if self._head_bytes > self.max_head_bytes and not self.transport.is_closing():
                self._refuse(431, b"The head of this request is too large\n")

    def on_headers_complete(self) -> None:
        """Learn that a head is complete."""
        self._stop_waiting()
        super().on_headers_complete()

    def handle_websocket_upgrade(self) -> None:
        """Hand the transport over, and let go of what would keep this object for the collector."""
        super().handle_websocket_upgrade()
        self.parser = None  # type: ignore[assignment]  # as uvicorn's own connection_lost()

    def connection_lost(self, exc: Exception | None) -> None:
        """Learn that the socket is gone."""
        self._stop_waiting()
        super().connection_lost(exc)

    def _await_head(self) -> None:
        self._head_bytes = 0
        # A browser opens sockets ahead that never say anything: no answer would be understood.
        self._head_timer = self.loop.call_later(self.header_timeout_s, self.transport.abort)

    def _stop_waiting(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _refuse(self, status: int, text: bytes) -> None:
        headers = [(b"content-type", b"text/plain; charset=utf-8")]
        self.transport.write(refusing(status, headers, text))
        self.transport.close()
