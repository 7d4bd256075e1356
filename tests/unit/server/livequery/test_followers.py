"""Followers: in step, on their own, and the way between."""

from collections.abc import Sequence

from bolide.server.livequery.followers import Follower, Followers
from bolide.server.sessions.events import Subscription
from bolide.server.sessions.transport import PLAIN, Wire
from bolide.server.sessions.view.source import FollowedView, Gate, Source
from bolide.server.sessions.view.view_change import ViewChange


class World:
    """Followers, and what they were told."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, list[bytes]]] = []
        self.told: list[tuple[str, int]] = []
        self.failed: list[str] = []
        self.counted: list[int] = []
        self.followers = Followers(self.counted.append)

    def source(self, name: str) -> Source:
        def publish(source: Source, changes: Sequence[ViewChange] | None) -> None:
            self.told.append((name, len(changes or ())))

        subscription = Subscription(name, "p")
        return Source(subscription, "c", publish, lambda error: self.failed.append(name))

    def gate(self, name: str, *, bolide: bool = False, is_open: bool = True) -> Gate:
        gate = Gate(Wire(PLAIN, bolide), lambda packets: self.sent.append((name, list(packets))))
        gate.is_open = is_open
        return gate

    def in_step(self, name: str, *, bolide: bool = False, is_open: bool = True) -> Source:
        source = self.source(name)
        self.followers.add(source)
        self.followers.step_in(source, self.gate(name, bolide=bolide, is_open=is_open))
        return source


CHANGES = [ViewChange.added("c", "a", {"x": 1}), ViewChange.removed("c", "b", {})]
PACKETS = [
    b'{"msg":"added","collection":"c","id":"a","fields":{"x":1}}',
    b'{"msg":"removed","collection":"c","id":"b"}',
]


def test_those_in_step_share_the_packets_of_a_turn() -> None:
    world = World()
    world.in_step("1")
    world.in_step("2")
    world.in_step("3", bolide=True)
    world.followers.tell(CHANGES)
    assert world.sent == [("1", PACKETS), ("2", PACKETS), ("3", PACKETS)]
    assert world.sent[0][1][0] is world.sent[1][1][0]
    assert world.told == []
    assert sum(world.counted) == 6
    assert len(world.followers) == world.followers.in_step_count == 3


def test_a_shut_gate_is_gone_round() -> None:
    world = World()
    world.in_step("1", is_open=False)
    world.followers.tell(CHANGES)
    assert (world.sent, world.told) == ([], [("1", 2)])


def test_those_whose_gate_is_shut_are_told_first() -> None:
    world = World()
    world.followers.add(world.source("1"))
    world.in_step("2", is_open=False)
    world.followers.tell(CHANGES)
    assert world.told == [("2", 2), ("1", 2)]


def test_those_on_their_own_are_told() -> None:
    world = World()
    source = world.source("1")
    world.followers.add(source)
    world.followers.tell(CHANGES)
    world.followers.discard(source)
    world.followers.discard(source)
    world.followers.tell(CHANGES)
    assert (world.told, len(world.followers)) == ([("1", 2)], 0)


def test_a_follower_steps_in_and_out() -> None:
    world = World()
    first, second = world.in_step("1"), world.in_step("2")
    world.followers.step_out(first)
    world.followers.step_out(first)
    world.followers.tell(CHANGES)
    assert [name for name, _ in world.sent] == ["2"]
    assert world.told == [("1", 2)]
    world.followers.discard(second)
    world.followers.step_in(second, world.gate("2"))
    world.followers.step_in(first, world.gate("1"))
    world.followers.tell(CHANGES)
    assert [name for name, _ in world.sent] == ["2", "1"]
    assert world.followers.in_step_count == 1


def test_what_cannot_be_sent_is_left_to_each_follower() -> None:
    world = World()
    world.in_step("1")
    world.followers.tell([ViewChange.added("c", "a", {"x": "\ud800"})])
    assert (world.sent, world.told) == ([], [("1", 1)])


def test_a_failure_reaches_everybody_once() -> None:
    world = World()
    world.in_step("1")
    other: Follower = world.source("2")
    world.followers.add(other)
    world.followers.fail(RuntimeError("over"))
    world.followers.fail(RuntimeError("over"))
    assert world.failed == ["2", "1"]
    assert len(world.followers) == 0


def test_a_source_gives_its_view_on() -> None:
    world = World()
    source = world.source("1")
    view: FollowedView = None  # type: ignore[assignment]  # never looked into
    source.view_joined(view)
    assert world.told == [("1", 0)]


def test_one_that_fails_ends_alone() -> None:
    world = World()

    def fail(source: Source, changes: Sequence[ViewChange] | None) -> None:
        raise RuntimeError

    failing = Source(Subscription("1", "p"), "c", fail, lambda error: world.failed.append("1"))
    world.followers.add(failing)
    world.followers.add(world.source("2"))
    for _ in range(2):
        world.followers.tell(CHANGES)
    assert (world.failed, world.told) == (["1"], [("2", 2), ("2", 2)])
