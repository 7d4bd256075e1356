"""One connection: bounded in time and in size, and never opened anew by itself."""

import asyncio

import pytest
from tests.integration.redis.conftest import STREAM
from tests.redis_server import RedisServer, tell

from bolide.server.redis.address import parse_redis_url
from bolide.server.redis.connection import RedisConnection
from bolide.server.redis.discovery import find_server
from bolide.server.redis.errors import (
    CommandRefused,
    RedisAway,
    RedisFull,
    ReplyTooLarge,
)


async def connected(server: RedisServer, max_reply_bytes: int = 10_000) -> RedisConnection:
    found = await find_server(parse_redis_url(server.url), STREAM)
    return await found.connect(max_reply_bytes=max_reply_bytes)


async def test_commands_go_in_one_go_and_answers_keep_their_order(
    redis_server: RedisServer,
) -> None:
    connection = await connected(redis_server)
    answers = await connection.commands(("INCRBY", "n", 2), ("GET", "n"), ("GET", "no"))
    assert answers == [2, b"2", None]
    await connection.close()


async def test_a_refused_command_leaves_the_connection_as_it_was(
    redis_server: RedisServer,
) -> None:
    connection = await connected(redis_server)
    with pytest.raises(CommandRefused, match=r"refused a command \(ERR\)") as caught:
        await connection.commands(("SET", "a", "x"), ("INCR", "a", "patient"), ("SET", "b", 2))
    assert "patient" not in str(caught.value)
    assert await connection.command("GET", "b") == b"2"
    redis_server.fill()
    with pytest.raises(RedisFull, match="is full: raise its maxmemory"):
        await connection.command("SET", "c", 1)
    assert await connection.command("GET", "b") == b"2"
    await connection.close()


async def test_an_answer_that_is_too_large_is_not_read(redis_server: RedisServer) -> None:
    tell(redis_server, "SET", "large", b"x" * 20_000)
    tell(redis_server, "RPUSH", "many", *range(1_000))
    commands: list[tuple[str | int, ...]] = [("GET", "large"), ("LRANGE", "many", 0, -1)]
    for command in commands:
        connection = await connected(redis_server)
        with pytest.raises(ReplyTooLarge):
            await connection.command(*command)
        # It stands in the middle of an answer.
        with pytest.raises(RedisAway, match="closed the connection"):
            await connection.command("PING")
    connection = await connected(redis_server, max_reply_bytes=100_000)
    assert len(await connection.command("GET", "large")) == 20_000
    await connection.close()


async def test_no_answer_in_time_ends_the_connection(redis_server: RedisServer) -> None:
    connection = await connected(redis_server)
    redis_server.freeze()
    with pytest.raises(RedisAway, match="does not answer"):
        await connection.command("PING", timeout_s=0.05)
    redis_server.thaw()
    with pytest.raises(RedisAway, match="closed the connection"):
        await connection.command("PING")


async def test_a_server_that_is_killed_ends_a_wait(redis_server: RedisServer) -> None:
    connection = await connected(redis_server)
    await connection.command("SUBSCRIBE", "news")
    waiting = asyncio.create_task(connection.next_message())
    tell(redis_server, "PUBLISH", "news", "hello")
    assert await waiting == [b"message", b"news", b"hello"]
    waiting = asyncio.create_task(connection.next_message())
    redis_server.kill()
    with pytest.raises(RedisAway, match="no connection"):
        await waiting
    await connection.close()
    await connection.close()
