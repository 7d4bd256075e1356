"""Carry one session over a socket that takes frames at once, without ASGI's messages."""

import asyncio
from collections import deque
from collections.abc import Sequence

from bolide.server.clock import Clock, Timer
from bolide.server.web.transports.framing import FRAMES, RAW, BadFrame, TextFraming
from bolide.server.web.transports.socket import (
    HEARTBEAT_INTERVAL_S,
    MESSAGES_PER_TURN,
    FrameReceiver,
)
from bolide.server.web.websocket.frames import text_frame
from bolide.server.web.websocket.push import PushSocket

__all__ = ["MAX_BACKLOG", "MAX_BACKLOG_CHARACTERS", "MESSAGES_PER_TURN", "PushTransport"]

MAX_BACKLOG = 20_000
"""Most messages of one peer that may wait for their turn."""
MAX_BACKLOG_CHARACTERS = 8_388_608
"""Size of these messages together, at most."""
_NORMAL, _POLICY = 1000, 1008
_BAD = (None,)


class PushTransport:
    """The transport of one session over a push; it is the push's receiver.

    Args:
        push: Accepted socket.
        texts: How messages sit in frames.
        clock: For heartbeats of the framing.

    Attributes:
        framing: Makes the packets that it sends.
    """

    __slots__ = (
        "_backlog",
        "_backlog_size",
        "_clock",
        "_heartbeat",
        "_is_closed",
        "_push",
        "_receiver",
        "_texts",
        "_was_busy",
        "framing",
    )

    def __init__(self, push: PushSocket, texts: TextFraming, clock: Clock) -> None:
        """Take a socket; :meth:`start` lets messages in."""
        self.framing = FRAMES[texts]
        self._push = push
        self._texts = texts
        self._clock = clock
        self._receiver: FrameReceiver
        self._heartbeat: Timer | None = None
        # None while it is empty, because an empty deque holds 700 bytes.
        self._backlog: deque[str | None] | None = None
        self._backlog_size = 0
        self._is_closed = False
        self._was_busy = True

    def start(self, receiver: FrameReceiver) -> None:
        """Give the peer's messages to a receiver from now on."""
        self._receiver = receiver
        if self._texts.opening is not None:
            self._write_text(self._texts.opening)
        self._beat()
        self._push.start(self)

    # The session's side

    @property
    def waiting_bytes(self) -> int:
        """What the peer has not taken yet, bytes."""
        return self._push.buffered

    def send(self, packets: Sequence[bytes]) -> None:
        """Write packets; after :meth:`close` nothing."""
        self._was_busy = True
        write = self._push.write
        for packet in packets:
            write(packet)

    def close(self, reason: str, *, at_fault: bool = False) -> None:
        """Close after everything that was written.

        Args:
            reason: One line for the peer, without anything secret.
            at_fault: The peer broke a rule (WebSocket code 1008 instead of 1000).
        """
        if not self._is_closed:
            self._is_closed = True
            self._stop_beating()
            if closing := self._texts.closing(reason):
                self._write_text(closing)
            self._push.close(_POLICY if at_fault else _NORMAL, reason)

    # The push's side

    def message_received(self, text: str) -> None:
        """Take one text message, which may hold many of the session's."""
        if self._is_closed:
            return
        if self._texts is RAW and self._backlog is None:
            self._receiver.receive_frame(text)
            return
        try:
            messages = self._texts.messages(text)
        except BadFrame:
            self._take(_BAD)
        else:
            self._take(messages)

    def binary_received(self) -> None:
        """Learn of a binary message."""
        if not self._is_closed:
            self._take(_BAD)

    def writing_paused(self) -> None:
        """Learn that the peer does not keep up."""
        self._receiver.writing_paused()

    def writing_resumed(self) -> None:
        """Learn that most of what waited was sent."""
        self._receiver.writing_resumed()

    def connection_lost(self, clean: bool) -> None:
        """Learn that nothing more comes or goes."""
        del clean
        self._is_closed = True
        self._stop_beating()
        self._receiver.disconnected()

    # Inside

    def _take(self, messages: Sequence[str | None]) -> None:
        """Handle messages after those that wait; None stands for a bad frame."""
        backlog = self._backlog
        if backlog is None and len(messages) <= MESSAGES_PER_TURN:
            self._handle(messages)
            return
        if backlog is None:
            backlog = deque(messages)
        else:
            backlog.extend(messages)
        self._backlog_size += _size(messages)
        if len(backlog) > MAX_BACKLOG or self._backlog_size > MAX_BACKLOG_CHARACTERS:
            self._backlog = None
            self.close("Too many messages wait to be handled", at_fault=True)
        elif self._backlog is None:
            self._backlog = backlog
            self._handle_some()

    def _handle_some(self) -> None:
        """Handle what fits into one turn of the event loop, so that others have theirs."""
        backlog = self._backlog
        if backlog is None:  # the session was closed meanwhile
            return
        count = min(MESSAGES_PER_TURN, len(backlog))
        messages = [backlog.popleft() for _ in range(count)]
        self._backlog_size -= _size(messages)
        self._handle(messages)
        if self._is_closed or not backlog:
            self._backlog = None
        else:
            asyncio.get_running_loop().call_soon(self._handle_some)

    def _handle(self, messages: Sequence[str | None]) -> None:
        for message in messages:
            if self._is_closed:
                return
            if message is None:
                self._receiver.receive_bad_frame()
            else:
                self._receiver.receive_frame(message)

    def _write_text(self, text: bytes) -> None:
        # A text of the framing itself, which carries no message.
        self._push.write(text_frame(text))

    def _beat(self) -> None:
        """Send the framing's heartbeat when nothing else was sent for a while."""
        if self._texts.heartbeat is None:
            return
        if not self._was_busy:
            self._write_text(self._texts.heartbeat)
        self._was_busy = False
        due = self._clock.now() + HEARTBEAT_INTERVAL_S
        self._heartbeat = self._clock.call_at(due, self._beat)

    def _stop_beating(self) -> None:
        if self._heartbeat is not None:
            self._heartbeat.cancel()
            self._heartbeat = None


def _size(messages: Sequence[str | None]) -> int:
    """Count the characters of messages."""
    return sum(len(message) for message in messages if message is not None)
