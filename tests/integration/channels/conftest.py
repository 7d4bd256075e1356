"""Nodes of one cluster: their stores are of one database."""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import pytest

from bolide.server import App, Settings
from bolide.server.clock import Clock, SystemClock, sleep
from bolide.server.redis import link
from bolide.server.stores.base import Store
from bolide.server.stores.mongo import MongoStore
from bolide.server.stores.sqlite import SQLiteStore
from bolide.server.testing import FakeClock, TestNode


class StartNode(Protocol):
    """Starts one more node of the cluster of the test."""

    async def __call__(self, app: App, *, settings: Settings | None = None) -> TestNode: ...


@pytest.fixture
def new_store(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], Store]:
    """Make stores of one database; ``redis`` is SQLite with a Redis beside it."""
    if request.param == "mongodb":
        url = request.getfixturevalue("new_database")()
        return lambda: MongoStore(url)
    return lambda: SQLiteStore(tmp_path / "ward.db")


@pytest.fixture
async def start_node(
    new_store: Callable[[], Store],
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> AsyncIterator[StartNode]:
    """Start nodes; each has a clock of its own. They end with the test."""
    is_redis = request.node.callspec.params["new_store"] == "redis"
    redis = request.getfixturevalue("redis_server").url if is_redis else None

    async def really_sleep(clock: Clock, seconds: float) -> None:
        del clock
        await sleep(SystemClock(), seconds)

    # A machine that is busy may lose Redis for a moment; it is found again in real time.
    monkeypatch.setattr(link, "sleep", really_sleep)
    async with AsyncExitStack() as stack:

        async def start(app: App, *, settings: Settings | None = None) -> TestNode:
            settings = replace(settings or Settings(), redis=redis)
            node = TestNode(app, store=new_store(), clock=FakeClock(1_000), settings=settings)
            return await stack.enter_async_context(node)

        yield start
