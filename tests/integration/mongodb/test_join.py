"""A live query joins the feed without a gap, while others write into it.

``BOLIDE_TESTS_JOINS`` is the number of subscriptions (100).
"""

import asyncio
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest
from tests.integration.mongodb.truth import COLLECTION, Observer, Truth, Writers, truth_of

from bolide.server.livequery.live_queries import LiveQueries
from bolide.server.livequery.multiplexer import Multiplexer
from bolide.server.stores.base import Change, Position, Query
from bolide.server.stores.mongo import MongoStore
from bolide.server.stores.mongo.cluster_time import position_of
from bolide.server.stores.mongo.codec import run_command
from bolide.server.stores.mongo.reading import queries, snapshots
from bolide.server.stores.mongo.reading.snapshots import Found, SnapshotReader
from bolide.server.turn import Turn

JOINS = int(os.environ.get("BOLIDE_TESTS_JOINS", "100"))
WRITERS = 8
AT_ONCE = 10
LATER_TURNS = 3
SMALL_BATCH = 10
MOST_STAYING = 20
NAIVE_JOINS = 60
"""In so many joins every wrong way was found wrong several times, in each of many runs."""
TIMEOUT_S = 1200


class Joins:
    """A node's live queries that join one after the other, and what they showed."""

    def __init__(self, truth: Truth) -> None:
        self.truth = truth
        self.observers: list[Observer] = []
        self._staying: list[Observer] = []

    async def run(self, count: int) -> None:
        """Let so many queries join while others write; some stay to the end."""
        store = MongoStore(self.truth.url)
        store.declare([COLLECTION])
        await store.open()
        live = LiveQueries(store, Turn())
        writers = Writers(self.truth)
        try:
            async with asyncio.timeout(TIMEOUT_S):
                async with writers.writing(WRITERS, writers.anything):
                    for first in range(0, count, AT_ONCE):
                        numbers = range(first, min(first + AT_ONCE, count))
                        await asyncio.gather(*(self._join(live, number) for number in numbers))
                await self.truth.complete()
                end = await store.read(Query(collection=COLLECTION))
                await store.feed_reached(end.position)
                await live.idle()
        finally:
            live.close()
            await store.close()

    def faults(self) -> list[str]:
        """Say which views were no states, or went back, or did not end at the last state."""
        found = [self.truth.fault(observer.shown) for observer in self.observers]
        late = [o for o in self._staying if o.shown[-1] != self.truth.last]
        return [*filter(None, found), *("not at the last state" for _ in late)]

    async def _join(self, live: LiveQueries, number: int) -> None:
        observer = Observer()
        # Each is a query of its own, so that each is read; all select everything.
        query = Query(collection=COLLECTION, selector={"v": {"$gte": -number}})
        following = await live.follow(query, observer)
        self.observers.append(observer)
        if number % AT_ONCE == 0 and len(self._staying) < MOST_STAYING:
            self._staying.append(observer)
            return
        await observer.turns(LATER_TURNS)
        following.stop()


@pytest.fixture(params=[1000, SMALL_BATCH])
def answers(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a result come in one answer of the server, or in several."""
    for module in (queries, snapshots):
        monkeypatch.setattr(module, "BATCH", request.param)


@pytest.mark.usefixtures("answers")
async def test_who_joins_misses_nothing_and_sees_nothing_twice(
    new_database: Callable[[], str],
) -> None:
    async with truth_of(new_database()) as truth:
        joins = Joins(truth)
        await joins.run(JOINS)
        assert joins.faults() == []
        assert len(joins.observers) == JOINS
        print(f"{JOINS} joins into {truth.count} states")
        assert truth.count > JOINS


async def _read_at_operation_time(reader: SnapshotReader, command: Mapping[str, Any]) -> Found:
    """Read as one would without snapshots: majority, and the time that the session tells."""
    database = reader.database
    majority = {**command, "readConcern": {"level": "majority"}}
    async with database.client.start_session() as session:
        cursor = (await run_command(database, majority, session))["cursor"]
        documents = cursor["firstBatch"]
        while cursor["id"]:
            more = {"getMore": cursor["id"], "collection": COLLECTION, "batchSize": SMALL_BATCH}
            cursor = (await run_command(database, more, session))["cursor"]
            documents += cursor["nextBatch"]
        assert session.operation_time is not None
        return Found(position_of(session.operation_time), documents)


def _listen_after_reading(
    multiplexer: Multiplexer, changes: Sequence[Change], position: Position | None = None
) -> None:
    """Take no changes before the first result is there."""
    if multiplexer._position is not None:  # pyright: ignore[reportPrivateUsage]
        _TAKE(multiplexer, changes, position)


_TAKE = Multiplexer.changes_received


@pytest.mark.parametrize(
    ("where", "name", "naive"),
    [
        pytest.param(SnapshotReader, "_read", _read_at_operation_time, id="operationTime"),
        pytest.param(Multiplexer, "changes_received", _listen_after_reading, id="read then open"),
    ],
)
async def test_a_naive_join_is_noticed(
    new_database: Callable[[], str],
    monkeypatch: pytest.MonkeyPatch,
    where: type,
    name: str,
    naive: Callable[..., Any],
) -> None:
    for module in (queries, snapshots):
        monkeypatch.setattr(module, "BATCH", SMALL_BATCH)
    monkeypatch.setattr(where, name, naive)
    async with truth_of(new_database()) as truth:
        joins = Joins(truth)
        await joins.run(NAIVE_JOINS)
        faults = joins.faults()
        print(f"{len(faults)} faults in {NAIVE_JOINS} naive joins")
        assert faults


async def test_what_is_dropped_is_empty_since_then_and_not_before(
    new_database: Callable[[], str],
) -> None:
    async with truth_of(new_database()) as truth:
        reader = SnapshotReader(truth.collection.database)
        async with truth.client.start_session() as session:
            await truth.collection.update_one({"_id": "d1"}, {"$set": {"v": -1}}, session=session)
            assert session.operation_time is not None
            before = position_of(session.operation_time)
            await truth.collection.database.drop_collection(COLLECTION, session=session)
            assert session.operation_time is not None
            dropped = position_of(session.operation_time)
        found = await reader.read({"find": COLLECTION, "filter": {}}, after=before)
        assert found.documents == []
        assert dropped <= found.position
