"""Counts: one document for many, in step with the data."""

from typing import Any

import pytest
from tests.unit.server.held_store import HeldStore

from bolide.core.ddp.messages import Added, Changed
from bolide.core.errors import MethodError
from bolide.server import App, Context
from bolide.server.access.gateway import Gateway
from bolide.server.collections.collection import Collection
from bolide.server.publications.counts import LiveCount
from bolide.server.stores.base import Query
from bolide.server.testing import TestNode

BEDS = Collection(Gateway(), "beds")


def make_app() -> App:
    app = App()
    beds = app.collection("beds")

    @app.publish("count", public=True)
    async def count(ctx: Context, ward: str) -> object:
        return app.live_count(f"ward.{ward}", beds.find({"ward": ward}))

    @app.publish("window", public=True)
    async def window(ctx: Context) -> object:
        return app.live_count("window", beds.find({}, sort="n").skip(1).limit(2))

    @app.publish("both", public=True)
    async def both(ctx: Context) -> object:
        return [beds.find({"n": 1}), app.live_count("a", beds.find()), app.live_count("b", few())]

    @app.publish("twice", public=True)
    async def twice(ctx: Context) -> object:
        return [app.live_count("a", beds.find()), app.live_count("a", few())]

    @app.publish("bad", public=True)
    async def bad(ctx: Context) -> object:
        return app.live_count("a", beds.find({"$no": 1}))

    def few() -> Any:
        return beds.find({"n": {"$lt": 2}})

    @app.method("put", public=True)
    async def put(ctx: Context, id: str, ward: str, n: int) -> None:
        await beds.replace_one({"_id": id}, {"ward": ward, "n": n}, upsert=True)

    @app.method("clear", public=True)
    async def clear(ctx: Context) -> None:
        async with app.transaction():
            await beds.delete_many({})
            await beds.insert_one({"_id": "new", "ward": "7", "n": 0})

    return app


async def test_a_count_follows_the_documents_without_sending_them() -> None:
    async with TestNode(make_app()) as node:
        client = await node.connect()
        subscription = await client.subscribe("count", "7")
        assert client.documents("counts") == [{"_id": "ward.7", "count": 0}]
        await client.call("put", "a", "7", 1)
        await client.call("put", "b", "7", 1)
        await client.call("put", "c", "8", 1)
        assert client.documents("counts") == [{"_id": "ward.7", "count": 2}]
        before = len(client.messages)
        await client.call("put", "a", "7", 2)
        data = [m for m in client.messages[before:] if isinstance(m, Added | Changed)]
        assert data == []
        await client.call("clear")
        assert client.documents("counts") == [{"_id": "ward.7", "count": 1}]
        assert client.documents("beds") == []
        await subscription.stop()
        assert client.documents("counts") == []
        assert len(node.node.services.live_queries) == 0


async def test_a_window_is_counted_within_its_bounds() -> None:
    async with TestNode(make_app()) as node:
        client = await node.connect()
        await client.subscribe("window")
        for number, expected in enumerate([0, 1, 2, 2]):
            await client.call("put", str(number), "7", number)
            assert client.document("counts", "window") == {"_id": "window", "count": expected}


async def test_counts_come_with_cursors_and_with_each_other() -> None:
    async with TestNode(make_app()) as node:
        client = await node.connect()
        await client.call("put", "a", "7", 1)
        await client.call("put", "b", "7", 2)
        await client.subscribe("both")
        counts = {d["_id"]: d["count"] for d in client.documents("counts")}
        assert counts == {"a": 2, "b": 1}
        assert [d["_id"] for d in client.documents("beds")] == ["a"]
        with pytest.raises(MethodError) as caught:
            await client.subscribe("twice")
        assert caught.value.error == 500


async def test_a_count_that_cannot_be_followed_ends_its_subscription() -> None:
    store = HeldStore()
    async with TestNode(make_app(), store=store) as node:
        client = await node.connect()
        with pytest.raises(MethodError) as caught:
            await client.subscribe("bad")
        assert caught.value.error == 500
        subscription = await client.subscribe("window")
        store.error = RuntimeError("gone")
        await client.call("put", "a", "7", 1)
        await client.wait_for(lambda: subscription.is_stopped)
        assert subscription.error is not None
        assert client.documents("counts") == []


def test_equal_counts_ask_the_same() -> None:
    plain = LiveCount("a", BEDS.find({"n": 1}))
    other = LiveCount("b", BEDS.find({"n": 1}, {"name": 0}, sort="n", children=[lambda bed: None]))
    assert plain.query == other.query
    assert plain.query == Query(collection="beds", selector={"n": 1}, projection={"_id": 1})


@pytest.mark.parametrize(
    ("name", "cursor", "text"),
    [("", BEDS.find(), "a text"), (5, BEDS.find(), "a text"), ("a", [], "The count a needs a")],
)
def test_what_cannot_be_counted_is_refused(name: Any, cursor: Any, text: str) -> None:
    with pytest.raises(TypeError, match=text):
        LiveCount(name, cursor)
