"""Redis is killed and frozen under load: nothing that does not need it notices."""

import asyncio
import time
from pathlib import Path

from tests.redis_server import RedisServer

from bolide.server import App, Context, Cursor, Settings
from bolide.server.clock import SystemClock
from bolide.server.sessions.ratelimit import RateLimitRule
from bolide.server.stores.sqlite import SQLiteStore
from bolide.server.testing import TestClient, TestNode

SLOWEST_CALL_S = 1.5
"""Redis gives up an answer after 2 s, so a call that waited for it would take longer."""


def make_node(url: str, store: SQLiteStore) -> TestNode:
    app = App()
    notes = app.collection("notes")
    news = app.channel("news", int)
    app.rate_limits.append(
        RateLimitRule(client_address=lambda _: True, num_requests=10**6, interval_s=3600)
    )

    @app.method("add", public=True)
    async def add(ctx: Context, number: int) -> None:
        await notes.insert_one({"_id": str(number)})

    @app.method("tell", public=True)
    async def tell(ctx: Context, number: int) -> None:
        await news.send("all", number)

    @app.publish("notes", public=True)
    async def all_notes(ctx: Context) -> Cursor:
        return notes.find({})

    @app.publish("news", public=True)
    async def all_news(ctx: Context) -> object:
        return news.listen("all")

    node = TestNode(app, store=store, settings=Settings(redis=url))
    node.node.clock = SystemClock()
    return node


class Writer:
    """Calls a method without a pause.

    Attributes:
        count: Calls that succeeded.
        slowest_s: The longest time that one took, seconds.
    """

    def __init__(self, client: TestClient, first: int) -> None:
        self.count = 0
        self.slowest_s = 0.0
        self._client = client
        self._first = first
        self._news = asyncio.Event()

    async def write(self) -> None:
        while True:
            began = time.perf_counter()
            await self._client.call("add", self._first + self.count)
            self.slowest_s = max(self.slowest_s, time.perf_counter() - began)
            self.count += 1
            self._news.set()

    async def more(self, count: int) -> None:
        """Wait for so many more."""
        wanted = self.count + count
        async with asyncio.timeout(30):
            while self.count < wanted:
                self._news.clear()
                await self._news.wait()


async def until_there(node: TestNode, *, is_there: bool) -> None:
    redis = node.node.redis
    assert redis is not None
    changed = asyncio.Event()
    redis.link.watch(changed.set)
    async with asyncio.timeout(30):
        while redis.link.state.is_connected is not is_there:
            changed.clear()
            await changed.wait()
    redis.link.unwatch(changed.set)


async def test_no_call_waits_for_redis_and_none_fails(
    redis_server: RedisServer, tmp_path: Path
) -> None:
    nodes = [make_node(redis_server.url, SQLiteStore(tmp_path / "ward.db")) for _ in range(2)]
    async with nodes[0], nodes[1]:
        watcher, ward = [await node.connect() for node in nodes]
        await watcher.subscribe("notes")
        await watcher.subscribe("news")
        writers = [Writer(await node.connect(), 10**6 * n) for n, node in enumerate(nodes)]
        writing = [asyncio.create_task(writer.write()) for writer in writers]
        for is_killed in (True, False, True):
            await asyncio.to_thread(redis_server.kill if is_killed else redis_server.freeze)
            for node in nodes:
                await until_there(node, is_there=False)
            for writer in writers:
                await writer.more(20)
            await asyncio.to_thread(redis_server.run if is_killed else redis_server.thaw)
            for node in nodes:
                await until_there(node, is_there=True)
            for writer in writers:
                await writer.more(20)
        assert not any(task.done() for task in writing)
        for task in writing:
            task.cancel()
        await asyncio.gather(*writing, return_exceptions=True)
        total = sum(writer.count for writer in writers)
        await watcher.wait_for(lambda: len(watcher.documents("notes")) >= total)
        await ward.call("tell", 7)
        await watcher.wait_for(lambda: [one["message"] for one in watcher.documents("news")] == [7])
        slowest_s = max(writer.slowest_s for writer in writers)
        print(f"{total} calls, the slowest took {slowest_s:.3f} s")
        assert slowest_s < SLOWEST_CALL_S
