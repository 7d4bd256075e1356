"""Indexes of MongoDB's own kinds, and what a node says where one is missing."""

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from pymongo import MongoClient
from pymongo.database import Database
from structlog.testing import capture_logs
from tests.mongo_roles import administrator_url
from tests.replica_set import ReplicaSet

from bolide.core.values import Document
from bolide.server import App, Context
from bolide.server.livequery.advice.index_advice import MANY_EXAMINED
from bolide.server.stores.base import IndexSpec, Query
from bolide.server.stores.mongo import MongoStore
from bolide.server.telemetry.overview import take_overview
from bolide.server.testing import TestNode


@pytest.fixture
def url(new_database: Callable[[], str]) -> str:
    return new_database()


@pytest.fixture
def database(url: str) -> Iterator[Database[Document]]:
    with MongoClient[Document](administrator_url(url), w="majority") as client:
        yield client.get_default_database()


async def test_options_of_mongodb_are_passed_on(url: str, database: Database[Document]) -> None:
    app = App()
    beds = app.collection("beds")
    async with TestNode(app, store=MongoStore(url)) as node:
        await beds.create_index("at", expireAfterSeconds=60)
        await beds.create_index(
            [("code", 1)], unique=True, partialFilterExpression={"code": {"$gt": 5}}
        )
        await beds.insert_many([{"code": 1}, {"code": 1}])
        # Others have indexes that the port does not know.
        database["beds"].create_index([("notes", "text")])
        database["beds"].create_index([("place", "2dsphere"), ("ward", 1)])
        indexes = {index.name: index for index in await node.store.indexes("beds")}
    assert indexes == {
        "at_1": IndexSpec(keys=(("at", 1),), name="at_1", expire_after_s=60),
        "code_1": IndexSpec(
            keys=(("code", 1),), name="code_1", unique=True, partial={"code": {"$gt": 5}}
        ),
    }
    assert database["beds"].index_information()["at_1"]["expireAfterSeconds"] == 60


async def test_what_takes_too_long_to_explain_is_not_explained(
    url: str, replica_set: ReplicaSet
) -> None:
    store = MongoStore(url)
    await store.open()
    await asyncio.to_thread(lambda: replica_set.fail(1, "explain", errorCode=50))
    assert await store.examined(Query(collection="beds")) is None
    assert await store.examined(Query(collection="beds")) == 0
    await store.close()


async def test_a_live_query_without_an_index_is_a_warning_with_the_ready_command(
    url: str, database: Database[Document]
) -> None:
    documents = [{"_id": n, "ward": f"secret {n % 50}", "bed": n} for n in range(2_000)]
    database["beds"].insert_many(documents)
    app = App()
    beds = app.collection("beds", access="ward")

    def authorize(*_: object) -> bool:
        return True

    app.authorize = authorize

    @app.publish("ward")
    async def ward(ctx: Context, name: str) -> object:
        ctx.require("ward:read", name)
        return beds.find({"bed": {"$gt": 0}}, sort=[("bed", -1)], limit=5)

    async def advice(node: TestNode) -> list[str]:
        await node.node.services.live_queries.index_advice.idle()
        overview = await take_overview(node.node)
        return [row.advice for row in overview.live_query_rows]

    with capture_logs() as logs:
        async with TestNode(app, store=MongoStore(url)) as node:
            client = await node.connect()
            await client.subscribe("ward", "secret 7")
            await client.subscribe("ward", "secret 8")
            told = await advice(node)
            [warning] = _warnings(logs)
            made = 'beds.create_index([("ward", 1), ("bed", -1)])'
            assert warning["in_the_app"] == made
            assert warning["examined"] == len(documents) > MANY_EXAMINED
            assert all(one.endswith(made) for one in told)
            assert len(told) == 2
            assert "secret" not in repr(warning)
            assert "secret" not in repr(told)
            await beds.create_index([("ward", 1), ("bed", -1)])
        async with TestNode(app, store=MongoStore(url)) as node:
            client = await node.connect()
            await client.subscribe("ward", "secret 7")
            assert await advice(node) == [""]
    assert len(_warnings(logs)) == 1


def _warnings(logs: list[Any]) -> list[Any]:
    return [log for log in logs if log["event"].startswith("a live query looks at many")]
