"""What every broadcast promises."""

import asyncio

import pytest
from tests.integration.broadcast.support import ALL, BETWEEN_NODES, Hearer, OpenBroadcast

from bolide.core.errors import StateError
from bolide.server.broadcast.base import MAX_TOPIC_BYTES
from bolide.server.limits import Limits


@ALL
async def test_the_own_listeners_are_told_before_publish_returns(
    open_broadcast: OpenBroadcast,
) -> None:
    node = await open_broadcast()
    first, second = Hearer(node), Hearer(node)
    node.publish("typing/7", b"\x00\xff")
    assert first.heard == second.heard == [("typing/7", b"\x00\xff")]


@BETWEEN_NODES
async def test_every_other_node_is_told_once_and_in_order(open_broadcast: OpenBroadcast) -> None:
    nodes = [await open_broadcast() for _ in range(3)]
    hearers = [Hearer(node) for node in nodes]
    sent = [("ward/7", f"{number}".encode()) for number in range(300)]
    for topic, payload in sent:
        nodes[0].publish(topic, payload)
    for hearer in hearers[1:]:
        assert await hearer.hears(300) == sent
    # Its own come directly; what the others publish later comes after they would come again.
    nodes[1].publish("end", b"")
    assert (await hearers[0].hears(301)) == [*sent, ("end", b"")]
    assert await hearers[2].hears(301) == [*sent, ("end", b"")]


@BETWEEN_NODES
async def test_whoever_has_joined_hears_everything_from_then_on(
    open_broadcast: OpenBroadcast,
) -> None:
    first = await open_broadcast()
    first.publish("early", b"")
    second = await open_broadcast()
    hearer = Hearer(second)
    first.publish("late", b"")
    assert await hearer.hears(1) == [("late", b"")]


@BETWEEN_NODES
async def test_nodes_that_join_at_once_hear_each_other(open_broadcast: OpenBroadcast) -> None:
    nodes = await asyncio.gather(*(open_broadcast() for _ in range(4)))
    hearers = [Hearer(node) for node in nodes]
    for number, node in enumerate(nodes):
        node.publish(str(number), b"")
    for hearer in hearers:
        assert sorted(await hearer.hears(4)) == [(str(number), b"") for number in range(4)]


@BETWEEN_NODES
async def test_a_node_that_left_hears_nothing_and_the_others_go_on(
    open_broadcast: OpenBroadcast,
) -> None:
    first, second, third = [await open_broadcast() for _ in range(3)]
    left, stays = Hearer(second), Hearer(third)
    second.publish("farewell", b"")
    await second.close()
    assert await stays.hears(1) == [("farewell", b"")]
    first.publish("after", b"")
    assert await stays.hears(2) == [("farewell", b""), ("after", b"")]
    assert left.heard == [("farewell", b"")]
    with pytest.raises(StateError):
        second.publish("again", b"")


@ALL
async def test_what_is_too_large_is_told_to_nobody(open_broadcast: OpenBroadcast) -> None:
    node = await open_broadcast(limits=Limits(max_broadcast_bytes=100))
    hearer = Hearer(node)
    with pytest.raises(ValueError, match=r"101 bytes.*max_broadcast_bytes"):
        node.publish("ward/7", bytes(101))
    with pytest.raises(ValueError, match=r"topic has 514 bytes"):
        node.publish("ä" * (MAX_TOPIC_BYTES // 2 + 1), b"")
    node.publish("ä" * (MAX_TOPIC_BYTES // 2), bytes(100))
    assert len(hearer.heard) == node.statistics.published == 1


@ALL
async def test_a_listener_that_was_taken_off_hears_nothing(open_broadcast: OpenBroadcast) -> None:
    node = await open_broadcast()
    hearer = Hearer(node)
    node.unlisten(hearer)
    node.unlisten(hearer)
    node.publish("ward/7", b"")
    assert hearer.heard == []


@ALL
async def test_before_it_is_open_nothing_can_be_published(open_broadcast: OpenBroadcast) -> None:
    node = await open_broadcast()
    await node.close()
    await node.close()
    with pytest.raises(StateError):
        node.publish("ward/7", b"")


@BETWEEN_NODES
async def test_it_counts_and_says_that_all_is_well(open_broadcast: OpenBroadcast) -> None:
    first, second = await open_broadcast(), await open_broadcast()
    hearer = Hearer(second)
    first.publish("ward/7", b"")
    second.publish("ward/7", b"")
    await hearer.until(lambda: second.statistics.received == 1)
    assert first.waits_because == second.waits_because == ""
    assert second.statistics.published == 1
    assert first.neighbours in (1, None)
