"""A collection that is another one by the time that its updates are looked at."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from pymongo import MongoClient
from pymongo.collection import Collection
from tests.mongo_roles import administrator_url
from tests.view_replica import ViewReplica

from bolide.server import App, Context
from bolide.server.stores.base import Query
from bolide.server.stores.mongo import MongoStore
from bolide.server.testing import TestNode


def replace_by_out(beds: Collection[Any]) -> None:
    beds.aggregate([{"$limit": 10}, {"$out": "beds"}])


def drop_and_make_anew(beds: Collection[Any]) -> None:
    documents = [*beds.find().limit(10)]
    beds.drop()
    beds.insert_many(documents)


@pytest.mark.parametrize("replace", [replace_by_out, drop_and_make_anew])
async def test_it_costs_its_own_queries_one_reading_and_others_nothing(
    new_database: Callable[[], str], replace: Callable[[Collection[Any]], None]
) -> None:
    url = new_database()
    app = App()
    app.collection("beds")
    notes = app.collection("notes")

    @app.method("note", public=True)
    async def note(ctx: Context) -> None:
        await notes.insert_one({})

    store = MongoStore(url)
    with MongoClient[Any](administrator_url(url), w="majority") as other:
        documents = [{"_id": n, "on": False} for n in range(1500)]
        other.get_default_database()["beds"].insert_many(documents)
    # The node has seen none of them, so it must read what is updated.
    async with TestNode(app, store=store) as node, asyncio.timeout(20):
        replica = ViewReplica()
        query = Query(collection="beds", selector={"on": True})
        await node.node.services.live_queries.follow(query, replica)

        def change() -> None:
            with MongoClient[Any](administrator_url(url), w="majority") as client:
                found = client.get_default_database()["beds"]
                found.update_many({}, {"$set": {"on": True}})
                replace(found)

        await asyncio.to_thread(change)
        client = await node.connect()
        await client.call("note")
        await replica.until(lambda: len(replica.documents) == 10)
        assert sum(store.feed_health.losses.values()) == 0
