"""Carry one session over one ASGI WebSocket."""

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Any, Protocol

from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from bolide.server.clock import Clock, Timer
from bolide.server.web.framing import BadFrame, Framing

__all__ = ["FrameReceiver", "SessionSocket"]

HEARTBEAT_INTERVAL_S = 25.0
"""How often a framing with heartbeats of its own sends one, seconds."""
CLOSE_TIMEOUT_S = 5.0
"""How long a peer may take to answer a close before the socket is cut, seconds."""
HARD_LIMIT_FACTOR = 16
"""A peer for which so many times the limit waits is cut at once, however fast it reads."""
LEAST_PROGRESS = 1 / 16
"""What a slow peer has to take in each time span, as a part of the limit."""
MESSAGES_PER_TURN = 16
"""How many messages of one frame are handled before all other sessions have their turn."""
_REASON_BYTES = 123  # RFC 6455: a control frame holds 125 bytes, two of them the code
_NORMAL, _POLICY = 1000, 1008


class FrameReceiver(Protocol):
    """The session's side of the socket."""

    def receive_frame(self, frame: str) -> None:
        """Take one DDP message."""
        ...

    def receive_bad_frame(self) -> None:
        """Learn of a frame that holds no message."""
        ...

    def disconnected(self, reason: str | None = None) -> None:
        """Learn that the peer is gone; with a reason if it was cut."""
        ...


class SessionSocket:
    """The transport of one session: queues what is to be sent, cuts a peer that does not read.

    While more than the limit waits, the peer is watched: it must take a sixteenth of the limit in
    each time span. So a large first result reaches everybody who reads, and nobody else holds
    memory for long.

    Args:
        websocket: Accepted socket.
        framing: How messages sit in frames.
        clock: For heartbeats of the framing, and to watch a slow peer.
        max_waiting_bytes: Characters that may wait for the peer to read, before it is watched.
        slow_reader_timeout_s: The time span, seconds.
    """

    def __init__(
        self,
        websocket: WebSocket,
        framing: Framing,
        clock: Clock,
        *,
        max_waiting_bytes: int,
        slow_reader_timeout_s: float,
    ) -> None:
        """Take a socket; :meth:`run` moves its frames."""
        self._websocket = websocket
        self._framing = framing
        self._clock = clock
        self._max_waiting = max_waiting_bytes
        self._slow_reader_timeout_s = slow_reader_timeout_s
        self._sent_bytes = 0
        self._watch: Timer | None = None
        self._cut_reason: str | None = None
        self._waiting = deque[str]()
        self._waiting_bytes = 0
        self._wake = asyncio.Event()
        self._close: tuple[int, str] | None = None
        self._given_up = asyncio.Event()
        self._heartbeat: Timer | None = None
        self._closing: Timer | None = None

    def send(self, messages: Sequence[str]) -> None:
        """Queue messages for the peer; after :meth:`close` nothing is queued."""
        if self._close is None and messages:
            self._queue(self._framing.frames(messages))

    def close(self, reason: str, *, at_fault: bool = False) -> None:
        """Close once everything queued was sent.

        Args:
            reason: One line for the peer, without anything secret.
            at_fault: The peer broke a rule (WebSocket code 1008 instead of 1000).
        """
        if self._close is None:
            if closing := self._framing.closing(reason):
                self._queue([closing])
            self._close = (_POLICY if at_fault else _NORMAL, reason)
            self._wake.set()
            # A peer that does not read would let us wait for ever.
            self._closing = self._clock.call_at(
                self._clock.now() + CLOSE_TIMEOUT_S, self._given_up.set
            )

    async def run(self, receiver: FrameReceiver) -> None:
        """Move frames both ways until the socket is closed."""
        if self._framing.opening is not None:
            self._queue([self._framing.opening])
        self._beat()
        receiving = asyncio.create_task(self._receive(receiver))
        tasks: list[asyncio.Task[Any]] = [
            receiving,
            asyncio.create_task(self._send_all()),
            asyncio.create_task(self._given_up.wait()),
        ]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            if not receiving.done():
                await self._say_goodbye(receiving)
        finally:
            for timer in (self._heartbeat, self._closing, self._watch):
                if timer is not None:
                    timer.cancel()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            receiver.disconnected(self._cut_reason)

    def _queue(self, frames: Sequence[str]) -> None:
        self._waiting.extend(frames)
        self._waiting_bytes += sum(map(len, frames))
        self._wake.set()
        if self._waiting_bytes > self._max_waiting * HARD_LIMIT_FACTOR:
            self._cut("More waits for you than a session may hold")
        elif self._waiting_bytes > self._max_waiting and self._watch is None:
            self._begin_watch()

    def _begin_watch(self) -> None:
        """Look again after the time span, whether the peer has read."""
        sent_before = self._sent_bytes

        def judge() -> None:
            self._watch = None
            if self._waiting_bytes <= self._max_waiting:
                return
            if self._sent_bytes - sent_before < self._max_waiting * LEAST_PROGRESS:
                self._cut("You read too slowly")
            else:
                self._begin_watch()

        self._watch = self._clock.call_at(self._clock.now() + self._slow_reader_timeout_s, judge)

    def _cut(self, reason: str) -> None:
        self._cut_reason = reason
        self._close = (_POLICY, reason)
        self._given_up.set()

    def _beat(self) -> None:
        if self._framing.heartbeat is not None:
            if self._heartbeat is not None and not self._waiting:
                self._queue([self._framing.heartbeat])
            self._heartbeat = self._clock.call_at(
                self._clock.now() + HEARTBEAT_INTERVAL_S, self._beat
            )

    async def _receive(self, receiver: FrameReceiver) -> None:
        while True:
            event = await self._websocket.receive()
            if event["type"] == "websocket.disconnect":
                return
            text = event.get("text")
            if text is None:
                receiver.receive_bad_frame()
                continue
            try:
                messages = self._framing.messages(text)
            except BadFrame:
                receiver.receive_bad_frame()
                continue
            for number, message in enumerate(messages, start=1):
                if self._close is None:
                    receiver.receive_frame(message)
                if number % MESSAGES_PER_TURN == 0:
                    await asyncio.sleep(0)

    async def _send_all(self) -> None:
        while self._waiting or self._close is None:
            while self._waiting:
                frame = self._waiting.popleft()
                self._waiting_bytes -= len(frame)
                await self._websocket.send({"type": "websocket.send", "text": frame})
                self._sent_bytes += len(frame)
            if self._close is None:
                self._wake.clear()
                await self._wake.wait()

    async def _say_goodbye(self, receiving: asyncio.Task[None]) -> None:
        """Close from our side; a peer that does not answer is cut by leaving."""
        code, reason = self._close or (_NORMAL, "")
        cut = reason.encode()[:_REASON_BYTES].decode(errors="ignore")
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT_S):
                if self._websocket.application_state is WebSocketState.CONNECTED:
                    await self._websocket.close(code, cut)
                await receiving
        except (TimeoutError, WebSocketDisconnect, RuntimeError):
            return
