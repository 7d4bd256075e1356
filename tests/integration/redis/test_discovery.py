"""Which Redis is used, and what an operator hears of one that cannot be: one line each."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from tests.certificates import Authority
from tests.integration.redis.conftest import STREAM
from tests.redis_server import RedisCluster, RedisSentinel, RedisServer, SentinelServer, tell

from bolide.core.errors import ConfigurationError
from bolide.server.redis import discovery
from bolide.server.redis.address import parse_redis_url
from bolide.server.redis.discovery import Server, find_server
from bolide.server.redis.errors import RedisAway


async def found(url: str) -> Server:
    return await find_server(parse_redis_url(url), STREAM)


async def refusal(url: str) -> str:
    with pytest.raises(ConfigurationError) as caught:
        await found(url)
    assert "hunter2" not in str(caught.value)
    return str(caught.value)


async def away(url: str) -> str:
    with pytest.raises(RedisAway) as caught:
        await found(url)
    return str(caught.value)


async def test_a_server_is_found_by_its_address_and_by_its_socket(
    redis_server: RedisServer,
) -> None:
    server = await found(redis_server.url)
    assert server.host == ("127.0.0.1", redis_server.port)
    assert not server.has_shards
    assert not server.evicts
    assert server.version == (await found(f"unix://{redis_server.socket}")).version
    connection = await server.connect()
    assert await connection.command("PING") == b"PONG"
    await connection.close()


async def test_a_database_is_chosen(redis_server: RedisServer) -> None:
    connection = await (await found(f"{redis_server.url}/3")).connect()
    await connection.command("SET", "key", "value")
    await connection.close()
    assert b"db3:keys=1" in tell(redis_server, "INFO", "keyspace")
    assert "refused a command" in await away(f"{redis_server.url}/99")


async def test_passwords_are_told_from_one_another() -> None:
    with RedisServer(password="hunter2") as server:
        assert (await found(server.url)).host == ("127.0.0.1", server.port)
        place = f"127.0.0.1:{server.port}"
        assert "one with a password" in await refusal(f"redis://{place}")
        assert "a user and a password that Redis knows" in await refusal(f"redis://:x@{place}")
    with RedisServer() as server:
        text = await refusal(f"redis://:hunter2@127.0.0.1:{server.port}")
        assert "one without a password" in text


async def test_a_user_who_may_not_ask_is_told_where_the_commands_are_listed(
    redis_server: RedisServer,
) -> None:
    tell(redis_server, "ACL", "SETUSER", "app", "on", ">hunter2", "~*", "+ping", "+select")
    text = await refusal(f"redis://app:hunter2@127.0.0.1:{redis_server.port}")
    assert "docs/topics/redis.md" in text


async def test_tls_is_checked(tmp_path: Path) -> None:
    folders = [tmp_path / name for name in ("ours", "theirs")]
    for folder in folders:
        folder.mkdir()
    ours, theirs = map(Authority, folders)
    files, known, unknown = ours.issue(), str(ours.file()), str(theirs.file())
    with RedisServer(password="hunter2", tls=(files.cert, files.key, known)) as server:
        assert (await found(server.url)).host == ("127.0.0.1", server.port)
        assert "certificate is good" in await refusal(server.url.replace(known, unknown))
        assert "PEM file that this user may read" in await refusal(f"{server.url}.not")
        assert "wants TLS (rediss://)" in await away(f"redis://:hunter2@127.0.0.1:{server.port}")


async def test_a_replica_is_no_place_for_counters(redis_server: RedisServer) -> None:
    with RedisServer("--replicaof", "127.0.0.1", str(redis_server.port)) as replica:
        assert "a read-only replica: give the URL of its primary" in await away(replica.url)


async def test_sentinels_know_the_primary() -> None:
    with RedisSentinel(password="hunter2") as watched:
        assert (await found(watched.url)).host == ("127.0.0.1", watched.primary.port)
        assert "name of a service" in await refusal(f"{watched.url}s")
        sentinel = watched.sentinels[0]
        assert "this is a Sentinel" in await refusal(f"redis://127.0.0.1:{sentinel.port}")
        sentinel.kill()
        assert (await found(watched.url)).host == ("127.0.0.1", watched.primary.port)
        url = f"redis+sentinel://127.0.0.1:{watched.primary.port}/ward?sentinel_password=hunter2"
        assert "it is no Sentinel" in await refusal(url)
        for other in watched.sentinels[1:]:
            other.kill()
        assert "no Sentinel that answers" in await away(watched.url)


async def test_a_cluster_knows_who_holds_our_keys(redis_server: RedisServer) -> None:
    with RedisCluster() as cluster:
        server = await found(cluster.url)
        assert server.host == ("127.0.0.1", cluster.owner_of(STREAM).port)
        assert server.has_shards
        assert "this is a cluster" in await refusal(cluster.members[0].url)
        # Whoever answers first is asked.
        cluster.members[0].kill()
        assert (await found(cluster.url)).host == server.host
    url = f"redis+cluster://127.0.0.1:{redis_server.port}"
    assert "it is in no cluster" in await refusal(url)
    assert "no member of the cluster" in await away(cluster.url)


@asynccontextmanager
async def answering(answer: bytes) -> AsyncGenerator[str]:
    """Answer everything with one text; gives the URL."""

    serving: set[asyncio.Task[None] | None] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        serving.add(asyncio.current_task())
        while await reader.read(4096):
            writer.write(answer)
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        await asyncio.gather(*filter(None, serving))


async def test_what_is_no_redis_is_told_apart() -> None:
    async with answering(b"HTTP/1.1 400 Bad Request\r\n\r\n") as url:
        assert "does not speak Redis" in await refusal(url)
        assert "speaks TLS" in await refusal(url.replace("redis://", "rediss://"))
    async with answering(b"+OK\r\n") as url:
        assert "what answers there is something else" in await refusal(url)


async def test_an_old_redis_is_refused(
    redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(discovery, "OLDEST_VERSION", (99, 0))
    assert "a Redis 99.0 or newer; this one is older" in await refusal(redis_server.url)


async def test_nobody_there_and_nobody_who_answers(redis_server: RedisServer) -> None:
    redis_server.freeze()
    assert "does not answer" in await away(redis_server.url)
    redis_server.thaw()
    redis_server.kill()
    assert "no connection" in await away(redis_server.url)
    assert "no connection" in await away(f"unix://{redis_server.socket}")


async def test_a_redis_that_loads_its_data_is_away() -> None:
    async with answering(b"-LOADING Redis is loading the dataset in memory\r\n") as url:
        assert "still loading" in await away(url)


async def test_a_redis_that_may_evict_says_so() -> None:
    with RedisServer("--maxmemory", "50mb", "--maxmemory-policy", "allkeys-lru") as server:
        assert (await found(server.url)).evicts == "allkeys-lru"


async def test_the_passwords_of_sentinels_are_told_from_the_servers(
    redis_server: RedisServer,
) -> None:
    with SentinelServer(password="hunter2") as sentinel:
        tell(sentinel, "SENTINEL", "MONITOR", "ward", "127.0.0.1", redis_server.port, 1)
        url = f"redis+sentinel://127.0.0.1:{sentinel.port}/ward"
        assert "sentinel_username= and sentinel_password=" in await refusal(url)
        found_server = await found(f"{url}?sentinel_password=hunter2")
        assert found_server.host == ("127.0.0.1", redis_server.port)
        wrong = f"redis+sentinel://:wrong@127.0.0.1:{sentinel.port}/ward?sentinel_password=hunter2"
        text = await refusal(wrong)
        assert "one without a password" in text
        assert "sentinel" not in text


async def test_another_machine_that_a_sentinel_names_needs_tls_too() -> None:
    with SentinelServer() as sentinel:
        tell(sentinel, "SENTINEL", "MONITOR", "ward", "10.0.0.1", 6379, 1)
        text = await refusal(f"redis+sentinel://127.0.0.1:{sentinel.port}/ward")
        assert "rediss+sentinel:// (TLS), because Redis is on another machine" in text
