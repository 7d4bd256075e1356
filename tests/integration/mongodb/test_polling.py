"""Polled live queries on a real replica set."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from pymongo.database import Database
from pymongo.errors import OperationFailure
from pymongo.uri_parser import parse_uri
from pymongo.write_concern import WriteConcern
from tests.integration.stores.support import write_at_random
from tests.replica_set import ReplicaSet
from tests.view_replica import ViewReplica

from bolide.core.keys import key_of
from bolide.core.values import Regex
from bolide.server.livequery.advice.statistics import LiveQueryStatistics
from bolide.server.livequery.live_queries import LiveQueries
from bolide.server.stores.base import AccessFilter, Delete, Insert, Position, Query, Update
from bolide.server.stores.evaluation import Aggregation, CollectionKind, Origin
from bolide.server.stores.mongo import MongoStore
from bolide.server.stores.mongo.reading.origins import Origins
from bolide.server.turn import Turn

FAR_S = 60.0
"""A poll interval that no test comes to."""

LARGE = Query(collection="beds", selector={"$where": "this.n > 3"})


@pytest.fixture
def url(new_database: Callable[[], str]) -> str:
    return new_database()


@pytest.fixture
def foreign(url: str, replica_set: ReplicaSet) -> Iterator[Database[dict[str, Any]]]:
    """The database as an administrator's program sees it, whose writes a majority has."""
    with replica_set.client() as client:
        database = client[str(parse_uri(url)["database"])]
        yield database.with_options(write_concern=WriteConcern("majority"))


@pytest.fixture
async def store(url: str) -> AsyncIterator[MongoStore]:
    store = MongoStore(url)
    store.declare(["beds", "wards", "log", "large", "readings"])
    yield store
    await store.close()


@pytest.fixture
async def live(store: MongoStore) -> AsyncIterator[LiveQueries]:
    await store.open()
    live = LiveQueries(store, Turn(), poll_interval_s=FAR_S)
    yield live
    live.close()


async def write(store: MongoStore, live: LiveQueries, *documents: dict[str, Any]) -> None:
    """Insert, and wait as a method's fence does."""
    await settle(live, (await store.write(Insert(collection="beds", documents=documents))).position)


async def settle(live: LiveQueries, position: Position | None, collection: str = "beds") -> None:
    assert position is not None
    await live.settle({collection: position})


def only(live: LiveQueries) -> LiveQueryStatistics:
    (statistics,) = live.statistics()
    return statistics


@pytest.mark.parametrize(
    ("selector", "reason"),
    [
        ({"$where": "this.n > 3"}, "$where"),
        ({"$expr": {"$gt": ["$n", 3]}}, "$expr"),
        ({"$or": [{"n": 4}, {"$expr": {"$gt": ["$n", 4]}}]}, "$expr"),
        ({"$jsonSchema": {"properties": {"n": {"minimum": 4}}}}, "$jsonSchema"),
        ({"n": {"$all": [4]}, "place": {"$geoWithin": {"$box": [[0, 0], [9, 9]]}}}, "$geoWithin"),
        (
            {"n": {"$in": [4]}, "list": {"$all": [{"$elemMatch": {"a": 1}}]}},
            "only MongoDB evaluates it",
        ),
        ({"n": 4, "$nor": [{"list.b": Regex("(?i)a")}]}, "only MongoDB evaluates it"),
        ({"n": 4, "list": {"$type": "array"}}, "$type"),
    ],
)
async def test_what_only_mongodb_evaluates_is_followed(
    store: MongoStore, live: LiveQueries, selector: Mapping[str, Any], reason: str
) -> None:
    replica = ViewReplica()
    await live.follow(Query(collection="beds", selector=selector), replica)
    assert only(live).is_polled
    assert only(live).reason == reason
    rest = {"place": [1, 1], "list": [{"a": 1}]}
    await write(store, live, {"_id": "a", "n": 4, **rest}, {"_id": "b", "n": 3, **rest})
    assert list(replica.documents) == ["a"]
    receipt = await store.write(
        Update(collection="beds", selector={"_id": "a"}, modifier={"$set": {"n": 0}})
    )
    await settle(live, receipt.position)
    assert replica.documents == {}


async def test_a_hint_shows_a_foreign_write_within_a_second_and_a_forged_one_nothing(
    foreign: Database[dict[str, Any]], live: LiveQueries
) -> None:
    foreign.create_collection("readings", timeseries={"timeField": "at"})
    rows, joined = ViewReplica(), ViewReplica()
    await live.follow(Query(collection="readings"), rows)
    lookup = {"$lookup": {"from": "prices", "localField": "kind", "foreignField": "_id", "as": "p"}}
    await live.follow(
        Aggregation(
            collection="beds", name="priced", pipeline=(lookup,), joined=frozenset({"prices"})
        ),
        joined,
    )
    foreign["beds"].insert_one({"_id": "a", "kind": "icu"})
    async with asyncio.timeout(1):
        await joined.until(lambda: bool(joined.documents))

    turns = len(rows.turns) + len(joined.turns)
    for collection in ("readings", "prices", "prices", "beds", "nowhere", "", "$x"):
        live.hinted(collection, "forged")
    await live.idle()
    assert len(rows.turns) + len(joined.turns) == turns

    foreign["readings"].insert_one({"_id": "r", "at": datetime.now(UTC), "pulse": 70})
    foreign["prices"].insert_one({"_id": "icu", "price": 9})
    for collection in ("readings", "prices"):
        live.hinted(collection, "r")
    async with asyncio.timeout(1):
        await rows.until(lambda: "r" in rows.documents)
        await joined.until(lambda: joined.documents["a"]["p"] == [{"_id": "icu", "price": 9}])
    assert {one.reason for one in live.statistics()} == {"time series", "aggregation"}


async def test_a_hint_of_a_write_that_only_the_primary_has_waits_for_the_majority(
    foreign: Database[dict[str, Any]],
    store: MongoStore,
    live: LiveQueries,
    replica_set: ReplicaSet,
) -> None:
    for collection in ("beds", "prices"):
        foreign[collection].insert_one({"_id": collection})
    prices = foreign["prices"].with_options(write_concern=WriteConcern(1))
    rows = ViewReplica()
    union = ({"$unionWith": "prices"},)
    query = Aggregation(collection="beds", name="all", pipeline=union, joined=frozenset({"prices"}))
    await live.follow(query, rows)
    with _held_back(replica_set):
        prices.insert_one({"_id": "late"})
        live.hinted("prices", "late")
        for _ in range(50):  # far longer than a poll takes
            await store.read(Query(collection="beds"))
        assert set(rows.documents) == {"beds", "prices"}
    async with asyncio.timeout(10):
        await rows.until(lambda: "late" in rows.documents)


@contextmanager
def _held_back(replica_set: ReplicaSet) -> Generator[None]:
    """Let no secondary take what the primary writes."""
    others = [one for one in replica_set.members if one is not replica_set.primary()]

    def switch(mode: str) -> None:
        for member in others:
            with replica_set.direct(member) as client:
                client.admin.command("configureFailPoint", "stopReplProducer", mode=mode)

    switch("alwaysOn")
    try:
        yield
    finally:
        switch("off")


async def test_a_capped_collection_is_read_and_followed(
    foreign: Database[dict[str, Any]], store: MongoStore, live: LiveQueries
) -> None:
    foreign.create_collection("log", capped=True, size=100_000, max=3)
    foreign["log"].insert_many([{"_id": number, "n": number % 2} for number in range(3)])
    every = Query(collection="log", sort=(("_id", 1),))
    for _ in range(2):  # it is learnt once
        assert [one["_id"] for one in (await store.read(every)).documents] == [0, 1, 2]
        assert await store.count(every) == 3
        assert sorted(await store.distinct("log", "n", {})) == [0, 1]
    replica, last = ViewReplica(), ViewReplica()
    await live.follow(Query(collection="log", selector={"n": 1}), replica)
    await live.follow(replace(every, sort=(("_id", -1),), limit=1), last)
    assert {one.reason for one in live.statistics()} == {"capped"}
    foreign["log"].insert_many([{"_id": number, "n": number % 2} for number in range(3, 6)])
    async with asyncio.timeout(5):
        await replica.until(lambda: set(replica.documents) == {key_of(3), key_of(5)})
        await last.until(lambda: set(last.documents) == {key_of(5)})


async def test_distinct_learns_what_is_capped(
    foreign: Database[dict[str, Any]], store: MongoStore
) -> None:
    foreign.create_collection("log", capped=True, size=100_000)
    foreign["log"].insert_one({"_id": 1, "n": 1})
    await store.open()
    assert await store.distinct("log", "n", {"$expr": {"$eq": ["$n", 1]}}) == [1]


async def test_a_collection_that_is_converted_goes_on(
    foreign: Database[dict[str, Any]], live: LiveQueries
) -> None:
    foreign["log"].insert_one({"_id": "a", "n": 1})
    replica = ViewReplica()
    await live.follow(Query(collection="log", selector={"n": 1}), replica)
    assert not only(live).is_polled
    foreign.command("convertToCapped", "log", size=100_000)
    foreign["log"].insert_one({"_id": "b", "n": 1})
    async with asyncio.timeout(10):
        await replica.until(lambda: len(replica.documents) == 2)
    await live.idle()
    assert only(live).reason == "capped"


async def test_a_view_follows_what_it_is_of(
    foreign: Database[dict[str, Any]], store: MongoStore, live: LiveQueries
) -> None:
    large = [{"$match": {"n": {"$gt": 3}}}]
    foreign.create_collection("inner", viewOn="beds", pipeline=large)
    foreign.create_collection(
        "large", viewOn="inner", pipeline=[{"$unionWith": "wards"}, {"$set": {"seen": True}}]
    )
    replica = ViewReplica()
    await live.follow(Query(collection="large", selector={"seen": True}), replica)
    assert only(live).reason == "view"
    await write(store, live, {"_id": "a", "n": 4}, {"_id": "b", "n": 1})
    assert replica.documents == {"a": {"n": 4, "seen": True}}
    receipt = await store.write(Insert(collection="wards", documents=[{"_id": "w"}]))
    await settle(live, receipt.position, "wards")
    assert set(replica.documents) == {"a", "w"}
    assert (await store.origin("large")) == Origin(
        CollectionKind.VIEW, frozenset({"beds", "inner", "wards"}), True
    )
    foreign.create_collection("other", viewOn="prices")
    assert not (await store.origin("other")).is_told


async def test_a_text_query_outlives_its_collection(
    foreign: Database[dict[str, Any]], live: LiveQueries
) -> None:
    query = Query(collection="beds", selector={"$text": {"$search": "apple"}})
    replica, other = ViewReplica(), ViewReplica()
    await live.follow(query, replica)
    foreign["beds"].create_index([("t", "text")])
    foreign["beds"].insert_many([{"_id": "a", "t": "an apple"}, {"_id": "b", "t": "a pear"}])
    async with asyncio.timeout(5):
        await replica.until(lambda: set(replica.documents) == {"a"})
        foreign["beds"].drop()
        await replica.until(lambda: replica.documents == {})
        foreign["beds"].create_index([("t", "text")])
        foreign["beds"].insert_one({"_id": "c", "t": "apples"})
        await replica.until(lambda: set(replica.documents) == {"c"})
        foreign["beds"].drop()
        foreign["beds"].insert_one({"_id": "d", "t": "apples"})
        await replica.until(lambda: replica.error is not None)
    with pytest.raises(OperationFailure, match="IndexNotFound"):
        await live.follow(query, other)


async def test_access_scopes_hold_for_polled_queries_and_rows(
    store: MongoStore, live: LiveQueries
) -> None:
    access = AccessFilter("ward", frozenset({"7"}))
    expression = {"$expr": {"$gt": ["$n", 0]}}
    group = {"$group": {"_id": None, "n": {"$sum": "$n"}}}
    near = {"$geoNear": {"near": [0, 0], "distanceField": "far", "query": {"n": {"$gt": 0}}}}
    await store.raw_collection("beds").create_index([("at", "2d")])
    found, total, nearest = ViewReplica(), ViewReplica(), ViewReplica()
    await live.follow(Query(collection="beds", selector=expression, access=access), found)
    for name, pipeline, replica in (
        ("total", ({"$match": expression}, group), total),
        ("nearest", (near, {"$project": {"n": 1}}), nearest),
    ):
        await live.follow(
            Aggregation(collection="beds", name=name, pipeline=pipeline, access=access), replica
        )
    await write(
        store,
        live,
        {"_id": "a", "ward": "7", "n": 4, "at": [1, 1]},
        {"_id": "b", "ward": "8", "n": 4, "at": [2, 2]},
        {"_id": "c", "ward": ["7"], "n": 4, "at": [3, 3]},
    )
    assert set(found.documents) == {"a"}
    assert total.documents == {None: {"n": 4}}
    assert nearest.documents == {"a": {"n": 4}}


async def test_what_the_server_refuses_too_is_an_error(
    foreign: Database[dict[str, Any]], live: LiveQueries
) -> None:
    for selector in ({"$where": "no ("}, {"$nothing": 1}, {"$expr": {"$nothing": 1}}):
        with pytest.raises(OperationFailure, match="MongoDB refused it"):
            await live.follow(Query(collection="beds", selector=selector), ViewReplica())
    shares = ({"$project": {"share": {"$divide": [1, "$n"]}}},)
    replica = ViewReplica()
    await live.follow(Aggregation(collection="beds", name="shares", pipeline=shares), replica)
    foreign["beds"].insert_one({"_id": "a", "n": 0})
    async with asyncio.timeout(5):
        await replica.until(lambda: replica.error is not None)
    assert "MongoDB refused it" in str(replica.error)


async def test_what_is_asked_once_works_too(store: MongoStore) -> None:
    await store.open()
    await store.write(Insert(collection="beds", documents=[{"_id": n, "n": n} for n in range(5)]))
    large = {"$expr": {"$gt": ["$n", 3]}}
    assert (await store.read(LARGE)).documents == [{"_id": 4, "n": 4}]
    assert await store.count(Query(collection="beds", selector=large)) == 1
    assert await store.distinct("beds", "n", {"$where": "this.n > 3"}) == [4]
    update = Update(collection="beds", selector=LARGE.selector, modifier={"$set": {"n": 0}})
    assert (await store.write(update)).modified == 1
    async with store.transaction() as transaction:
        query = Query(collection="beds", selector=large)
        assert await transaction.read(query) == []
    assert (await store.write(Delete(collection="beds", selector=large, many=True))).deleted == 0


FOLLOWED = (
    Query(collection="beds", selector={"$where": "this.n > 0"}),
    Query(collection="beds", selector={"$expr": {"$lt": ["$n", 2]}}, projection={"n": 1}),
    Query(
        collection="beds",
        selector={"$expr": {"$gte": ["$_id", 1]}},
        sort=(("n", -1),),
        skip=1,
        limit=3,
    ),
    Query(collection="large"),
    Aggregation(
        collection="beds",
        name="sums",
        pipeline=({"$group": {"_id": "$n", "count": {"$sum": 1}, "k": {"$sum": "$k"}}},),
    ),
    Aggregation(
        collection="beds",
        name="pairs",
        pipeline=(
            {"$match": {"_id": {"$in": [1, 2, 3]}}},
            {"$lookup": {"from": "beds", "localField": "n", "foreignField": "n", "as": "same"}},
            {"$project": {"count": {"$size": "$same"}}},
        ),
        joined=frozenset({"beds"}),
    ),
)


@pytest.mark.parametrize("seed", range(6))
async def test_views_are_what_the_database_finds_after_every_fence(
    foreign: Database[dict[str, Any]], store: MongoStore, live: LiveQueries, seed: int
) -> None:
    source = random.Random(seed)
    foreign.create_collection("large", viewOn="beds", pipeline=[{"$match": {"n": {"$gt": 0}}}])
    replicas = [ViewReplica() for _ in FOLLOWED]
    for query, replica in zip(FOLLOWED, replicas, strict=True):
        await live.follow(query, replica)
    for _ in range(8):
        await write_at_random(store, source, source.randrange(1, 5))
        # What a method's fence is moved to after a write of its own.
        receipt = await store.write(
            Update(collection="beds", selector={"_id": 1}, modifier={"$inc": {"n": 1}}, upsert=True)
        )
        await settle(live, receipt.position)
        for query, replica in zip(FOLLOWED, replicas, strict=True):
            found = (await store.evaluate(query)).documents
            expected = {
                key_of(one["_id"]): {name: one[name] for name in one if name != "_id"}
                for one in found
            }
            assert replica.documents == expected
    assert all(one.is_polled for one in live.statistics())


async def test_after_lost_history_collections_are_looked_at_again(
    foreign: Database[dict[str, Any]], store: MongoStore, live: LiveQueries
) -> None:
    foreign.create_collection("log", capped=True, size=100_000)
    assert (await store.origin("log")).kind is CollectionKind.CAPPED
    origins = Origins(foreign_database(store), frozenset({"log"}))
    assert (await origins.find("log")).is_told
    foreign["log"].drop()
    assert origins.is_capped("log")
    origins.history_lost(0)
    assert not origins.is_capped("log")
    assert (await origins.find("log")).kind is CollectionKind.COLLECTION


async def test_what_the_stream_does_not_tell_of_is_looked_at_each_time(
    foreign: Database[dict[str, Any]], store: MongoStore, live: LiveQueries
) -> None:
    origins = Origins(foreign_database(store), frozenset({"log", "shown"}))
    foreign.create_collection("shown", viewOn="log")
    foreign.create_collection("names")
    assert (await origins.find("shown")).reads == {"log"}
    assert (await origins.find("names")).reads == {"names"}
    foreign.command("collMod", "shown", viewOn="patients", pipeline=[])
    foreign.drop_collection("names")
    foreign.create_collection("names", viewOn="patients")
    assert (await origins.find("shown")).reads == {"patients"}
    assert (await origins.find("names")).reads == {"patients"}


def foreign_database(store: MongoStore) -> Any:
    return store.raw_collection("log").database
