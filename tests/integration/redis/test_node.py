"""A node with a Redis: what it shares, and that it never depends on it."""

import asyncio
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from tests.integration.redis.conftest import until_link
from tests.redis_server import RedisServer, tell

from bolide.core.ddp.messages import Added
from bolide.core.errors import ConfigurationError, MethodError
from bolide.server import App, Context
from bolide.server.clock import SystemClock
from bolide.server.redis import broadcast
from bolide.server.redis.state import RedisState
from bolide.server.sessions.ratelimit import RateLimiter, RateLimitRule, Untold
from bolide.server.settings import Settings
from bolide.server.stores.base import Store
from bolide.server.stores.memory import MemoryStore
from bolide.server.stores.sqlite import SQLiteStore
from bolide.server.telemetry.overview import take_overview
from bolide.server.testing import TestClient, TestNode


def make_app(*rules: RateLimitRule) -> App:
    app = App()
    app.collection("patients")
    app.rate_limits += rules

    @app.method("login", public=True)
    async def login(ctx: Context) -> str:
        return "welcome"

    return app


def make_node(url: str, *rules: RateLimitRule, store: Store | None = None) -> TestNode:
    node = TestNode(make_app(*rules), store=store, settings=Settings(redis=url))
    node.node.clock = SystemClock()
    return node


async def state_of(node: TestNode) -> RedisState:
    state = (await take_overview(node.node)).redis
    assert state is not None
    return state


async def until(server: RedisServer, holds: Callable[[], bool]) -> None:
    """Wait, a round trip at a time: nodes tell each other at their own pace."""
    async with asyncio.timeout(10):
        while not holds():
            await asyncio.to_thread(tell, server, "PING")


def counts_together(node: TestNode) -> bool:
    assert node.node.redis is not None
    return node.node.redis.state.counts_alone_because == ""


async def is_welcome(client: TestClient) -> bool:
    try:
        return bool(await client.call("login") == "welcome")
    except MethodError:
        return False


async def test_two_nodes_share_their_rate_limits(
    redis_server: RedisServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    learned: asyncio.Queue[int] = asyncio.Queue()
    learn = RateLimiter.learn

    def learn_and_tell(limiter: RateLimiter, told: Untold, total: int) -> None:
        learn(limiter, told, total)
        learned.put_nowait(total)

    monkeypatch.setattr(RateLimiter, "learn", learn_and_tell)
    rule = RateLimitRule(
        name="login", client_address=lambda _: True, num_requests=5, interval_s=3600
    )
    stores = [SQLiteStore(tmp_path / "ward.db") for _ in range(2)]
    nodes = [make_node(redis_server.url, rule, store=store) for store in stores]
    async with nodes[0], nodes[1]:
        clients = [await node.connect() for node in nodes]
        for node in nodes:
            await until(redis_server, lambda node=node: counts_together(node))  # type: ignore[misc]
        assert [await is_welcome(clients[0]) for _ in range(6)] == [True] * 5 + [False]
        while await learned.get() < 5:
            pass
        # The other node has not heard of it yet; then it has.
        assert await is_welcome(clients[1])
        assert await learned.get() == 6
        assert not await is_welcome(clients[1])
        (key,) = tell(redis_server, "KEYS", "*")
        assert b"127.0.0.1" not in key


async def test_a_node_tells_how_it_gets_on_with_redis(redis_server: RedisServer) -> None:
    async with make_node(redis_server.url) as node:
        # Its reader waits for entries.
        waits = partial(tell, redis_server, "INFO", "clients")
        await until(redis_server, lambda: b"blocked_clients:1" in waits())
        tell(redis_server, "XADD", "bolide:hints", "*", "collection", "patients", "id", "1")
        tell(redis_server, "XADD", "bolide:hints", "*", "collection", "visitors", "id", "1")
        redis = node.node.redis
        assert redis is not None
        await until(redis_server, lambda: redis.state.hints_refused > 0)
        state = await state_of(node)
        assert state.is_connected
        assert (state.hints_taken, state.hints_refused, state.hints_skipped) == (1, 1, 0)
        assert state.version[0].isdigit()
        assert state.counts_alone_because == "no rule counts over several nodes"
        redis_server.kill()
        await until_link(redis.link, lambda state: not state.is_connected)
        state = await state_of(node)
        assert (state.is_connected, state.version) == (False, "")
        assert state.because == "has no connection"
        assert await node.node.check_ready()


async def test_a_node_starts_and_works_without_its_redis(redis_server: RedisServer) -> None:
    redis_server.kill()
    rule = RateLimitRule(name="login", num_requests=2, interval_s=3600)
    async with make_node(redis_server.url, rule) as node:
        client = await node.connect()
        assert await client.call("login") == "welcome"
        assert (await state_of(node)).counts_alone_because == "redis is away"
        redis_server.run()
        await until(redis_server, lambda: counts_together(node))
        assert await client.call("login") == "welcome"
        with pytest.raises(MethodError, match="too many requests"):
            await client.call("login")


async def test_a_setting_that_cannot_work_stops_the_start(redis_server: RedisServer) -> None:
    for url, says in (
        ("redis://cache.example:hunter2", "ports from 1 to 65535"),
        (f"redis://:hunter2@127.0.0.1:{redis_server.port}", "without a password"),
    ):
        store = MemoryStore()
        with pytest.raises(ConfigurationError, match=says) as caught:
            async with make_node(url, store=store):
                pass
        assert "hunter2" not in str(caught.value)


async def test_without_the_setting_there_is_no_redis() -> None:
    async with TestNode(make_app()) as node:
        assert node.node.redis is None
        assert (await take_overview(node.node)).redis is None


async def test_channels_go_through_redis(redis_server: RedisServer, tmp_path: Path) -> None:
    def make_app_with_channel() -> App:
        app = make_app()
        typing = app.channel("typing", int)

        @app.method("type", public=True)
        async def type_(ctx: Context, bed: int) -> None:
            await typing.send("7", bed)

        @app.publish("typing", public=True)
        async def listen(ctx: Context) -> object:
            return typing.listen("7")

        return app

    nodes: list[TestNode] = []
    for _ in range(2):
        store = SQLiteStore(tmp_path / "ward.db")
        settings = Settings(redis=redis_server.url)
        node = TestNode(make_app_with_channel(), store=store, settings=settings)
        node.node.clock = SystemClock()
        nodes.append(node)
    async with nodes[0], nodes[1]:
        assert {node.node.broadcast.path for node in nodes if node.node.broadcast} == {"redis"}
        clients = [await node.connect() for node in nodes]
        for client in clients:
            await client.subscribe("typing")
        await clients[0].call("type", 3)
        for client in clients:
            assert (await client.received(Added)).fields["message"] == 3
        redis = nodes[0].node.redis
        assert redis is not None
        redis_server.kill()
        await until_link(redis.link, lambda state: not state.is_connected)
        # Those on the same node hear it still.
        await clients[0].call("type", 4)
        assert (await clients[0].received(Added)).fields["message"] == 4


def documented_user() -> list[str]:
    """Return the words of the command that the page for operators shows."""
    page = (Path(__file__).parents[3] / "docs" / "topics" / "redis.md").read_text()
    _, _, rest = page.partition("    ACL SETUSER ward ")
    command, _, _ = rest.partition("\n\n")
    return command.replace("\\\n", " ").split()


async def test_the_documented_user_may_do_all_that_a_node_does(
    redis_server: RedisServer, tmp_path: Path
) -> None:
    tell(redis_server, "ACL", "SETUSER", "ward", *documented_user())
    rule = RateLimitRule(name="login", num_requests=2, interval_s=3600)
    app = make_app(rule)
    app.channel("typing", int)
    url = f"redis://ward:password@127.0.0.1:{redis_server.port}"
    store = SQLiteStore(tmp_path / "ward.db")
    node = TestNode(app, store=store, settings=Settings(redis=url))
    node.node.clock = SystemClock()
    async with node:
        client = await node.connect()
        assert await client.call("login") == "welcome"
        await until(redis_server, lambda: counts_together(node))
        redis, broadcast = node.node.redis, node.node.broadcast
        assert redis is not None
        assert broadcast is not None
        tell(redis_server, "XADD", "bolide:hints", "*", "collection", "patients", "id", "1")
        await until(redis_server, lambda: redis.state.hints_taken == 1)
        broadcast.publish("typing", b"")
        await until(redis_server, lambda: broadcast.statistics.sent == 1)
        assert redis.state.is_connected


async def test_presence_mends_itself_after_redis_was_away(
    redis_server: RedisServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def make_app_with_presence() -> App:
        app = make_app()
        online = app.presence("online", str)

        @app.method("enter", public=True)
        async def enter(ctx: Context, name: str) -> None:
            await online.enter(ctx, "7", name)

        @app.publish("here", public=True)
        async def here(ctx: Context) -> object:
            return online.here("7")

        return app

    nodes: list[TestNode] = []
    for _ in range(2):
        store = SQLiteStore(tmp_path / "ward.db")
        settings = Settings(redis=redis_server.url)
        node = TestNode(make_app_with_presence(), store=store, settings=settings)
        node.node.clock = SystemClock()
        nodes.append(node)
    async with nodes[0], nodes[1]:
        ann, ben = [await node.connect() for node in nodes]
        await ben.subscribe("here")
        redis_server.kill()
        for node in nodes:
            assert node.node.redis is not None
            await until_link(node.node.redis.link, lambda state: not state.is_connected)
        # As if it were away for long: nothing waits for the other node any more.
        monkeypatch.setattr(broadcast, "MESSAGE_LIFE_S", 0.0)
        await ann.call("enter", "ann")
        await ann.call("login")
        assert ben.documents("online") == []
        monkeypatch.undo()
        redis_server.run()
        await ben.wait_for(lambda: [one["info"] for one in ben.documents("online")] == ["ann"])
        state = nodes[0].node.broadcast_state
        assert state is not None
        assert (state.path, state.waits_because) == ("redis", "")
