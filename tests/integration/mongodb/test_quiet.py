"""A stream that is opened where nothing happens: it begins one tick after the newest write."""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Iterator
from typing import Any

import pytest
from pymongo.collection import Collection as ForeignCollection
from pymongo.uri_parser import parse_uri
from tests.replica_set import ReplicaSet

from bolide.server.stores.base import ChangeBatch, Position, Query
from bolide.server.stores.feed_health import FeedHealth
from bolide.server.stores.mongo import MongoStore
from bolide.server.stores.mongo.feed import change_stream

TIMEOUT_S = 30
POLLED = Query(collection="beds", selector={"$where": "this.n > 1"})


class Answers:
    """Counts the answers of a stream."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._count = 0
        self._news = asyncio.Event()
        heard = FeedHealth.heard

        def count(health: FeedHealth, lag_s: float) -> None:
            heard(health, lag_s)
            self._count += 1
            self._news.set()

        monkeypatch.setattr(FeedHealth, "heard", count)

    async def more(self, number: int) -> None:
        number += self._count
        while self._count < number:
            self._news.clear()
            await self._news.wait()


class Told:
    """Listens, and wants all."""

    def __init__(self) -> None:
        self.ids: list[Any] = []
        self._news = asyncio.Event()

    def changes_received(self, batch: ChangeBatch) -> None:
        self.ids += [change.id for change in batch.changes]
        self._news.set()

    def wants_update(self, collection: str, id: Any, paths: Collection[str]) -> bool:
        return True

    def history_lost(self, position: Position) -> None:
        raise AssertionError("history lost")

    async def until(self, count: int) -> None:
        while len(self.ids) < count:
            self._news.clear()
            await self._news.wait()


@pytest.fixture
def url(new_database: Callable[[], str]) -> str:
    return new_database()


@pytest.fixture
def beds(url: str, replica_set: ReplicaSet) -> Iterator[ForeignCollection[dict[str, Any]]]:
    """What another program writes to."""
    with replica_set.client() as client:
        yield client[str(parse_uri(url)["database"])]["beds"]


@pytest.fixture
async def quiet(
    url: str, beds: ForeignCollection[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[MongoStore]:
    """A store whose stream was answered, with nothing, in the second of the newest write."""
    monkeypatch.setattr(change_stream, "_WAIT_MS", 20)
    answers = Answers(monkeypatch)
    store = MongoStore(url)
    store.declare(["beds"])
    async with asyncio.timeout(TIMEOUT_S):
        # A collection that is there: making it is a tick of its own.
        beds.insert_one({"_id": "old", "n": 2})
        await store.open()
        try:
            await answers.more(2)
            yield store
        finally:
            await store.close()


async def test_the_first_write_after_the_start_is_told(
    quiet: MongoStore, beds: ForeignCollection[dict[str, Any]]
) -> None:
    told = Told()
    quiet.listen(told)
    for number in range(3):
        beds.insert_one({"_id": number})
    async with asyncio.timeout(TIMEOUT_S):
        await told.until(3)
    assert told.ids == [0, 1, 2]


async def test_the_database_evaluates_before_anything_happens(quiet: MongoStore) -> None:
    assert (await quiet.evaluate(POLLED)).documents == [{"_id": "old", "n": 2}]
