"""Carry one session over one ASGI WebSocket."""

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Any, Protocol

from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from bolide.server.clock import Clock, Timer
from bolide.server.web.transports.framing import TEXTS, BadFrame, TextFraming

__all__ = ["FrameReceiver", "SessionSocket"]

HEARTBEAT_INTERVAL_S = 25.0
"""How often a framing with heartbeats of its own sends one, seconds."""
CLOSE_TIMEOUT_S = 5.0
"""How long a peer may take to answer a close before the socket is cut, seconds."""
HIGH_WATER_BYTES = 65_536
"""While more waits for the peer, the session is told that the socket is full."""
LOW_WATER_BYTES = 16_384
"""When no more than this waits, the session is told that there is room again."""
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

    def writing_paused(self) -> None:
        """Learn that the socket is full."""
        ...

    def writing_resumed(self) -> None:
        """Learn that the socket has room again."""
        ...

    def disconnected(self) -> None:
        """Learn that the peer is gone."""
        ...


class SessionSocket:
    """The transport of one session over ASGI's messages: queues what the peer has not taken.

    Args:
        websocket: Accepted socket.
        texts: How messages sit in frames.
        clock: For heartbeats of the framing, and to leave a peer that does not answer a close.

    Attributes:
        framing: Makes the packets that it sends.
        waiting_bytes: What was not given to the ASGI server yet, bytes.
    """

    def __init__(self, websocket: WebSocket, texts: TextFraming, clock: Clock) -> None:
        """Take a socket; :meth:`run` moves its frames."""
        self.framing = TEXTS[texts]
        self.waiting_bytes = 0
        self._websocket = websocket
        self._texts = texts
        self._clock = clock
        self._receiver: FrameReceiver | None = None
        self._is_full = False
        self._waiting = deque[bytes]()
        self._wake = asyncio.Event()
        self._close: tuple[int, str] | None = None
        self._given_up = asyncio.Event()
        self._heartbeat: Timer | None = None
        self._closing: Timer | None = None

    def send(self, packets: Sequence[bytes]) -> None:
        """Queue packets for the peer; after :meth:`close` nothing is queued."""
        if self._close is None:
            self._queue(packets)

    def close(self, reason: str, *, at_fault: bool = False) -> None:
        """Close once everything queued was sent.

        Args:
            reason: One line for the peer, without anything secret.
            at_fault: The peer broke a rule (WebSocket code 1008 instead of 1000).
        """
        if self._close is None:
            if closing := self._texts.closing(reason):
                self._queue([closing])
            self._close = (_POLICY if at_fault else _NORMAL, reason)
            self._wake.set()
            # A peer that does not read would let us wait for ever.
            self._closing = self._clock.call_at(
                self._clock.now() + CLOSE_TIMEOUT_S, self._given_up.set
            )

    async def run(self, receiver: FrameReceiver) -> None:
        """Move frames both ways until the socket is closed."""
        self._receiver = receiver
        if self._texts.opening is not None:
            self._queue([self._texts.opening])
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
            for timer in (self._heartbeat, self._closing):
                if timer is not None:
                    timer.cancel()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            receiver.disconnected()

    def _queue(self, packets: Sequence[bytes]) -> None:
        self._waiting.extend(packets)
        self.waiting_bytes += sum(map(len, packets))
        self._wake.set()
        if self.waiting_bytes > HIGH_WATER_BYTES and not self._is_full and self._receiver:
            self._is_full = True
            self._receiver.writing_paused()

    def _beat(self) -> None:
        if self._texts.heartbeat is not None:
            if self._heartbeat is not None and not self._waiting:
                self._queue([self._texts.heartbeat])
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
                messages = self._texts.messages(text)
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
                packet = self._waiting.popleft()
                await self._websocket.send({"type": "websocket.send", "text": packet.decode()})
                self.waiting_bytes -= len(packet)
                if self._is_full and self.waiting_bytes <= LOW_WATER_BYTES and self._receiver:
                    self._is_full = False
                    self._receiver.writing_resumed()
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
