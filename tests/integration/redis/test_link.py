"""The link: it starts without Redis, tells when it goes, and finds it again."""

import asyncio

import pytest
from structlog.testing import capture_logs
from tests.integration.redis.conftest import STREAM, Links, until_link
from tests.redis_server import RedisCluster, RedisSentinel, RedisServer, tell, until

from bolide.core.errors import ConfigurationError
from bolide.server.clock import Clock, sleep
from bolide.server.redis import link as module
from bolide.server.redis.discovery import Server
from bolide.server.redis.errors import RedisAway
from bolide.server.redis.link import LinkState


class Work:
    """A service that tells whom it works with, and fails when it is told to."""

    def __init__(self) -> None:
        self.servers: list[Server] = []
        self.began = asyncio.Event()
        self._failure: asyncio.Future[None] | None = None

    async def serve(self, server: Server) -> None:
        self.servers.append(server)
        self._failure = asyncio.get_running_loop().create_future()
        self.began.set()
        await self._failure

    async def fail(self, error: Exception) -> None:
        await self.began.wait()
        self.began.clear()
        assert self._failure is not None
        self._failure.set_exception(error)


def is_there(state: LinkState) -> bool:
    return state.is_connected


def is_away(state: LinkState) -> bool:
    return not state.is_connected


def port(server: Server | None) -> int:
    assert server is not None
    assert server.host is not None
    return server.host[1]


async def test_a_redis_that_is_killed_is_missed_and_found_again(
    new_link: Links, redis_server: RedisServer
) -> None:
    link, work = new_link(redis_server.url), Work()
    link.add(work)
    with capture_logs() as logs:
        await link.open()
        assert link.state.is_connected
        assert port(link.server) == redis_server.port
        await work.began.wait()
        work.began.clear()
        redis_server.kill()
        state = await until_link(link, is_away)
        assert state.because == "has no connection"
        assert link.server is None
        redis_server.run()
        await until_link(link, is_there)
        await work.began.wait()
    assert len(work.servers) == 2
    events = [line["event"] for line in logs]
    assert events == ["redis is there", "redis is away", "redis is there"]
    exposition = new_link.metrics.exposition()
    assert b"bolide_redis_connected 1.0" in exposition
    assert b"bolide_redis_losses_total 1.0" in exposition


async def test_a_frozen_redis_is_away(new_link: Links, redis_server: RedisServer) -> None:
    link = new_link(redis_server.url)
    await link.open()
    redis_server.freeze()
    state = await until_link(link, is_away)
    assert state.because == "does not answer"
    redis_server.thaw()
    await until_link(link, is_there)


async def test_a_node_starts_without_redis(new_link: Links, redis_server: RedisServer) -> None:
    redis_server.kill()
    link = new_link(redis_server.url)
    with capture_logs() as logs:
        await link.open()
        assert link.state.because == "has no connection"
        redis_server.run()
        await until_link(link, is_there)
    # However often it tried.
    assert [line["event"] for line in logs] == ["redis is away", "redis is there"]


async def test_a_setting_that_cannot_work_is_told_at_once(
    new_link: Links, redis_server: RedisServer
) -> None:
    link = new_link(f"redis://:hunter2@127.0.0.1:{redis_server.port}")
    with pytest.raises(ConfigurationError, match="without a password"):
        await link.open()
    assert link.server is None


async def test_a_password_that_is_changed_later_is_a_reason_to_be_away(
    new_link: Links, redis_server: RedisServer
) -> None:
    link = new_link(redis_server.url)
    await link.open()
    tell(redis_server, "CONFIG", "SET", "requirepass", "hunter2")
    redis_server.password = "hunter2"
    tell(redis_server, "CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    state = await until_link(link, lambda state: "setting redis" in state.because)
    assert "one with a password" in state.because
    tell(redis_server, "CONFIG", "SET", "requirepass", "")
    await until_link(link, is_there)


async def test_a_service_that_fails_begins_afresh(
    new_link: Links, redis_server: RedisServer
) -> None:
    link, work = new_link(redis_server.url), Work()
    link.add(work)
    with capture_logs() as logs:
        await link.open()
        for error, because in (
            (RedisAway("is gone"), "is gone"),
            (ValueError("patient Ada"), "was given up because a service failed; see the log"),
        ):
            await work.fail(error)
            assert (await until_link(link, is_away)).because == because
            await until_link(link, is_there)
    assert "Ada" not in str(logs)
    assert "ValueError" in str(logs)


async def test_eviction_is_warned_of(new_link: Links) -> None:
    with RedisServer("--maxmemory", "50mb", "--maxmemory-policy", "allkeys-lru") as server:
        with capture_logs() as logs:
            await new_link(server.url).open()
        await new_link.close()
    assert ("warning", "allkeys-lru") in [(line["log_level"], line.get("policy")) for line in logs]


async def test_sentinels_tell_of_the_new_primary(new_link: Links) -> None:
    with RedisSentinel() as watched:
        link = new_link(watched.url)
        await link.open()
        watched.primary.kill()
        await until_link(link, is_away)
        await until_link(link, is_there)
        assert port(link.server) == watched.replica.port
        await link.close()


async def test_a_cluster_tells_of_the_new_primary(new_link: Links) -> None:
    with RedisCluster() as cluster:
        link = new_link(cluster.url)
        owner, replica = cluster.owner_of(STREAM), cluster.members[3]
        tell(replica, "CLUSTER", "REPLICATE", tell(owner, "CLUSTER", "MYID"))
        up = b"master_link_status:up"
        until(lambda: up in tell(replica, "INFO", "replication"), "no replica")
        await link.open()
        assert port(link.server) == owner.port
        owner.kill()
        await until_link(link, is_away)
        await until_link(link, is_there)
        assert port(link.server) == replica.port
        await link.close()


async def test_a_primary_that_becomes_a_replica_is_given_up(
    new_link: Links, redis_server: RedisServer
) -> None:
    link = new_link(redis_server.url)
    await link.open()
    with RedisServer() as other:
        tell(redis_server, "REPLICAOF", "127.0.0.1", other.port)
        assert "a read-only replica" in (await until_link(link, is_away)).because


async def test_a_start_waits_for_a_time_only(
    new_link: Links, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    redis_server.freeze()
    monkeypatch.setattr(module, "FIRST_ATTEMPT_S", 0.01)
    link = new_link(redis_server.url)
    await link.open()
    assert link.state.because == "does not answer"
    redis_server.thaw()
    await until_link(link, is_there)


async def test_an_attempt_that_takes_too_long_is_given_up(
    new_link: Links, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    redis_server.freeze()
    monkeypatch.setattr(module, "_ATTEMPT_S", 0.01)
    link = new_link(redis_server.url)
    await link.open()
    assert link.state.because == "does not answer"


async def test_after_a_good_while_it_is_looked_for_at_once(
    new_link: Links, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []

    def shortest(least: float, most: float) -> float:
        del most
        return least

    async def note(clock: Clock, seconds: float) -> None:
        pauses.append(seconds)
        await sleep(clock, 0.0 if seconds < 1 else seconds)

    monkeypatch.setattr("random.uniform", shortest)
    monkeypatch.setattr(module, "sleep", note)
    link, work = new_link(redis_server.url), Work()
    link.add(work)
    await link.open()
    for lasts_s in (5.0, 5.0, 0.0):
        monkeypatch.setattr(module, "LAST_PAUSE_S", lasts_s)
        await work.fail(RedisAway("is gone"))
        await until_link(link, is_away)
        await until_link(link, is_there)
    assert [pause for pause in pauses if pause < 1] == [0.05, 0.1, 0.05]
