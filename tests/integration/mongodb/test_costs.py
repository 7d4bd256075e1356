"""What live queries cost a database, counted by the database."""

import asyncio
import json
import logging
import os
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Generator, Iterator
from contextlib import asynccontextmanager, contextmanager

# Commands and their answers.
from typing import Any

import pytest
from pymongo import MongoClient
from pymongo.uri_parser import parse_uri
from tests.replica_set import ReplicaSet

from bolide.server import App, Context
from bolide.server.stores.base import Update
from bolide.server.stores.mongo import MongoStore
from bolide.server.stores.own_collections import FENCES
from bolide.server.testing import TestClient, TestNode

WRITES = 10
SUBSCRIPTIONS = int(os.environ.get("BOLIDE_TESTS_SUBSCRIPTIONS", "100"))
# One session may have so many.
A_SESSION = 500
CALLS = "_bolide_calls"


class _Counting(logging.Handler):
    """Hears of commands what the driver logs of them."""

    def __init__(self, database: str) -> None:
        super().__init__()
        self.counts: Counter[str] = Counter()
        self._database = database

    def emit(self, record: logging.LogRecord) -> None:
        said = json.loads(record.getMessage())
        # A node looks after its own collections when it begins.
        is_asked = said["message"] == "Command started" and CALLS not in said["command"]
        if is_asked and said["databaseName"] == self._database:
            # A fence is only written where the machine is slow.
            is_fence = f'"update": "{FENCES}"' in said["command"]
            self.counts["fence" if is_fence else said["commandName"]] += 1


class Server:
    """The primary; what the node asks it of one database is counted."""

    def __init__(self, client: MongoClient[dict[str, Any]], url: str) -> None:
        self.url = url
        self.database = client[str(parse_uri(url)["database"])]
        self._client = client

    @contextmanager
    def counting(self) -> Generator[Counter[str]]:
        """Count commands by their name."""
        counting = _Counting(self.database.name)
        log = logging.getLogger("pymongo.command")
        level = log.level
        log.addHandler(counting)
        log.setLevel(logging.DEBUG)
        try:
            yield counting.counts
        finally:
            log.setLevel(level)
            log.removeHandler(counting)

    def streams(self) -> int:
        """Count the change streams of the database."""
        stages: list[dict[str, Any]] = [
            {"$currentOp": {"allUsers": True, "localOps": True, "idleCursors": True}},
            {"$match": {"ns": {"$regex": f"^{self.database.name}\\."}}},
        ]
        found = list(self._client.admin.aggregate(stages))
        cursors = [each.get("cursor", {}).get("originatingCommand", {}) for each in found]
        return sum("$changeStream" in str(each.get("pipeline")) for each in cursors)


@pytest.fixture
def server(replica_set: ReplicaSet, new_database: Callable[[], str]) -> Iterator[Server]:
    with replica_set.direct(replica_set.primary()) as client:
        yield Server(client, new_database())


@asynccontextmanager
async def ward(server: Server, **options: Any) -> AsyncGenerator[tuple[TestNode, TestClient]]:
    """Run a node whose database has had documents for long."""
    beds = [{"_id": i, "ward": f"w{i % 5}", "bed": 0, "patient": {"pulse": 60}} for i in range(50)]
    server.database["beds"].insert_many(beds)
    app = App()
    collection = app.collection("beds")

    @app.publish("short", public=True)
    async def short(ctx: Context, ward: str) -> object:
        return collection.find({"ward": ward}, {"bed": 1})

    @app.publish("nobody's", public=True)
    async def nobodys(ctx: Context, number: int) -> object:
        return collection.find({"ward": f"none {number}"}, sort=[("bed", 1)], limit=5)

    @app.publish("number", public=True)
    async def number(ctx: Context, ward: str) -> object:
        return app.live_count("number", collection.find({"ward": ward}))

    store = MongoStore(server.url, **options)
    async with TestNode(app, store=store) as node:
        yield node, await node.connect()


async def write(node: TestNode, selector: dict[str, Any], modifier: dict[str, Any]) -> None:
    receipt = await node.store.write(
        Update(collection="beds", selector=selector, modifier=modifier)
    )
    assert receipt.position is not None
    await node.store.feed_reached(receipt.position)
    await node.settle()


async def test_what_a_live_query_with_a_projection_holds_is_not_read_again(server: Server) -> None:
    async with ward(server) as (node, client):
        await client.subscribe("short", "w1")
        with server.counting() as asked:
            for n in range(1, WRITES + 1):
                await write(node, {"_id": 1}, {"$set": {"bed": n, "patient.pulse": n}})
        assert asked["update"] == WRITES
        assert asked["find"] == 0
        assert client.document("beds", 1) == {"_id": 1, "bed": WRITES}


async def test_only_what_somebody_looks_at_is_read(replica_set: ReplicaSet, server: Server) -> None:
    async with ward(server) as (node, client):
        await client.subscribe("short", "w1")
        with server.counting() as asked:
            for n in range(1, WRITES + 1):
                await write(node, {"_id": 2}, {"$set": {"bed": n, "patient.pulse": n}})
        assert asked["find"] == 0
        with server.counting() as asked:
            await write(node, {"_id": 2}, {"$set": {"ward": "w1"}})
        assert asked["find"] == 1
        assert client.document("beds", 2) == {"_id": 2, "bed": WRITES}
        with server.counting() as asked:
            for n in range(1, WRITES + 1):
                await write(node, {"_id": 2}, {"$inc": {"bed": n}})
        assert asked["find"] == 0


async def test_a_count_reads_only_what_may_enter_or_leave(server: Server) -> None:
    async with ward(server, cache_bytes=0) as (node, client):
        await client.subscribe("number", "w1")
        with server.counting() as asked:
            for n in range(1, WRITES + 1):
                await write(node, {"_id": 1}, {"$set": {"bed": n}})
        assert asked["find"] == 0
        with server.counting() as asked:
            await write(node, {"_id": 1}, {"$set": {"ward": "w2"}})
        assert asked["find"] == 1
        assert client.document("counts", "number") == {"_id": "number", "count": 9}


async def test_a_batch_reads_what_it_needs_at_once(replica_set: ReplicaSet, server: Server) -> None:
    async with ward(server) as (node, client):
        await client.subscribe("short", "w1")
        with server.counting() as asked:
            async with node.store.transaction() as transaction:
                for id in (2, 3, 4, 5, 7):
                    await transaction.write(
                        Update(collection="beds", selector={"_id": id},
                               modifier={"$set": {"ward": "w1"}})
                    )  # fmt: skip
            assert transaction.receipt is not None
            assert transaction.receipt.position is not None
            await node.store.feed_reached(transaction.receipt.position)
            await node.settle()
        assert len(client.documents("beds")) == 15
        assert asked["find"] == 1


async def test_subscriptions_cost_no_streams_and_writes_no_more_commands(server: Server) -> None:
    costs: list[Counter[str]] = []
    async with ward(server) as (node, client):
        await client.subscribe("short", "w1")
        known = 0
        for count in sorted({1, min(100, SUBSCRIPTIONS // 2), SUBSCRIPTIONS}):
            for first in range(known, count, A_SESSION):
                another = await node.connect()
                numbers = range(first, min(first + A_SESSION, count))
                await asyncio.gather(*(another.subscribe("nobody's", one) for one in numbers))
            known = count
            assert len(node.node.services.live_queries) == count + 1
            await node.node.services.live_queries.index_advice.idle()
            assert server.streams() == 1
            with server.counting() as asked:
                for n in range(WRITES):
                    await write(node, {"_id": 1}, {"$set": {"bed": 1000 * count + n}})
            costs.append(asked)
            assert server.streams() == 1
    for cost in costs:
        assert cost["update"] == WRITES
        # An answer of the stream may end in the middle of what is counted.
        assert abs(cost["getMore"] - WRITES - cost["fence"]) <= 2
        assert cost.keys() <= {"update", "getMore", "fence"}
