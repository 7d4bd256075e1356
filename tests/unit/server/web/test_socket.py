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
from bolide.server.web.framing import RAW, SOCKJS, Framing
from bolide.server.web.socket import SessionSocket

LIMIT = 1_600


@dataclass
class Channel:
    """The server's end of an ASGI WebSocket; ``reads`` is how many frames the peer takes."""

    clock: FakeClock = field(default_factory=FakeClock)
    sent: list[Message] = field(default_factory=list[Message])
    incoming: asyncio.Queue[Message] = field(default_factory=asyncio.Queue[Message])
    reads: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(10_000))
    received: list[str] = field(default_factory=list[str])
    bad_frames: int = 0
    ended_with: list[str | None] = field(default_factory=list[str | None])
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

    def disconnected(self, reason: str | None = None) -> None:
        self.ended_with.append(reason)

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
    channel: Channel, framing: Framing = RAW
) -> AsyncGenerator[tuple[SessionSocket, asyncio.Task[None]]]:
    channel.incoming.put_nowait({"type": "websocket.connect"})
    websocket = WebSocket({"type": "websocket"}, channel.receive, channel.send)
    await websocket.accept()
    socket = SessionSocket(
        websocket,
        framing,
        channel.clock,
        max_waiting_bytes=LIMIT,
        slow_reader_timeout_s=10,
    )
    task = asyncio.create_task(socket.run(channel))
    await channel.clock.advance(0)
    yield socket, task
    channel.peer_leaves()
    await task


async def test_frames_go_both_ways() -> None:
    channel = Channel()
    async with running(channel) as (socket, _):
        socket.send(["a", "b"])
        channel.peer_sends(text="c")
        channel.peer_sends(bytes=b"d")
        await channel.clock.advance(0)
        assert (channel.texts, channel.received, channel.bad_frames) == (["a", "b"], ["c"], 1)
    assert channel.ended_with == [None]


async def test_sockjs_opens_beats_and_closes() -> None:
    channel = Channel()
    async with running(channel, SOCKJS) as (socket, task):
        await channel.clock.advance(25)
        channel.peer_sends(text="rubbish")
        channel.peer_sends(text='["x","y"]')
        await channel.clock.advance(0)
        socket.close("over")
        socket.close("again")
        socket.send(["late"])
        await channel.clock.advance(0)
        channel.peer_leaves()
        await task
    assert channel.texts == ["o", "h", 'c[3000,"over"]']
    assert (channel.received, channel.bad_frames) == (["x", "y"], 1)
    assert channel.closes == [(1000, "over")]


async def test_a_large_result_reaches_a_peer_that_reads() -> None:
    channel = Channel()
    channel.reads = asyncio.Semaphore(0)
    async with running(channel) as (socket, task):
        socket.send(["x" * 100 for _ in range(100)])
        for _ in range(5):
            channel.reads.release()  # a little more than a sixteenth of the limit in each span
            channel.reads.release()
            await channel.clock.advance(0)
            await channel.clock.advance(10)
        assert not task.done()
        for _ in range(200):
            channel.reads.release()
        await channel.clock.advance(0)
        await channel.clock.advance(100)
        assert len(channel.texts) == 100
    assert channel.ended_with == [None]


async def test_a_peer_that_does_not_read_is_cut_with_a_reason() -> None:
    channel = Channel()
    channel.reads = asyncio.Semaphore(0)
    async with running(channel) as (socket, _):
        socket.send(["x" * 100 for _ in range(20)])
        await channel.clock.advance(9)
        assert channel.closes == []
        await channel.clock.advance(1)
        assert channel.closes == [(1008, "You read too slowly")]
    assert channel.ended_with == ["You read too slowly"]


async def test_nobody_makes_a_session_hold_more_than_sixteen_times_the_limit() -> None:
    channel = Channel()
    channel.reads = asyncio.Semaphore(0)
    async with running(channel) as (socket, _):
        socket.send(["x" * 100 for _ in range(400)])
        await channel.clock.advance(0)
        assert channel.closes == [(1008, "More waits for you than a session may hold")]


async def test_a_peer_that_does_not_answer_a_close_is_left() -> None:
    channel = Channel()
    channel.reads = asyncio.Semaphore(0)
    async with running(channel) as (socket, _):
        socket.send(["x"])
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
