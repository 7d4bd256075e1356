"""Rate limits over all nodes: told soon, never waited for, and of nobody by name."""

import asyncio

import pytest
from structlog.testing import capture_logs
from tests.integration.redis.conftest import STREAM, Links, until_link
from tests.redis_server import RedisCluster, RedisServer, tell

from bolide.core.errors import MethodError
from bolide.server.clock import SystemClock
from bolide.server.redis import shared_counts
from bolide.server.redis.link import RedisLink
from bolide.server.redis.shared_counts import SharedCounts
from bolide.server.sessions.ratelimit import RateLimiter, RateLimitRule, Request, Untold

SECRET = b"s" * 32
ADDRESS = "10.11.12.13"
USER = "Ada5Lovelace5Ward"
RULE = RateLimitRule(
    name="login",
    user_id=lambda _: True,
    client_address=lambda _: True,
    num_requests=3,
    interval_s=3600,
)


class Limiter(RateLimiter):
    """One that tells when it learned something, and when it is alone."""

    def __init__(self, *rules: RateLimitRule) -> None:
        super().__init__(rules or [RULE], SystemClock().now())
        self.learned: asyncio.Queue[int] = asyncio.Queue()
        self.alone = asyncio.Event()
        self.together = asyncio.Event()

    def learn(self, told: Untold, total: int) -> None:
        super().learn(told, total)
        self.learned.put_nowait(total)

    def share(self, offset_s: float, now: float, wake: object) -> None:
        super().share(offset_s, now, wake)  # type: ignore[arg-type]
        self.together.set()

    def count_alone(self) -> None:
        super().count_alone()
        self.together.clear()
        self.alone.set()

    def ask(self, address: str = ADDRESS) -> bool:
        request = Request(
            type="method", name="login", user_id=USER, client_address=address, connection_id="c"
        )
        try:
            self.check(request, SystemClock().now())
        except MethodError:
            return False
        return True


async def opened(
    links: Links, url: str, *rules: RateLimitRule
) -> tuple[Limiter, SharedCounts, RedisLink]:
    limiter = Limiter(*rules)
    counts = SharedCounts(limiter, SECRET, f"{{{STREAM}}}:", SystemClock(), links.metrics)
    link = links(url)
    link.add(counts)
    await link.open()
    async with asyncio.timeout(10):
        await limiter.together.wait()
    return limiter, counts, link


async def learned(limiter: Limiter) -> int:
    async with asyncio.timeout(10):
        return await limiter.learned.get()


async def test_nodes_count_together(new_link: Links, redis_server: RedisServer) -> None:
    one, counts, _ = await opened(new_link, redis_server.url)
    two, _, _ = await opened(new_link, redis_server.url)
    assert counts.waits_because == ""
    for limiter, total in ((one, 1), (two, 2), (one, 3)):
        assert limiter.ask()
        assert await learned(limiter) == total
    assert not one.ask()
    # The other node has not heard of the last one, and passes one more.
    assert two.ask()
    assert await learned(two) == 4
    assert not two.ask()
    assert b"bolide_rate_limits_shared 1.0" in new_link.metrics.exposition()


async def test_in_a_cluster_too(new_link: Links) -> None:
    with RedisCluster() as cluster:
        one, _, first = await opened(new_link, cluster.url)
        two, _, second = await opened(new_link, cluster.url)
        for limiter, total in ((one, 1), (two, 2)):
            assert limiter.ask()
            assert await learned(limiter) == total
        await first.close()
        await second.close()


async def test_redis_learns_of_nobody(new_link: Links, redis_server: RedisServer) -> None:
    limiter, _, _ = await opened(new_link, redis_server.url)
    limiter.ask()
    await learned(limiter)
    (key,) = tell(redis_server, "KEYS", "*")
    assert key.startswith(b"{bolide:hints}:count:")
    assert len(key) == len("{bolide:hints}:count:") + 24
    for named in (USER, ADDRESS, "login"):
        assert named.encode() not in key
    assert tell(redis_server, "GET", key) == b"1"
    # It goes by itself.
    assert 3600 < tell(redis_server, "TTL", key) <= 3610


async def test_other_secrets_are_other_counters(
    new_link: Links, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, _, _ = await opened(new_link, redis_server.url)
    monkeypatch.setitem(globals(), "SECRET", b"t" * 32)
    two, _, _ = await opened(new_link, redis_server.url)
    for limiter in (one, two):
        limiter.ask()
        assert await learned(limiter) == 1


async def test_a_full_redis_lets_each_node_count_alone(
    new_link: Links, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared_counts, "_FULL_PAUSE_S", 0.01)
    limiter, counts, link = await opened(new_link, redis_server.url)
    redis_server.fill()
    with capture_logs() as logs:
        limiter.alone.clear()
        assert limiter.ask()
        async with asyncio.timeout(10):
            await limiter.alone.wait()
        assert counts.waits_because == "redis is full"
        assert link.state.is_connected
        assert [limiter.ask(), limiter.ask(), limiter.ask()] == [True, True, False]
        redis_server.empty()
        # What was let through meanwhile is told.
        assert await learned(limiter) == 3
    assert counts.waits_because == ""
    assert [line["event"] for line in logs] == [
        "redis is full: rate limits count for each node alone",
        "rate limits count over all nodes",
    ]


async def test_without_redis_each_node_counts_alone_and_tells_later(
    new_link: Links, redis_server: RedisServer
) -> None:
    limiter, counts, link = await opened(new_link, redis_server.url)
    assert limiter.ask()
    assert await learned(limiter) == 1
    limiter.alone.clear()
    redis_server.freeze()
    assert limiter.ask()  # at once
    async with asyncio.timeout(10):
        await limiter.alone.wait()
    await until_link(link, lambda state: not state.is_connected)
    assert counts.waits_because == "redis is away"
    assert b"bolide_rate_limits_shared 0.0" in new_link.metrics.exposition()
    assert [limiter.ask(), limiter.ask()] == [True, False]
    redis_server.kill()
    redis_server.run()
    # The new one has forgotten; what was told to nobody for certain is told to it.
    assert await learned(limiter) == 2
    assert not limiter.ask()


async def test_many_counters_travel_in_several_rounds(
    new_link: Links, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared_counts, "MAX_TOLD", 2)
    limiter, _, _ = await opened(new_link, redis_server.url)
    for number in range(5):
        assert limiter.ask(f"10.0.0.{number}")
    assert [await learned(limiter) for _ in range(5)] == [1] * 5
    assert tell(redis_server, "DBSIZE") == 5


async def test_a_burst_is_one_round_trip(new_link: Links, redis_server: RedisServer) -> None:
    rule = RateLimitRule(client_address=lambda _: True, num_requests=10_000, interval_s=3600)
    limiter, _, _ = await opened(new_link, redis_server.url, rule)

    def evals() -> int:
        for line in tell(redis_server, "INFO", "commandstats").splitlines():
            if line.startswith(b"cmdstat_eval:"):
                return int(line.split(b"=")[1].split(b",")[0])
        return 0

    before = evals()
    for _ in range(1_000):
        assert limiter.ask()
    assert await learned(limiter) == 1_000
    assert evals() == before + 1


async def test_a_time_passes_without_requests(
    new_link: Links, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared_counts, "_IDLE_S", 0.01)
    limiter, _, _ = await opened(new_link, redis_server.url)
    limiter.together.clear()
    async with asyncio.timeout(10):  # the clocks are compared now and then
        await limiter.together.wait()
