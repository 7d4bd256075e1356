"""What is told of changed permissions from node to node, and again where it was given up."""

from collections.abc import Iterator

import msgspec
import pytest

from bolide.server.access.changes import LOOK_EVERY_S, TOPIC, WATCHED_S, AccessChanges
from bolide.server.broadcast.base import BroadcastFull
from bolide.server.broadcast.direct import DirectBroadcast
from bolide.server.limits import Limits
from bolide.server.testing import FakeClock


class Line(DirectBroadcast):
    """A broadcast with room for messages, or without.

    Attributes:
        told: What was published, as the others would get it.
    """

    def __init__(self) -> None:
        super().__init__(Limits())
        self.is_full = False
        self.told: list[bytes] = []

    def publish(self, topic: str, payload: bytes) -> None:
        if self.is_full:
            raise BroadcastFull
        super().publish(topic, payload)
        self.told.append(payload)

    def users(self) -> list[str | None]:
        """Return whom the messages were about, and forget them."""
        told, self.told = self.told, []
        return [msgspec.msgpack.decode(one, type=tuple[str, str | None])[1] for one in told]


class Node:
    """One end of the line, and whom it asked for."""

    def __init__(self, line: Line, clock: FakeClock) -> None:
        self.asked: list[str | None] = []
        self.changes = AccessChanges(line, self.asked.append, clock)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(1_000)


@pytest.fixture
async def line() -> Line:
    line = Line()
    await line.open()
    return line


@pytest.fixture
def nodes(line: Line, clock: FakeClock) -> Iterator[list[Node]]:
    nodes = [Node(line, clock) for _ in range(2)]
    yield nodes
    for node in nodes:
        node.changes.close()


def test_the_others_ask_again_for_the_same_person(nodes: list[Node]) -> None:
    nodes[0].changes.tell("ann")
    nodes[0].changes.tell(None)
    assert nodes[0].asked == []  # it did before
    assert nodes[1].asked == ["ann", None]


def test_messages_of_others_are_left_alone(nodes: list[Node], line: Line) -> None:
    line.publish("typing/7", b"")
    assert nodes[0].asked == []


def test_a_message_that_nobody_understands_may_be_about_anybody(
    nodes: list[Node], line: Line
) -> None:
    line.publish(TOPIC, b"\xc1")
    assert nodes[0].asked == [None]


def test_who_missed_messages_asks_for_everybody(nodes: list[Node]) -> None:
    nodes[0].changes.messages_missed()
    assert nodes[0].asked == [None]


async def test_what_had_no_room_is_told_later_for_everybody(
    nodes: list[Node], line: Line, clock: FakeClock
) -> None:
    line.is_full = True
    nodes[0].changes.tell("ann")
    nodes[0].changes.tell("ben")
    await clock.advance(2 * LOOK_EVERY_S)
    line.is_full = False
    assert nodes[1].asked == []
    await clock.advance(LOOK_EVERY_S)
    assert nodes[1].asked == [None]
    await clock.advance(WATCHED_S + LOOK_EVERY_S)
    assert line.users() == [None]


async def test_what_was_given_up_is_told_again(
    nodes: list[Node], line: Line, clock: FakeClock
) -> None:
    line.statistics.expired = 3  # of somebody else, before
    nodes[0].changes.tell("ann")
    await clock.advance(WATCHED_S - LOOK_EVERY_S)
    assert line.users() == ["ann"]
    line.statistics.expired += 1
    await clock.advance(LOOK_EVERY_S)
    assert line.users() == [None]


async def test_after_a_while_nobody_looks_any_more_unless_messages_wait(
    nodes: list[Node], line: Line, clock: FakeClock
) -> None:
    nodes[0].changes.tell("ann")
    line.waits_because = "the database is away"
    await clock.advance(10 * WATCHED_S)
    line.statistics.expired += 1
    await clock.advance(LOOK_EVERY_S)
    assert line.users() == ["ann", None]
    line.waits_because = ""
    await clock.advance(WATCHED_S + LOOK_EVERY_S)
    line.statistics.expired += 1
    await clock.advance(WATCHED_S)
    assert line.users() == []


async def test_nothing_is_told_or_taken_after_the_end(
    nodes: list[Node], line: Line, clock: FakeClock
) -> None:
    line.is_full = True
    nodes[0].changes.tell("ann")
    line.is_full = False
    for node in nodes:
        node.changes.close()
    await clock.advance(LOOK_EVERY_S)
    line.publish(TOPIC, b"")
    assert line.told == [b""]
    assert nodes[1].asked == []
