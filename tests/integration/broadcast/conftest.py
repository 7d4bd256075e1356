"""One suite for all broadcasts: each test runs with every way between nodes."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from tests.integration.broadcast.support import OpenBroadcast

from bolide.server.broadcast.base import Broadcast
from bolide.server.broadcast.direct import DirectBroadcast
from bolide.server.broadcast.store import MESSAGES, StoreBroadcast
from bolide.server.clock import Clock, SystemClock
from bolide.server.limits import Limits
from bolide.server.redis.address import parse_redis_url
from bolide.server.redis.broadcast import RedisBroadcast
from bolide.server.redis.link import RedisLink
from bolide.server.stores.base import Store
from bolide.server.stores.memory import MemoryStore
from bolide.server.stores.mongo import MongoStore
from bolide.server.stores.sqlite import SQLiteStore
from bolide.server.telemetry.metrics import Metrics


@pytest.fixture
def new_store(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], Store]:
    """Make stores of one database; those in memory are one store."""
    if kind == "mongodb":
        url = request.getfixturevalue("new_database")()
        return lambda: MongoStore(url)
    if kind == "sqlite":
        return lambda: SQLiteStore(tmp_path / "ward.db")
    memory = MemoryStore()
    return lambda: memory


@pytest.fixture
def kind(request: pytest.FixtureRequest) -> str:
    """How the nodes of a test reach each other."""
    kind: str = request.param
    return kind


@pytest.fixture
async def open_broadcast(kind: str, request: pytest.FixtureRequest) -> AsyncIterator[OpenBroadcast]:
    """Let one more node join the cluster of the test; all leave at its end."""
    opened: list[Broadcast] = []
    stores: list[Store] = []
    links: list[RedisLink] = []
    metrics = Metrics()
    # Begun before and ended after those who use it.
    redis_url = request.getfixturevalue("redis_server").url if kind == "redis" else ""
    has_store = kind not in ("direct", "redis")
    new_store: Callable[[], Store] = (
        request.getfixturevalue("new_store") if has_store else MemoryStore
    )

    async def open_another(
        *, clock: Clock | None = None, limits: Limits | None = None
    ) -> Broadcast:
        clock, limits = clock or SystemClock(), limits or Limits()
        broadcast: Broadcast
        if kind == "direct":
            broadcast = DirectBroadcast(limits)
        elif kind == "redis":
            link = RedisLink(parse_redis_url(redis_url), "bolide:hints", clock, metrics)
            broadcast = RedisBroadcast(
                link, "channel", b"secret", clock=clock, limits=limits, metrics=metrics
            )
            links.append(link)
            await link.open()
        else:
            store = new_store()
            store.declare({MESSAGES})
            if store not in stores:
                await store.open()
                stores.append(store)
            broadcast = StoreBroadcast(store, clock, limits)
        await broadcast.open()
        opened.append(broadcast)
        return broadcast

    yield open_another
    for broadcast in opened:
        await broadcast.close()
    for link in links:
        await link.close()
    for store in stores:
        await store.close()
