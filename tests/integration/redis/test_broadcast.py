"""The broadcast through Redis: what others put into it, and what is lost, is told apart."""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass

import pytest
import pytest_asyncio
from structlog.testing import capture_logs
from tests.integration.broadcast.support import Hearer
from tests.integration.redis.conftest import Links, until_link, yield_until
from tests.redis_server import RedisCluster, RedisServer, tell

from bolide.core.errors import MethodError
from bolide.server.broadcast import waiting
from bolide.server.broadcast.base import BroadcastFull
from bolide.server.clock import SystemClock
from bolide.server.limits import Limits
from bolide.server.redis import broadcast as module
from bolide.server.redis.broadcast import RedisBroadcast, read_frame, seal_frame
from bolide.server.redis.link import RedisLink

SECRET = b"s" * 32
CHANNEL = "{bolide:hints}:broadcast:x"


@dataclass
class Opened:
    """The broadcast of one node."""

    broadcast: RedisBroadcast
    link: RedisLink
    hearer: Hearer


class OpenBroadcasts:
    """Opens broadcasts, and closes them."""

    def __init__(self, links: Links) -> None:
        self._links = links
        self._opened: list[Opened] = []

    async def __call__(self, url: str, limits: Limits | None = None) -> Opened:
        link = self._links(url)
        broadcast = RedisBroadcast(
            link,
            CHANNEL,
            SECRET,
            clock=SystemClock(),
            limits=limits or Limits(),
            metrics=self._links.metrics,
        )
        opened = Opened(broadcast, link, Hearer(broadcast))
        await link.open()
        await broadcast.open()
        self._opened.append(opened)
        return opened

    async def close(self) -> None:
        for opened in self._opened:
            await opened.broadcast.close()
            await opened.link.close()


@pytest_asyncio.fixture
async def open_broadcast(new_link: Links) -> AsyncGenerator[OpenBroadcasts]:
    opened = OpenBroadcasts(new_link)
    yield opened
    await opened.close()


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_REFUSED_PAUSE_S", 0.01)


async def test_what_others_publish_is_refused_and_told_once(
    open_broadcast: OpenBroadcasts, redis_server: RedisServer, new_link: Links
) -> None:
    one = await open_broadcast(redis_server.url)
    two = await open_broadcast(redis_server.url)
    good = seal_frame(SECRET, "stranger", 1, [("Ada", b"Lovelace")])
    other_body = good[:-1] + b"x"
    no_frame = module._seal(SECRET, b"\xc1") + b"\xc1"  # pyright: ignore[reportPrivateUsage]
    with capture_logs() as logs:
        for frame in (b"", b"Ada", good[16:], other_body, no_frame):
            tell(redis_server, "PUBLISH", CHANNEL, frame)
        one.broadcast.publish("end", b"")
        assert await two.hearer.hears(1) == [("end", b"")]
    assert len(logs) == 2  # each node, once
    assert "Ada" not in str(logs)
    assert b"bolide_redis_messages_refused_total 10.0" in new_link.metrics.exposition()


async def test_nothing_is_heard_twice_and_what_is_missing_is_told(
    open_broadcast: OpenBroadcasts, redis_server: RedisServer
) -> None:
    node = await open_broadcast(redis_server.url)

    def frame(number: int) -> bytes:
        return seal_frame(SECRET, "other", number, [(f"{number}", b"")])

    # As if it were sent again, recorded and repeated, or lost on the way.
    for number in (7, 7, 6, 8, 7, 10):
        tell(redis_server, "PUBLISH", CHANNEL, frame(number))
    assert await node.hearer.hears(3) == [("7", b""), ("8", b""), ("10", b"")]
    assert node.hearer.misses == 1
    assert node.broadcast.statistics.losses == 1
    assert node.broadcast.statistics.received == 3


def test_a_frame_of_another_secret_is_none() -> None:
    frame = seal_frame(SECRET, "other", 1, [("a", b"b")])
    read = read_frame(SECRET, frame)
    assert read is not None
    assert read.messages == [("a", b"b")]
    assert read_frame(b"t" * 32, frame) is None


@pytest.mark.usefixtures("quick")
async def test_a_message_that_is_too_large_for_memory_is_not_read(
    open_broadcast: OpenBroadcasts, redis_server: RedisServer
) -> None:
    one = await open_broadcast(redis_server.url, Limits(max_broadcast_bytes=1_000))
    two = await open_broadcast(redis_server.url, Limits(max_broadcast_bytes=1_000))
    tell(redis_server, "PUBLISH", CHANNEL, b"x" * 1_000_000)
    await two.hearer.until(lambda: two.hearer.misses > 0)
    one.broadcast.publish("after", b"")
    await two.hearer.until(lambda: ("after", b"") in two.hearer.heard)
    assert one.link.state.is_connected


async def test_what_is_published_while_redis_is_away_for_a_moment_comes_later(
    open_broadcast: OpenBroadcasts, redis_server: RedisServer
) -> None:
    one = await open_broadcast(redis_server.url)
    two = await open_broadcast(redis_server.url)
    redis_server.kill()
    for node in (one, two):
        await until_link(node.link, lambda state: not state.is_connected)
    assert one.broadcast.waits_because == "Redis has no connection"
    assert one.broadcast.neighbours is None
    one.broadcast.publish("meanwhile", b"1")
    assert one.hearer.heard == [("meanwhile", b"1")]
    redis_server.run()
    # Who hears first: messages are sent at most once, and whoever missed some is told.
    await two.hearer.until(lambda: two.hearer.misses > 0)
    await until_link(one.link, lambda state: state.is_connected)
    one.broadcast.publish("after", b"2")
    await two.hearer.until(lambda: ("after", b"2") in two.hearer.heard)
    assert one.broadcast.waits_because == ""


async def test_a_message_is_refused_while_redis_is_away_for_long(
    open_broadcast: OpenBroadcasts, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = await open_broadcast(redis_server.url)
    redis_server.kill()
    await until_link(node.link, lambda state: not state.is_connected)
    monkeypatch.setattr(module, "MESSAGE_LIFE_S", 0.0)
    with pytest.raises(MethodError, match="the way to the other nodes is down"):
        node.broadcast.publish("ward/7", b"")
    assert node.hearer.heard == []


async def test_what_waits_is_bounded(
    open_broadcast: OpenBroadcasts, redis_server: RedisServer
) -> None:
    limits = Limits(max_broadcast_queue_bytes=1_000)
    node = await open_broadcast(redis_server.url, limits)
    redis_server.freeze()
    for _ in range(5):
        node.broadcast.publish("ward/7", bytes(100))
    with pytest.raises(BroadcastFull):
        node.broadcast.publish("ward/7", bytes(100))
    redis_server.thaw()


async def test_a_node_opens_without_redis_and_is_told_of_what_it_missed(
    open_broadcast: OpenBroadcasts, redis_server: RedisServer
) -> None:
    redis_server.kill()
    node = await open_broadcast(redis_server.url)
    assert node.broadcast.waits_because == "Redis has no connection"
    redis_server.run()
    await node.hearer.until(lambda: node.hearer.misses == 1)


async def test_the_other_nodes_are_counted(
    open_broadcast: OpenBroadcasts, redis_server: RedisServer
) -> None:
    nodes = [await open_broadcast(redis_server.url) for _ in range(3)]
    nodes[0].broadcast.publish("ward/7", b"")
    for node in nodes[1:]:
        await node.hearer.hears(1)
    # It was told how many heard it before they could answer.
    nodes[1].broadcast.publish("ward/7", b"")
    await nodes[0].hearer.hears(2)
    assert nodes[0].broadcast.neighbours == 2


async def test_a_burst_is_a_few_frames(
    open_broadcast: OpenBroadcasts, redis_server: RedisServer
) -> None:
    one = await open_broadcast(redis_server.url)
    two = await open_broadcast(redis_server.url)
    for number in range(1_000):
        one.broadcast.publish("ward/7", f"{number}".encode())
    await two.hearer.hears(1_000)
    frames = [
        int(line.split(b"calls=")[1].split(b",")[0])
        for line in tell(redis_server, "INFO", "commandstats").splitlines()
        if line.startswith(b"cmdstat_publish:")
    ]
    assert frames[0] <= 3


async def test_a_node_that_stops_hands_on_what_waits(
    open_broadcast: OpenBroadcasts, redis_server: RedisServer
) -> None:
    one = await open_broadcast(redis_server.url)
    two = await open_broadcast(redis_server.url)
    for number in range(100):
        one.broadcast.publish("ward/7", bytes(10_000) + f"{number}".encode())
    await one.broadcast.close()
    await one.link.close()
    await two.hearer.hears(100)


async def test_in_a_cluster_messages_stay_on_one_shard(open_broadcast: OpenBroadcasts) -> None:
    with RedisCluster() as cluster:
        one = await open_broadcast(cluster.url)
        two = await open_broadcast(cluster.url)
        one.broadcast.publish("ward/7", b"")
        assert await two.hearer.hears(1) == [("ward/7", b"")]
        owner = cluster.owner_of(CHANNEL)
        assert tell(owner, "PUBSUB", "SHARDNUMSUB", CHANNEL) == [CHANNEL.encode(), 2]
        # The shard's server does not hold the slot any more: it says so to those who hear.
        cluster.move(CHANNEL)
        state = await until_link(two.link, lambda state: not state.is_connected)
        assert state.because == "holds our keys on another server now"
        await until_link(two.link, lambda state: state.is_connected)
        await asyncio.gather(one.broadcast.close(), two.broadcast.close())
        await one.link.close()
        await two.link.close()


async def test_what_waited_too_long_is_given_up(
    open_broadcast: OpenBroadcasts, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = await open_broadcast(redis_server.url)
    redis_server.freeze()
    node.broadcast.publish("ward/7", b"1")
    await until_link(node.link, lambda state: not state.is_connected)
    node.broadcast.publish("ward/7", b"2")
    monkeypatch.setattr(waiting, "MESSAGE_LIFE_S", 0.0)
    redis_server.thaw()
    await until_link(node.link, lambda state: state.is_connected)
    await node.hearer.until(lambda: node.hearer.misses == 1)
    # Both, that which was under way too.
    await yield_until(lambda: node.broadcast.statistics.expired == 2)
    assert node.broadcast.statistics.sent == 0


async def test_nodes_that_are_gone_are_forgotten(
    open_broadcast: OpenBroadcasts, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_MAX_NODES", 2)
    node = await open_broadcast(redis_server.url)
    for other in ("a", "b", "c", "a"):
        tell(redis_server, "PUBLISH", CHANNEL, seal_frame(SECRET, other, 1, [(other, b"")]))
    # Nobody knows the first one any more.
    assert [topic for topic, _ in await node.hearer.hears(4)] == ["a", "b", "c", "a"]
