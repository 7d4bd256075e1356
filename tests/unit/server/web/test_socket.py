"""One session over one WebSocket whose other end is the test."""

import asyncio
from collections.abc import Callable
from typing import Any

from starlette.types import Message
from starlette.websockets import WebSocket

from bolide.server.testing import FakeClock
from bolide.server.web.framing import RAW, SOCKJS, Framing
from bolide.server.web.socket import CLOSE_TIMEOUT_S, SessionSocket


class Peer:
    """A WebSocket's other end, which may stop reading."""

    def __init__(self) -> None:
        self.inbox = asyncio.Queue[Message]()
        self.begun: list[str] = []
        self.reads = asyncio.Event()
        self.reads.set()

    async def send(self, message: Message) -> None:
        self.begun.append(message["type"])
        await self.reads.wait()

    async def socket(self, framing: Framing, clock: FakeClock) -> SessionSocket:
        self.inbox.put_nowait({"type": "websocket.connect"})
        websocket = WebSocket({"type": "websocket"}, self.inbox.get, self.send)
        await websocket.accept()
        return SessionSocket(websocket, framing, clock, max_waiting_bytes=1_000)


class Receiver:
    """A session that writes down what reaches it."""

    def __init__(self, on_frame: Callable[[str], Any] = lambda _: None) -> None:
        self.frames: list[str] = []
        self.bad_frames = 0
        self.is_disconnected = False
        self._on_frame = on_frame

    def receive_frame(self, frame: str) -> None:
        self.frames.append(frame)
        self._on_frame(frame)

    def receive_bad_frame(self) -> None:
        self.bad_frames += 1

    def disconnected(self) -> None:
        self.is_disconnected = True


async def test_a_peer_that_does_not_read_is_left_soon_after_the_end() -> None:
    peer, receiver, clock = Peer(), Receiver(), FakeClock()
    socket = await peer.socket(RAW, clock)
    running = asyncio.create_task(socket.run(receiver))
    await clock.advance(0)
    peer.reads.clear()
    socket.send(["a"])
    socket.close("The client did not answer a ping")
    await clock.advance(CLOSE_TIMEOUT_S / 2)
    assert peer.begun == ["websocket.accept", "websocket.send"]
    await clock.advance(CLOSE_TIMEOUT_S)
    assert peer.begun == ["websocket.accept", "websocket.send", "websocket.close"]
    peer.inbox.put_nowait({"type": "websocket.disconnect"})
    peer.reads.set()
    await running
    assert receiver.is_disconnected


async def test_messages_of_one_frame_leave_turns_to_others() -> None:
    peer, clock = Peer(), FakeClock()
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    seen: list[int] = []
    receiver = Receiver(lambda _: seen.append(turns))
    socket = await peer.socket(SOCKJS, clock)
    running = asyncio.create_task(socket.run(receiver))
    others = asyncio.create_task(other())
    peer.inbox.put_nowait({"type": "websocket.receive", "text": str(["a"] * 160).replace("'", '"')})
    peer.inbox.put_nowait({"type": "websocket.disconnect"})
    await running
    others.cancel()
    assert len(receiver.frames) == 160
    assert len(set(seen)) == 10


async def test_what_comes_after_the_end_is_not_handled() -> None:
    peer, clock = Peer(), FakeClock()
    socket = await peer.socket(SOCKJS, clock)
    receiver = Receiver(lambda _: socket.close("Enough"))
    peer.inbox.put_nowait({"type": "websocket.receive", "text": '["a","b"]'})
    peer.inbox.put_nowait({"type": "websocket.disconnect"})
    await socket.run(receiver)
    assert receiver.frames == ["a"]
