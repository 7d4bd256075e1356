"""Presence over nodes whose messages are lost: in the end every node knows who is where."""

import random
from collections.abc import Sequence

import pytest

from bolide.server.access.decisions import Decisions
from bolide.server.broadcast.base import BroadcastFull, BroadcastListener, BroadcastStatistics
from bolide.server.channels.payload import Payload
from bolide.server.limits import Limits
from bolide.server.presence.hub import PresenceHub
from bolide.server.presence.member import Place
from bolide.server.presence.stays import SESSION
from bolide.server.testing import FakeClock
from bolide.server.turn import Turn

LEASE_S = 30.0
PLACES: Sequence[Place] = (("online", "7"), ("online", "8"))


class Network:
    """What lies between the nodes of a test.

    Attributes:
        ways: Those of the nodes that are there.
        loses: Share of the messages that one node does not get.
    """

    def __init__(self, source: random.Random) -> None:
        self.ways: list[Way] = []
        self.loses = 0.0
        self._source = source

    def tell(self, sender: "Way", topic: str, payload: bytes) -> None:
        for way in tuple(self.ways):
            if way is sender or self._source.random() >= self.loses:
                way.receive(topic, payload)


class Way:
    """The broadcast of one node.

    Attributes:
        is_full: It refuses messages.
        waits_because: What it says of itself.
    """

    path = "test"
    neighbours = None

    def __init__(self, network: Network) -> None:
        self.statistics = BroadcastStatistics()
        self.waits_because = ""
        self.is_full = False
        self.sent: list[bytes] = []
        self._network = network
        self._listeners: list[BroadcastListener] = []
        network.ways.append(self)

    async def open(self) -> None: ...

    async def close(self) -> None: ...

    def listen(self, listener: BroadcastListener) -> None:
        self._listeners.append(listener)

    def unlisten(self, listener: BroadcastListener) -> None:
        self._listeners.remove(listener)

    def publish(self, topic: str, payload: bytes) -> None:
        if self.is_full:
            raise BroadcastFull
        self.sent.append(payload)
        self._network.tell(self, topic, payload)

    def receive(self, topic: str, payload: bytes) -> None:
        for listener in self._listeners:
            listener.message_received(topic, payload)

    def miss(self) -> None:
        for listener in self._listeners:
            listener.messages_missed()


class Node:
    """A node with its own sessions.

    Attributes:
        own: Who is where, by what the test did.
    """

    def __init__(self, network: Network, clock: FakeClock, limits: Limits | None = None) -> None:
        self.way = Way(network)
        self.hub = PresenceHub(self.way, Turn(), clock, limits or Limits(), LEASE_S)
        self.hub.add("online", Payload("info", int, "a test"))
        self.hub.start()
        self.own: dict[tuple[Place, str], int] = {}
        self._network = network

    def enter(self, place: Place, session: str, info: int) -> None:
        self.own[place, session] = info
        self.hub.enter(place, session, session, info, SESSION, Decisions())

    def leave(self, place: Place, session: str) -> None:
        self.own.pop((place, session), None)
        self.hub.leave(place, session)

    def kill(self) -> None:
        self._network.ways.remove(self.way)
        self.way.is_full = True
        self.own.clear()

    def seen(self) -> dict[tuple[Place, str | None], int]:
        return {
            (place, member.user_id): member.info
            for place in PLACES
            for member in self.hub.members(place)
        }


def everybody(nodes: Sequence[Node]) -> dict[tuple[Place, str], int]:
    whole: dict[tuple[Place, str], int] = {}
    for node in nodes:
        whole |= node.own
    return whole


def agree(nodes: Sequence[Node]) -> bool:
    return all(node.seen() == everybody(nodes) for node in nodes)


@pytest.mark.parametrize("seed", range(30))
async def test_every_node_knows_everybody_once_messages_come_again(seed: int) -> None:
    source, clock = random.Random(seed), FakeClock()
    network = Network(source)
    limits = Limits(max_broadcast_bytes=400, max_channel_topic_rate=10_000)
    nodes = [Node(network, clock, limits) for _ in range(3)]
    for step in range(120):
        network.loses = source.choice([0.0, 0.3, 1.0])
        node = source.choice(nodes)
        number = nodes.index(node)
        session = f"{number}.{source.randrange(6)}"
        match source.randrange(12):
            case 0:
                await clock.advance(source.choice([0.1, LEASE_S / 3, LEASE_S]))
            case 1 if len(nodes) < 5:
                nodes.append(Node(network, clock, limits))
            case 2:
                node.way.miss()
            case 3:
                node.way.is_full = not node.way.is_full
            case 4 | 5 | 6:
                node.leave(source.choice(PLACES), session)
            case _:
                node.enter(source.choice(PLACES), session, step)
    network.loses = 0.0
    for node in nodes:
        node.way.is_full = False
    await clock.advance(LEASE_S + 2)
    assert agree(nodes)
    nodes.pop(0).kill()
    await clock.advance(LEASE_S)
    assert agree(nodes)


async def test_without_loss_everybody_is_known_at_the_end_of_the_turn() -> None:
    clock, network = FakeClock(), Network(random.Random(0))
    nodes = [Node(network, clock) for _ in range(3)]
    for number, node in enumerate(nodes):
        node.enter(PLACES[0], f"{number}", number)
    await clock.advance(0)
    assert agree(nodes)
    nodes[1].leave(PLACES[0], "1")
    await clock.advance(0)
    assert agree(nodes)
    late = Node(network, clock)
    await clock.advance(1)
    assert agree([*nodes, late])
    assert nodes[0].hub.peer_count == 1
    assert late.hub.member_count == 2


async def test_many_changes_of_one_turn_are_one_message_and_silence_costs_a_beat() -> None:
    clock, network = FakeClock(), Network(random.Random(0))
    node, other = Node(network, clock), Node(network, clock)
    node.way.sent.clear()
    for number in range(50):
        node.enter(PLACES[0], f"{number}", number)
    await clock.advance(0)
    assert len(node.way.sent) == 1
    await clock.advance(3 * LEASE_S)
    assert len(node.way.sent) == 1 + 9
    assert len(other.way.sent) == 1  # its question at the start; it has nobody
    assert agree([node, other])


async def test_nobody_is_given_up_while_nothing_can_come() -> None:
    clock, network = FakeClock(), Network(random.Random(0))
    node, other = Node(network, clock), Node(network, clock)
    node.enter(PLACES[0], "a", 1)
    await clock.advance(0)
    network.loses = 1.0
    other.way.waits_because = "no primary"
    await clock.advance(10 * LEASE_S)
    assert agree([node, other])
    other.way.waits_because = ""
    await clock.advance(LEASE_S)
    assert other.seen() == {}


async def test_a_node_that_stops_takes_its_members_along() -> None:
    clock, network = FakeClock(), Network(random.Random(0))
    node, other = Node(network, clock), Node(network, clock)
    node.enter(PLACES[0], "a", 1)
    await clock.advance(0)
    node.hub.close()
    assert other.seen() == {}
    node.way.publish("presence", b"")  # it hears nothing any more, not even its own
