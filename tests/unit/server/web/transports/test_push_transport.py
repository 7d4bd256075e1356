"""The transport of a session over a push that the test holds in its hands."""

import json
from collections.abc import Callable

import pytest

from bolide.server.testing import FakeClock
from bolide.server.web.transports.framing import RAW, SOCKJS, TextFraming
from bolide.server.web.transports.push_transport import (
    MAX_BACKLOG,
    MAX_BACKLOG_CHARACTERS,
    MESSAGES_PER_TURN,
    PushTransport,
)
from bolide.server.web.websocket.frames import text_frame
from bolide.server.web.websocket.push import PushReceiver


class Push:
    """A socket that keeps what is written."""

    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.closes: list[tuple[int, str]] = []
        self.buffered = 7
        self.receiver: PushReceiver
        self.write: Callable[[bytes], object] = self.written.append

    def start(self, receiver: PushReceiver) -> None:
        self.receiver = receiver

    def close(self, code: int = 1000, reason: str = "") -> None:
        self.closes.append((code, reason))

    def abort(self) -> None:
        raise AssertionError


class Session:
    """The session's side."""

    def __init__(self) -> None:
        self.events: list[str] = []
        self.on_frame: Callable[[], object] = lambda: None

    def receive_frame(self, frame: str) -> None:
        self.events.append(frame)
        self.on_frame()

    def receive_bad_frame(self) -> None:
        self.events.append("bad")

    def writing_paused(self) -> None:
        self.events.append("full")

    def writing_resumed(self) -> None:
        self.events.append("room")

    def disconnected(self) -> None:
        self.events.append("gone")


class World:
    def __init__(self, texts: TextFraming = RAW) -> None:
        self.push, self.session, self.clock = Push(), Session(), FakeClock()
        self.transport = PushTransport(self.push, texts, self.clock)
        self.transport.start(self.session)


def test_packets_of_one_turn_are_one_write() -> None:
    world = World()
    framing = world.transport.framing
    packets = [framing.packet(b"1"), framing.packet(b"2")]
    world.transport.send(framing.bundle(packets))
    world.transport.send(framing.bundle(packets[:1]))
    assert world.push.written == [text_frame(b"1") + text_frame(b"2"), text_frame(b"1")]
    assert world.transport.waiting_bytes == 7


def test_what_the_socket_says_is_passed_on() -> None:
    world = World()
    receiver = world.push.receiver
    receiver.message_received("a")
    receiver.binary_received()
    receiver.writing_paused()
    receiver.writing_resumed()
    receiver.connection_lost(True)
    assert world.session.events == ["a", "bad", "full", "room", "gone"]


async def test_sockjs_opens_beats_and_closes() -> None:
    world = World(SOCKJS)
    await world.clock.advance(25)
    packet = world.transport.framing.packet(b"x")
    world.transport.send([packet])
    await world.clock.advance(25)
    world.push.receiver.message_received("rubbish")
    world.push.receiver.message_received('["a","b"]')
    world.transport.close("over", at_fault=True)
    world.transport.close("again")
    world.push.receiver.message_received('["late"]')
    world.push.receiver.binary_received()
    await world.clock.advance(100)
    assert world.push.written == [
        text_frame(b"o"),
        text_frame(b"h"),
        packet,
        text_frame(b'c[3000,"over"]'),
    ]
    assert world.push.closes == [(1008, "over")]
    assert world.session.events == ["bad", "a", "b"]


async def test_messages_of_one_frame_leave_turns_to_others() -> None:
    world = World(SOCKJS)
    count = 3 * MESSAGES_PER_TURN
    world.push.receiver.message_received(json.dumps([str(n) for n in range(count)]))
    assert len(world.session.events) == MESSAGES_PER_TURN
    world.push.receiver.message_received('"after"')
    world.push.receiver.binary_received()
    assert len(world.session.events) == MESSAGES_PER_TURN
    await world.clock.advance(0)
    assert world.session.events == [*(str(n) for n in range(count)), "after", "bad"]


async def test_what_comes_after_the_end_is_not_handled() -> None:
    world = World(SOCKJS)
    world.session.on_frame = lambda: world.transport.close("Enough")
    world.push.receiver.message_received('["a","b"]')
    await world.clock.advance(0)
    assert world.session.events == ["a"]


@pytest.mark.parametrize("lost", [False, True])
async def test_what_waits_for_its_turn_ends_with_the_connection(lost: bool) -> None:
    world = World(SOCKJS)
    world.push.receiver.message_received(json.dumps(["a"] * 2 * MESSAGES_PER_TURN))
    if lost:
        world.push.receiver.connection_lost(False)
    else:
        world.transport.close("over")
    await world.clock.advance(0)
    assert world.session.events.count("a") == MESSAGES_PER_TURN


def test_a_peer_that_floods_is_given_up() -> None:
    world = World(SOCKJS)
    world.push.receiver.message_received(json.dumps(["a"] * (MAX_BACKLOG + 1)))
    assert world.push.closes == [(1008, "Too many messages wait to be handled")]


async def test_the_size_of_what_waits_is_limited() -> None:
    world = World(SOCKJS)
    receive = world.push.receiver.message_received
    receive(json.dumps(["a"] * (2 * MESSAGES_PER_TURN)))
    receive(json.dumps("b" * (MAX_BACKLOG_CHARACTERS - MESSAGES_PER_TURN)))
    assert world.push.closes == []
    receive(json.dumps("c"))
    assert world.push.closes == [(1008, "Too many messages wait to be handled")]
