"""A stream that begins where nothing happens: it begins one tick after the newest write.

The cluster's time is an hour ahead of all clocks here, as a member with a wrong clock can make it:
so each write comes exactly one tick after the one before, whatever second it is.
"""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from bson import Int64, Timestamp
from pymongo.database import Database
from tests.integration.stores.support import Follower
from tests.replica_set import ReplicaSet, find_mongod

from bolide.server.stores.base import Query
from bolide.server.stores.feed_health import FeedHealth
from bolide.server.stores.mongo import MongoStore
from bolide.server.stores.mongo.feed import change_stream
from bolide.server.stores.mongo.feed.interruptions import Interruption

TIMEOUT_S = 30
AHEAD_S = 3600
BEDS = Query(collection="beds")
POLLED = Query(collection="beds", selector={"$where": "this.n > 1"})

pytestmark = pytest.mark.skipif(
    find_mongod() is None and not os.environ.get("CI"), reason="no mongod: set BOLIDE_MONGOD"
)


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


@pytest.fixture(scope="module")
def ahead() -> Iterator[ReplicaSet]:
    """A replica set without users: there the time that a client tells of is taken as it is."""
    with ReplicaSet(1) as ahead, ahead.client() as client:
        told = {
            "clusterTime": Timestamp(int(time.time()) + AHEAD_S, 1),
            "signature": {"hash": bytes(20), "keyId": Int64(0)},
        }
        with client.start_session() as session:
            session.advance_cluster_time(told)
            client.admin.command("ping", session=session)
        yield ahead


@pytest.fixture
def foreign(ahead: ReplicaSet) -> Iterator[Database[dict[str, Any]]]:
    """What another program writes to."""
    with ahead.client() as client:
        database = client["ward"]
        # A collection that is there: making it is a tick of its own.
        database["beds"].insert_one({"_id": "old", "n": 2})
        yield database
        client.drop_database("ward")


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> Answers:
    monkeypatch.setattr(change_stream, "_WAIT_MS", 20)
    return Answers(monkeypatch)


@pytest.fixture
async def store(
    ahead: ReplicaSet, foreign: Database[dict[str, Any]], answers: Answers
) -> AsyncIterator[MongoStore]:
    """A store whose stream was answered, with nothing."""
    store = MongoStore(ahead.url("ward"))
    store.declare(["beds"])
    async with asyncio.timeout(TIMEOUT_S):
        await store.open()
        try:
            await answers.more(2)
            yield store
        finally:
            await store.close()


@pytest.mark.parametrize("is_opened_again", [False, True])
async def test_the_first_write_is_told(
    ahead: ReplicaSet,
    store: MongoStore,
    foreign: Database[dict[str, Any]],
    answers: Answers,
    is_opened_again: bool,
) -> None:
    if is_opened_again:
        await asyncio.to_thread(ahead.fail, 1, "getMore", errorCode=11600)
        await answers.more(4)
        assert store.feed_health.reopenings[Interruption.PRIMARY_CHANGED] == 1
    follower = Follower()
    store.listen(follower)
    for number in range(3):
        foreign["beds"].insert_one({"_id": number})
    await store.feed_reached((await store.read(BEDS)).position)
    assert [change.id for change in follower.changes] == [0, 1, 2]


async def test_the_database_evaluates_before_anything_happens(store: MongoStore) -> None:
    assert (await store.evaluate(POLLED)).documents == [{"_id": "old", "n": 2}]
