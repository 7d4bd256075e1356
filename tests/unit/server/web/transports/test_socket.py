"""The socket of a session, over an ASGI channel that reads when the test says so."""

import asyncio
import json
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from starlette.types import Message
from starlette.websockets import WebSocket

from bolide.server.testing import FakeClock
from bolide.server.web.transports.framing import RAW, SOCKJS, TextFraming
from bolide.server.web.transports.socket import SessionSocket


@dataclass
class Channel:
    """The server's end of an ASGI WebSocket; ``reads`` is how many frames the peer takes."""

    clock: FakeClock = field(default_factory=FakeClock)
    sent: list[Message] = field(default_factory=list[Message])
    incoming: asyncio.Queue[Message] = field(default_factory=asyncio.Queue[Message])
    reads: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(10_000))
    received: list[str] = field(default_factory=list[str])
    bad_frames: int = 0
    flow: list[str] = field(default_factory=list[str])
    has_ended: bool = False
    on_frame: Callable[[], object] = lambda: None

    async def send(self, message: Message) -> None:
        if message["type"] == "websocket.send":
            await self.reads.acquire()
        self.sent.append(message)

    async def receive(self) -> Message:
        return await self.incoming.get()

    def receive_frame(self, frame: str) -> None:
        self.received.append(frame)
        self.on_frame()

    def receive_bad_frame(self) -> None:
        self.bad_frames += 1

    def writing_paused(self) -> None:
        self.flow.append("full")

    def writing_resumed(self) -> None:
        self.flow.append("room")

    def disconnected(self) -> None:
        self.has_ended = True

    def peer_sends(self, **event: Any) -> None:
        self.incoming.put_nowait({"type": "websocket.receive", **event})

    def peer_leaves(self) -> None:
        self.incoming.put_nowait({"type": "websocket.disconnect", "code": 1000})

    @property
    def texts(self) -> list[str]:
        return [message["text"] for message in self.sent if message["type"] == "websocket.send"]

    @property
    def closes(self) -> list[tuple[int, str]]:
        closing = [message for message in self.sent if message["type"] == "websocket.close"]
        return [(message["code"], message["reason"]) for message in closing]


@asynccontextmanager
async def running(
    channel: Channel, texts: TextFraming = RAW
) -> AsyncGenerator[tuple[SessionSocket, asyncio.Task[None]]]:
    channel.incoming.put_nowait({"type": "websocket.connect"})
    websocket = WebSocket({"type": "websocket"}, channel.receive, channel.send)
    await websocket.accept()
    socket = SessionSocket(websocket, texts, channel.clock)
    task = asyncio.create_task(socket.run(channel))
    await channel.clock.advance(0)
    yield socket, task
    channel.peer_leaves()
    await task


async def test_frames_go_both_ways() -> None:
    channel = Channel()
    async with running(channel) as (socket, _):
        socket.send([b"a", b"b"])
        channel.peer_sends(text="c")
        channel.peer_sends(bytes=b"d")
        await channel.clock.advance(0)
        assert (channel.texts, channel.received, channel.bad_frames) == (["a", "b"], ["c"], 1)
    assert channel.has_ended


async def test_sockjs_opens_beats_and_closes() -> None:
    channel = Channel()
    async with running(channel, SOCKJS) as (socket, task):
        await channel.clock.advance(25)
        channel.peer_sends(text="rubbish")
        channel.peer_sends(text='["x","y"]')
        await channel.clock.advance(0)
        socket.close("over")
        socket.close("again")
        socket.send([b"late"])
        await channel.clock.advance(0)
        channel.peer_leaves()
        await task
    assert channel.texts == ["o", "h", 'c[3000,"over"]']
    assert (channel.received, channel.bad_frames) == (["x", "y"], 1)
    assert channel.closes == [(1000, "over")]


async def test_a_socket_says_when_it_is_full_and_when_it_has_room() -> None:
    channel = Channel()
    channel.reads = asyncio.Semaphore(0)
    async with running(channel) as (socket, _):
        socket.send([b"x" * 8_192] * 8)
        assert channel.flow == []
        socket.send([b"x" * 8_192] * 2)
        socket.send([b"x"])
        assert channel.flow == ["full"]
        assert socket.waiting_bytes == 81_921
        for _ in range(7):
            channel.reads.release()
        await channel.clock.advance(0)
        assert channel.flow == ["full"]
        channel.reads.release()
        channel.reads.release()
        await channel.clock.advance(0)
        assert channel.flow == ["full", "room"]
        assert socket.waiting_bytes == 8_193


async def test_a_peer_that_does_not_answer_a_close_is_left() -> None:
    channel = Channel()
    channel.reads = asyncio.Semaphore(0)
    async with running(channel) as (socket, _):
        socket.send([b"x"])
        socket.close("over", at_fault=True)
        await channel.clock.advance(5)
        assert channel.closes == [(1008, "over")]


async def test_messages_of_one_frame_leave_turns_to_others() -> None:
    channel = Channel()
    turns = 0
    seen: set[int] = set()
    channel.on_frame = lambda: seen.add(turns)

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async with running(channel, SOCKJS) as (_, task):
        others = asyncio.create_task(other())
        channel.peer_sends(text=json.dumps(["a"] * 160))
        channel.peer_leaves()
        await task
        others.cancel()
    assert len(channel.received) == 160
    assert len(seen) == 10


async def test_what_comes_after_the_end_is_not_handled() -> None:
    channel = Channel()
    async with running(channel, SOCKJS) as (socket, task):
        channel.on_frame = lambda: socket.close("Enough")
        channel.peer_sends(text='["a","b"]')
        channel.peer_leaves()
        await task
    assert channel.received == ["a"]
