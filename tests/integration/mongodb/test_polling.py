"""Polled live queries on a real replica set."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from typing import Any

import pytest
from pymongo import MongoClient
from pymongo.database import Database
from tests.view_replica import ViewReplica

from bolide.server.livequery.live_queries import LiveQueries
from bolide.server.livequery.statistics import LiveQueryStatistics
from bolide.server.stores.base import Insert, Position, Query, Update
from bolide.server.stores.mongo import MongoStore
from bolide.server.turn import Turn

FAR_S = 60.0
"""A poll interval that no test comes to."""

LARGE = Query(collection="beds", selector={"$where": "this.n > 3"})

OpenLive = Callable[..., Awaitable[LiveQueries]]


@pytest.fixture
def url(new_database: Callable[[], str]) -> str:
    return new_database()


@pytest.fixture
def foreign(url: str) -> Iterator[Database[dict[str, Any]]]:
    """The database as any other program sees it."""
    client: MongoClient[dict[str, Any]] = MongoClient(url, w="majority")
    with client:
        yield client.get_default_database()


@pytest.fixture
async def store(url: str) -> AsyncIterator[MongoStore]:
    store = MongoStore(url)
    store.declare(["beds", "wards", "log", "big", "readings"])
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
