"""Whatever is written, subscribed and stopped in any order: a client shows what find returns."""

import asyncio
from functools import partial
from typing import Any, TypeAlias

from hypothesis import given, settings
from hypothesis import strategies as st

from bolide.server import App, Context
from bolide.server.stores.base import Query
from bolide.server.testing import TestClient, TestNode, TestSubscription

Step: TypeAlias = tuple[Any, ...]

IDS = st.sampled_from(["a", "b", "c", "d", "e"])
NUMBERS = st.integers(0, 3)
QUERIES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "all": ({}, {}),
    "some": ({"n": {"$gte": 2}}, {}),
    "window": ({}, {"sort": [("n", 1)], "limit": 2}),
    "page": ({"n": {"$lt": 3}}, {"sort": [("n", -1)], "skip": 1, "limit": 2}),
    "tags": ({"tags": 1}, {}),
    "chosen": ({"n": {"$in": [0, None]}}, {}),
    "either": ({"$or": [{"n": 1}, {"tags": {"$gt": 1, "$lt": 3}}]}, {}),
    "ties": ({}, {"sort": [("even", 1)], "limit": 2}),
    "newest": ({"n": {"$gte": 0}}, {"sort": [("even", -1), ("n", -1)], "limit": 1}),
    "nested": ({}, {"sort": [("at.n", -1)], "skip": 1, "limit": 2}),
    "arrays": ({}, {"sort": [("tags", 1)], "limit": 2, "projection": {"n": 1}}),
    "reversed": ({"tags": {"$lte": 2}}, {"sort": [("tags", -1)], "skip": 2}),
    "anywhere": ({"n": 1}, {"limit": 2}),
}
WRITES = st.one_of(
    st.tuples(st.just("put"), IDS, NUMBERS),
    st.tuples(st.just("set"), IDS, NUMBERS),
    st.tuples(st.just("push"), IDS, NUMBERS),
    st.tuples(st.just("unset"), IDS),
    st.tuples(st.just("delete"), IDS),
    st.tuples(st.just("raise"), NUMBERS),
    st.tuples(st.just("swap"), IDS, IDS),
    # More than a window's buffer holds, and enough to empty it.
    st.tuples(st.just("fill"), st.integers(1, 20)),
    st.tuples(st.just("purge"), NUMBERS),
)
STEPS = st.lists(
    st.one_of(
        WRITES,
        WRITES,
        st.tuples(st.just("subscribe"), st.sampled_from(list(QUERIES))),
        st.tuples(st.just("stop"), st.sampled_from(list(QUERIES))),
        st.tuples(st.just("settle")),
        st.tuples(st.just("turn"), st.integers(1, 4)),
    ),
    min_size=1,
    max_size=30,
)


def make_app() -> App:
    app = App()
    things = app.collection("things")

    @app.publish("things", public=True)
    async def publish(ctx: Context, query: str) -> object:
        selector, options = QUERIES[query]
        return things.find(selector, **options)

    @app.method("write", public=True)
    async def write(ctx: Context, kind: str, *args: str | int) -> None:
        match kind, *args:
            case "put", id, n:
                thing = {"n": n, "even": n % 2, "at": {"n": n}, "tags": [n]}
                await things.replace_one({"_id": id}, thing, upsert=True)
            case "set", id, n:
                await things.update_one({"_id": id}, {"$set": {"n": n, "at.n": n}})
            case "push", id, n:
                await things.update_one({"_id": id}, {"$push": {"tags": n}})
            case "unset", id:
                await things.update_one({"_id": id}, {"$unset": {"n": 1}})
            case "delete", id:
                await things.delete_one({"_id": id})
            case "raise", n:
                await things.update_many({"n": {"$lte": n}}, {"$inc": {"n": 1}})
            case "fill", count:
                for number in range(int(count)):
                    thing = {"n": number % 4, "even": number % 2, "tags": [number % 3, 1]}
                    await things.replace_one({"_id": f"f{number}"}, thing, upsert=True)
            case "purge", n:
                await things.delete_many({"n": n})
            case "swap", id, other:
                async with app.transaction():
                    await things.delete_one({"_id": id})
                    await things.update_one({"_id": other}, {"$set": {"n": 0}})
            case _:
                raise AssertionError(kind)

    return app


async def run(steps: list[Step]) -> None:
    app = make_app()
    async with TestNode(app) as node:
        reader, writer = await node.connect(), await node.connect()
        subscriptions: dict[str, TestSubscription] = {}
        writes: list[asyncio.Task[Any]] = []
        for kind, *args in steps:
            match kind:
                case "subscribe":
                    if args[0] not in subscriptions:
                        subscriptions[args[0]] = reader.start_subscription("things", args[0])
                case "stop":
                    if args[0] in subscriptions:
                        await subscriptions.pop(args[0]).stop()
                case "settle":
                    await asyncio.gather(*writes)
                    await agree(node, reader, subscriptions)
                case "turn":
                    for _ in range(args[0]):
                        await asyncio.sleep(0)
                case _:
                    writes.append(asyncio.create_task(writer.call("write", kind, *args)))
        await asyncio.gather(*writes)
        await agree(node, reader, subscriptions)


async def agree(
    node: TestNode, reader: TestClient, subscriptions: dict[str, TestSubscription]
) -> None:
    """Compare what is shown with what a fresh query returns."""
    for subscription in subscriptions.values():
        await reader.wait_for(partial(getattr, subscription, "is_ready"))
    await node.settle()
    expected: dict[str, Any] = {}
    for name in subscriptions:
        selector, options = QUERIES[name]
        query = Query(
            collection="things",
            selector=selector,
            sort=tuple(options.get("sort", ())),
            skip=options.get("skip", 0),
            limit=options.get("limit", 0),
            projection=options.get("projection"),
        )
        for document in (await node.store.read(query)).documents:
            expected[document["_id"]] = {**document, **expected.get(document["_id"], {})}
    assert {d["_id"]: d for d in reader.documents("things")} == expected


@settings(max_examples=150, deadline=None, derandomize=True)
@given(STEPS)
def test_a_client_shows_what_find_returns(steps: list[Step]) -> None:
    asyncio.run(run(steps))
