"""A node, clients that follow everything, and writers, all in the process of the test."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import partial

# Options of the store.
from typing import Any

from pymongo.errors import PyMongoError

from bolide.core.errors import MethodError
from bolide.core.values import Document
from bolide.server import App, Context
from bolide.server.stores.base import Insert, Query
from bolide.server.stores.feed_health import FeedHealth
from bolide.server.stores.mongo import MongoStore
from bolide.server.testing import TestClient, TestNode

__all__ = ["EVERYTHING", "Ward", "ward"]

TIMEOUT_S = 120
WRITERS = 4
EVERYTHING = Query(collection="beds", sort=(("_id", 1),))


class Ward:
    """A node, clients that follow everything, and writers that never stop."""

    def __init__(self, node: TestNode, clients: list[TestClient]) -> None:
        self.node = node
        self.clients = clients
        self.acknowledged: set[str] = set()
        self._stopping = asyncio.Event()
        self._news = asyncio.Event()

    async def write(self, name: str) -> None:
        number = 0
        while not self._stopping.is_set():
            number += 1
            id = f"{name}-{number}"
            try:
                await self.node.store.write(Insert(collection="beds", documents=[{"_id": id}]))
            except (PyMongoError, MethodError):
                continue
            self.acknowledged.add(id)
            self._news.set()

    @property
    def health(self) -> FeedHealth:
        store = self.node.store
        assert isinstance(store, MongoStore)
        return store.feed_health

    async def waits(self, because: str) -> None:
        """Wait until the feed waits for this reason; empty: until it goes on."""
        changed = asyncio.Event()
        self.health.watch(changed.set)
        while self.health.waits_because != because:
            changed.clear()
            await changed.wait()

    async def shows(self, *documents: Document) -> None:
        """Wait until every client shows these documents and no others."""
        expected = {one["_id"]: one for one in documents}

        def shown_by(client: TestClient) -> bool:
            return {one["_id"]: one for one in client.documents("beds")} == expected

        for client in self.clients:
            await client.wait_for(partial(shown_by, client))

    @property
    def losses(self) -> float | None:
        registry = self.node.node.metrics.registry
        return registry.get_sample_value("bolide_history_losses_total")

    @asynccontextmanager
    async def writing(self) -> AsyncGenerator[None]:
        writers = [asyncio.create_task(self.write(f"w{i}")) for i in range(WRITERS)]
        try:
            yield
        finally:
            self._stopping.set()
            await asyncio.gather(*writers)

    async def more_is_acknowledged(self) -> None:
        """Wait until writes succeed."""
        enough = len(self.acknowledged) + 20
        while len(self.acknowledged) < enough:
            self._news.clear()
            await self._news.wait()

    async def agree(self) -> None:
        """Every client shows what there is, and what was acknowledged is there."""
        found = await self.node.store.read(EVERYTHING)
        await self.node.store.feed_reached(found.position)
        await self.node.settle()
        stored = {document["_id"] for document in found.documents}
        assert self.acknowledged <= stored
        for client in self.clients:
            assert client.close_reason is None
            assert {document["_id"] for document in client.documents("beds")} == stored


@asynccontextmanager
async def ward(url: str, **options: Any) -> AsyncGenerator[Ward]:
    app = App()
    beds = app.collection("beds")

    @app.publish("beds", public=True)
    async def publish(ctx: Context) -> object:
        return beds.find({})

    async with asyncio.timeout(TIMEOUT_S), TestNode(app, store=MongoStore(url, **options)) as node:
        clients = [await node.connect() for _ in range(5)]
        for client in clients:
            await client.subscribe("beds")
        yield Ward(node, clients)
