"""A WebSocket protocol class for uvicorn that can also be written to at once.

Use it as ``uvicorn.Config(app, ws="bolide.server.web.websocket:BolideWebSocket")``. Any ASGI
application works on it; one that knows :mod:`bolide.server.web.websocket.push` gets plain calls.

Theory of operation. uvicorn's HTTP protocol parses the head of the handshake, makes one instance
and hands over the transport. ``CONNECTING`` until the application accepts, ``OPEN`` until a close
frame is sent, ``CLOSING`` until the peer's arrives, ``ENDING`` while the transport empties,
``LOST`` at last. Three things bound what a peer can make it hold: the frame reader holds one
message and gives no more than is asked for; reading pauses while the application's queue is full;
and ``CLOSING`` and ``ENDING`` last :data:`CLOSE_TIMEOUT_S` at most, then the connection is cut.
What the application writes is bounded by ``send()``, which waits above the high-water mark, or by
the receiver of a push, which is told of it.

permessage-deflate is never agreed on: it costs 1.5 to 6 times the CPU and up to 30 times the
memory (docs/design/websocket.md).
"""

import asyncio
import logging
from asyncio.transports import BaseTransport, Transport
from collections.abc import Callable, Iterable
from enum import IntEnum
from typing import Any, Final, cast
from urllib.parse import quote

from starlette.types import Message, Scope
from uvicorn.config import Config
from uvicorn.protocols.utils import ClientDisconnected
from uvicorn.server import ServerState

from bolide.core.errors import LocalProtocolError
from bolide.server.web.websocket.frames import (
    CloseCode,
    Closed,
    FrameReader,
    Ping,
    Pong,
    Violation,
    binary_frame,
    close_frame,
    ping_frame,
    pong_frame,
    text_frame,
)
from bolide.server.web.websocket.handshake import BadHandshake, accepting, parse_handshake, refusing
from bolide.server.web.websocket.keepalive import KeepAlive
from bolide.server.web.websocket.push import EXTENSION, PushReceiver
from bolide.server.web.websocket.scope import websocket_scope

__all__ = [
    "CLOSE_TIMEOUT_S",
    "MESSAGES_PER_TURN",
    "QUEUE_HIGH_WATER_BYTES",
    "WRITE_HIGH_WATER_BYTES",
    "BolideWebSocket",
]

CLOSE_TIMEOUT_S: Final = 5.0
"""From our close frame, or the peer's, to the end of the connection, seconds."""
WRITE_HIGH_WATER_BYTES: Final = 65_536
"""Above this, ``send()`` waits and a receiver's ``writing_paused()`` is called, bytes."""
QUEUE_HIGH_WATER_BYTES: Final = 65_536
"""Messages that wait for ``receive()`` pause reading above this, characters or bytes; so do
``ws_max_queue`` messages."""
MESSAGES_PER_TURN: Final = 64
"""How many messages of one socket are handled before all other sockets have their turn."""

_logger = logging.getLogger("uvicorn.error")
_PLAIN_TEXT: Final = (b"content-type", b"text/plain; charset=utf-8")


class _State(IntEnum):
    CONNECTING = 0
    OPEN = 1
    CLOSING = 2
    ENDING = 3
    LOST = 4


_CONNECTING, _OPEN, _CLOSING, _ENDING, _LOST = _State


def _discard(data: bytes) -> None:
    """Stand for the transport's ``write`` while there is nobody to write to."""


class BolideWebSocket(asyncio.Protocol):
    """One connection, from the handshake to the end.

    Args:
        config: uvicorn's; ``ws_max_size``, ``ws_max_queue``, ``ws_ping_interval``,
            ``ws_ping_timeout``, ``root_path`` and the application count.
        server_state: What all connections of the server share.
        app_state: What the lifespan of the application left in ``state``.
    """

    __slots__ = (
        "_answer", "_app_state", "_closed_by_app", "_config", "_connect_given", "_disconnect",
        "_drained", "_is_clean", "_keep_alive", "_key", "_loop", "_name", "_pong_owed", "_queue",
        "_queued_bytes", "_reader", "_reading_paused", "_receiver", "_server_state", "_state",
        "_timer", "_transport", "_waiter", "_writing_paused", "write",
    )  # fmt: skip

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        """Wait for a transport and a handshake."""
        if not config.loaded:
            config.load()
        self._config = config
        self._server_state = server_state
        self._app_state = app_state
        self._loop = _loop or asyncio.get_running_loop()
        self._transport: Transport
        self._state = _CONNECTING
        self._key: bytes | None = None  # set by the handshake
        self._name = ""
        self._answer: tuple[int, Iterable[tuple[bytes, bytes]], bytearray] | None = None
        self._reader = FrameReader(config.ws_max_size)
        self.write: Callable[[bytes], object] = _discard
        # Messages for receive(), and who waits for one.
        self._connect_given = False
        self._queue: list[str | bytes] = []
        self._queued_bytes = 0
        self._waiter: asyncio.Future[None] | None = None
        self._disconnect: Message | None = None
        self._closed_by_app = False
        self._is_clean = False
        # Flow control.
        self._receiver: PushReceiver | None = None
        self._reading_paused = False
        self._writing_paused = False
        self._drained: asyncio.Future[None] | None = None
        self._pong_owed: bytes | None = None
        # Time.
        self._timer: asyncio.TimerHandle | None = None
        self._keep_alive: KeepAlive | None = None

    # What asyncio and uvicorn call.

    def connection_made(self, transport: BaseTransport) -> None:
        """Take the transport."""
        self._transport = cast(Transport, transport)
        self._transport.set_write_buffer_limits(high=WRITE_HIGH_WATER_BYTES)
        self._server_state.connections.add(cast(Any, self))  # uvicorn lists its own classes only

    def data_received(self, data: bytes) -> None:
        """Take bytes: first the head of the handshake, then frames."""
        if self._state is _OPEN or self._state is _CLOSING:
            self._reader.receive_data(data)
            self._pump()
        elif self._state is _CONNECTING:
            if self._key is None:
                data = self._take_head(data)
            self._reader.receive_data(data)
            if self._reader.waiting_bytes > QUEUE_HIGH_WATER_BYTES:
                self._pause_reading()  # no client speaks before it is accepted

    def eof_received(self) -> None:
        """Let the transport close: a half-open WebSocket is of no use."""

    def pause_writing(self) -> None:
        """Learn that the peer does not keep up."""
        self._writing_paused = True
        if self._receiver is not None:
            self._tell(self._receiver.writing_paused)

    def resume_writing(self) -> None:
        """Learn that the peer caught up."""
        self._let_write()
        if self._pong_owed is not None:
            self.write(pong_frame(self._pong_owed))
            self._pong_owed = None
        if self._receiver is not None:
            self._tell(self._receiver.writing_resumed)

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell everybody that it is over."""
        # uvicorn's stubs know only its own classes.
        self._server_state.connections.discard(cast(Any, self))
        self._stop_pinging()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._state = _LOST
        self.write = _discard
        receiver, self._receiver = self._receiver, None
        if receiver is not None:
            try:
                receiver.connection_lost(self._is_clean)
            except Exception:
                _logger.exception("Exception in the receiver of a push\n")
        self._let_write()
        self._wake()

    def shutdown(self) -> None:
        """Close because the server stops; a client that understands 1012 comes back."""
        if self._state is _CONNECTING:
            self._disconnected(CloseCode.SERVICE_RESTART)
            self._refuse(503, (), b"Service Unavailable")
        elif self._state is _OPEN:
            self._disconnected(CloseCode.SERVICE_RESTART)
            self._send_close(CloseCode.SERVICE_RESTART, "")

    # Push: see bolide.server.web.websocket.push.

    def start(self, receiver: PushReceiver) -> None:
        """Give all messages to a receiver from now on."""
        if self._state is _CONNECTING or self._receiver is not None:
            raise LocalProtocolError("A push starts once, after the connection was accepted")
        self._stop_pinging()
        self._receiver = receiver
        waiting, self._queue, self._queued_bytes = self._queue, [], 0
        for message in waiting:
            self._deliver(receiver, message)
        self._pump()
        if self._state is _LOST:
            self.connection_lost(None)
        elif self._writing_paused:
            self._tell(receiver.writing_paused)

    def close(self, code: int = CloseCode.NORMAL, reason: str = "") -> None:
        """Send the close frame, once."""
        if self._state is _OPEN:
            self._send_close(code, reason)

    def abort(self) -> None:
        """Cut at once."""
        if self._state is not _LOST:
            self._state = _ENDING
            self.write = _discard
            self._transport.abort()

    @property
    def buffered(self) -> int:
        """Bytes that wait for the peer to read."""
        return 0 if self._state is _LOST else self._transport.get_write_buffer_size()

    # The handshake.

    def _take_head(self, data: bytes) -> bytes:
        """Start the application for a handshake; returns what came after it."""
        head, separator, rest = data.partition(b"\r\n\r\n")
        try:
            if not separator:
                raise BadHandshake("The head is not complete")
            handshake = parse_handshake(head)
        except BadHandshake as error:
            _logger.info("WebSocket handshake refused: %s", error)
            self._refuse(error.status, error.headers, f"{error}\n".encode())
            return b""
        self._key = handshake.key
        scope = websocket_scope(
            handshake,
            self._config,
            self._transport,
            state=self._app_state,
            extensions={EXTENSION: self},
        )
        if _logger.isEnabledFor(logging.INFO):
            # The path without its query, which may hold what is nobody's business.
            client = scope["client"]
            address = f"{client[0]}:{client[1]}" if client else ""
            self._name = f'{address} - "WebSocket {quote(scope["path"])}"'
        task = self._loop.create_task(self._run(scope))
        self._server_state.tasks.add(task)
        task.add_done_callback(self._server_state.tasks.discard)
        return rest

    async def _run(self, scope: Scope) -> None:
        """Run the application, and close what it leaves open."""
        code = CloseCode.NORMAL
        try:
            result = await cast(Any, self._config).loaded_app(scope, self.receive, self.send)
        except ClientDisconnected:
            return
        except asyncio.CancelledError:
            self._leave(CloseCode.SERVICE_RESTART)
            raise
        except Exception:
            _logger.exception("Exception in ASGI application\n")
            code = CloseCode.INTERNAL_ERROR
        else:
            if self._state is _CONNECTING:
                _logger.error("ASGI callable returned without completing handshake.")
            elif result is not None:
                _logger.error("ASGI callable should return None, but returned a value.")
            elif self._receiver is not None:
                return  # a push goes on without it
        self._leave(code)

    def _leave(self, code: CloseCode) -> None:
        if self._state is _CONNECTING:
            self._refuse(500, (), b"Internal Server Error")
        else:
            self.close(code)

    def _accept(self, message: Message) -> None:
        assert self._key is not None  # the application runs since the handshake
        answer = accepting(
            self._key,
            subprotocol=message.get("subprotocol") or None,
            headers=[*self._server_state.default_headers, *message.get("headers", ())],
        )
        self._say("[accepted]")
        self._transport.write(answer)
        self._state = _OPEN
        self.write = self._transport.write
        if interval_s := self._config.ws_ping_interval:
            self._keep_alive = KeepAlive(self, self._loop, interval_s, self._config.ws_ping_timeout)
        self._pump()

    def _refuse(self, status: int, headers: Iterable[tuple[bytes, bytes]], body: bytes) -> None:
        """Answer with plain HTTP."""
        self._respond(status, [*headers, _PLAIN_TEXT], body)

    def _respond(self, status: int, headers: Iterable[tuple[bytes, bytes]], body: bytes) -> None:
        every = [*self._server_state.default_headers, *headers]
        self._transport.write(refusing(status, every, body))
        self._say(str(status))
        self._disconnected(CloseCode.ABNORMAL)
        self._drop()

    def _say(self, outcome: str) -> None:
        if self._name:
            _logger.info("%s %s", self._name, outcome)

    # ASGI.

    async def receive(self) -> Message:
        """Return the next event of the connection; the last one again and again."""
        if not self._connect_given:
            self._connect_given = True
            return {"type": "websocket.connect"}
        while True:
            if self._queue:
                message = self._queue.pop(0)
                self._queued_bytes -= len(message)
                if self._reading_paused and self._receiver is None:
                    self._pump()
                key = "text" if isinstance(message, str) else "bytes"
                return {"type": "websocket.receive", key: message}
            if self._state is _LOST and self._disconnect is None:
                self._pump()  # what came before the end
                if self._queue:
                    continue
                self._disconnected(CloseCode.ABNORMAL)
            if self._disconnect is not None and (self._receiver is None or self._state is _LOST):
                return self._disconnect
            self._waiter = self._loop.create_future()
            await self._waiter

    async def send(self, message: Message) -> None:
        """Take one event of the application; waits while the peer does not keep up.

        Raises:
            ClientDisconnected: If the connection is over.
            LocalProtocolError: If the event holds what may not be sent.
            RuntimeError: If the event has no place here.
        """
        while self._writing_paused:
            if self._drained is None:
                self._drained = self._loop.create_future()
            await asyncio.shield(self._drained)  # others may wait for the same
        kind = message["type"]
        if self._state is _OPEN:
            if kind == "websocket.send":
                data = message.get("bytes")
                if data is not None:
                    self.write(binary_frame(data))
                else:
                    self.write(text_frame(message["text"].encode()))
            elif kind == "websocket.close":
                code, reason = message.get("code", 1000), message.get("reason") or ""
                self._send_close(code, reason)
                self._closed_by_app = True
                self._disconnected(code, reason)
            else:
                raise RuntimeError(f"{kind} has no place after websocket.accept")
        elif self._state is _CONNECTING:
            self._answer_handshake(kind, message)
        elif self._closed_by_app and self._state is not _LOST:
            raise RuntimeError(f"{kind} has no place after websocket.close")
        else:
            raise ClientDisconnected

    def _answer_handshake(self, kind: str, message: Message) -> None:
        if self._answer is not None:
            if kind != "websocket.http.response.body":
                raise RuntimeError(f"{kind} has no place in an HTTP response")
            status, headers, body = self._answer
            body += message.get("body", b"")
            if not message.get("more_body", False):
                self._closed_by_app = True
                self._respond(status, headers, bytes(body))
        elif kind == "websocket.accept":
            self._accept(message)
        elif kind == "websocket.close":
            self._closed_by_app = True
            self._respond(403, (), b"")
        elif kind == "websocket.http.response.start":
            refusing(message["status"], message.get("headers", ()), b"")  # raises what is wrong
            self._answer = message["status"], message.get("headers", ()), bytearray()
        else:
            raise RuntimeError(f"{kind} has no place before websocket.accept")

    # What comes in.

    def _pump(self) -> None:
        """Hand on what the reader has, as much as may be taken in this turn."""
        next_event = self._reader.next_event
        receiver = self._receiver
        left = MESSAGES_PER_TURN
        while self._state is not _ENDING:
            if receiver is None and self._is_full():
                self._pause_reading()
                return
            event = next_event()
            if event is None:
                break
            if type(event) is str or type(event) is bytes:
                if self._state is _CLOSING:
                    pass  # the application is past caring
                elif receiver is not None:
                    self._deliver(receiver, event)
                else:
                    self._queue.append(event)
                    self._queued_bytes += len(event)
                    self._wake()
            else:
                self._take_control(event)
            left -= 1
            if not left and self._state is not _LOST and self._reader.waiting_bytes:
                self._pause_reading()
                self._loop.call_soon(self._go_on)
                return
        if self._reading_paused:
            self._resume_reading()

    def _go_on(self) -> None:
        if self._state is _OPEN or self._state is _CLOSING:
            self._pump()

    def _is_full(self) -> bool:
        return self._state is not _CLOSING and (
            len(self._queue) >= self._config.ws_max_queue
            or self._queued_bytes > QUEUE_HIGH_WATER_BYTES
        )

    def _deliver(self, receiver: PushReceiver, message: str | bytes) -> None:
        try:
            if isinstance(message, str):
                receiver.message_received(message)
            else:
                receiver.binary_received()
        except Exception:
            self._receiver_failed()

    def _tell(self, news: Callable[[], None]) -> None:
        try:
            news()
        except Exception:
            self._receiver_failed()

    def _receiver_failed(self) -> None:
        _logger.exception("Exception in the receiver of a push\n")
        self.close(CloseCode.INTERNAL_ERROR)

    def _take_control(self, event: object) -> None:
        match event:
            case Ping(payload):
                if self._writing_paused:
                    # Of the pings that a peer sends and does not read, the last one is answered
                    # (RFC 6455, section 5.5.3): else their answers would pile up.
                    self._pong_owed = payload
                else:
                    self.write(pong_frame(payload))
            case Pong(payload):
                if self._keep_alive is not None:
                    self._keep_alive.pong_received(payload)
            case Closed(code, reason):
                self._is_clean = True
                self.write(close_frame(code))  # nothing, if ours is out already
                self._disconnected(code, reason)
                self._drop()
            case Violation(code, reason):
                self._fail(code, reason)
            case _:
                raise AssertionError(event)

    def _pause_reading(self) -> None:
        if not self._reading_paused and not self._transport.is_closing():
            self._reading_paused = True
            self._transport.pause_reading()

    def _resume_reading(self) -> None:
        self._reading_paused = False
        if not self._transport.is_closing():
            self._transport.resume_reading()

    # The end.

    def _disconnected(self, code: int, reason: str = "") -> None:
        """Let ``receive()`` tell the application, after the messages that came before."""
        if self._disconnect is None:
            self._disconnect = {"type": "websocket.disconnect", "code": code, "reason": reason}
            self._wake()

    def _wake(self) -> None:
        """Let receive() look again."""
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
        self._waiter = None

    def _let_write(self) -> None:
        """Let send() look again."""
        self._writing_paused = False
        if self._drained is not None:
            self._drained.set_result(None)
            self._drained = None

    def _send_close(self, code: int, reason: str) -> None:
        """Say goodbye and wait for the same, for a limited time."""
        frame = close_frame(code, reason)
        self.write(frame)
        self.write = _discard
        self._state = _CLOSING
        self._stop_pinging()
        self._limit_time()
        if self._reading_paused:
            self._resume_reading()
            self._loop.call_soon(self._go_on)

    def _fail(self, code: CloseCode, reason: str) -> None:
        """Close because of something that cannot go on."""
        self.write(close_frame(code, reason))
        self._disconnected(code, reason)
        self._drop()

    def _drop(self) -> None:
        """End the connection once all was sent, and read no more.

        Where TCP allows it, only our direction is closed and what still comes is thrown away:
        closing a socket with unread data would reset it, and the peer might never see our last
        words.
        """
        self.write = _discard
        self._stop_pinging()
        if self._state is _LOST:
            return
        self._state = _ENDING
        self._limit_time()
        if self._transport.is_closing():
            return
        if self._reading_paused:
            self._resume_reading()
        if self._transport.can_write_eof():
            self._transport.write_eof()
        if self._is_clean or not self._transport.can_write_eof():
            self._transport.close()

    def _limit_time(self) -> None:
        if self._timer is None:
            self._timer = self._loop.call_later(CLOSE_TIMEOUT_S, self._transport.abort)

    # What the pings need: see bolide.server.web.websocket.keepalive.

    @property
    def is_reading(self) -> bool:
        """Whether an answer would be seen."""
        return not self._reading_paused

    @property
    def is_writing(self) -> bool:
        """Whether the peer keeps up."""
        return not self._writing_paused

    def send_ping(self, payload: bytes) -> None:
        """Ask for a sign of life."""
        self.write(ping_frame(payload))

    def give_up(self) -> None:
        """Close: no sign of life came."""
        self._fail(CloseCode.INTERNAL_ERROR, "keepalive ping timeout")

    def _stop_pinging(self) -> None:
        if self._keep_alive is not None:
            self._keep_alive.stop()
            self._keep_alive = None
