"""Polled live queries over the memory store, in time that the test owns."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest
from pymongo.errors import AutoReconnect, OperationFailure
from tests.unit.server.evaluating_store import EvaluatingStore
from tests.view_replica import ViewReplica

from bolide.core.minimongo.errors import MinimongoError
from bolide.core.values import Document
from bolide.server.clock import Timer
from bolide.server.limits import Limits
from bolide.server.livequery.advice.statistics import LiveQueryStatistics
from bolide.server.livequery.live_queries import LiveQueries
from bolide.server.livequery.polling.polled_result import TooManyRows, UnidentifiedRows
from bolide.server.livequery.polling.polls import POLL_INTERVAL_S, POLL_PAUSE_S
from bolide.server.livequery.turns import QueryTooExpensive
from bolide.server.logging.explained import NeedsMongoDB
from bolide.server.stores.base import (
    AccessFilter,
    Delete,
    Insert,
    Position,
    Query,
    Update,
    WriteOperation,
)
from bolide.server.stores.evaluation import Aggregation, CollectionKind, Origin
from bolide.server.stores.memory import MemoryStore
from bolide.server.stores.pipelines import WrongPipeline
from bolide.server.stores.slowness import QueryTooSlow
from bolide.server.telemetry.metrics import Metrics
from bolide.server.testing import FakeClock
from bolide.server.turn import Turn

MOST_ROWS = 5


LARGE = Query(collection="c", selector={"$where": "n > 3"})
LARGE_OF_7 = Query(collection="c", selector={"$where": "n > 3", "ward": "7"})
SUMS = Aggregation(collection="c", name="sums", pipeline=({"$group": {"_id": "$ward"}},))
JOINED = replace(SUMS, joined=frozenset({"d"}))


class CountingClock(FakeClock):
    """A clock that knows how many wait for it.

    Attributes:
        waiting: Timers that were neither cancelled nor run.
    """

    def __init__(self) -> None:
        super().__init__()
        self.waiting = 0

    def call_at(self, when: float, callback: Callable[[], object]) -> Timer:
        self.waiting += 1
        clock, is_over = self, False

        def over() -> None:
            nonlocal is_over
            clock.waiting -= not is_over
            is_over = True

        class Counted:
            def cancel(self) -> None:
                over()
                timer.cancel()

        def run() -> None:
            over()
            callback()

        timer = super().call_at(when, run)
        return Counted()


@dataclass
class World:
    store: EvaluatingStore
    live: LiveQueries
    clock: CountingClock
    metrics: Metrics

    async def insert(
        self, *documents: Document, collection: str = "c", ward: str = "7"
    ) -> Position:
        documents = tuple({"ward": ward, **document} for document in documents)
        return await self._write(Insert(collection=collection, documents=documents))

    async def set(self, id: str, **fields: Any) -> Position:
        update = Update(collection="c", selector={"_id": id}, modifier={"$set": fields})
        return await self._write(update)

    async def delete(self, id: str) -> Position:
        return await self._write(Delete(collection="c", selector={"_id": id}))

    async def _write(self, operation: WriteOperation) -> Position:
        """Write, and wait until everybody was told of it."""
        receipt = await self.store.write(operation)
        assert receipt.position is not None
        await self.store.feed_reached(receipt.position)
        return receipt.position

    async def follow(self, query: Query) -> ViewReplica:
        replica = ViewReplica()
        await self.live.follow(query, replica)
        return replica

    async def pass_pause(self) -> None:
        await self.clock.advance(POLL_PAUSE_S)

    @property
    def only(self) -> LiveQueryStatistics:
        (statistics,) = self.live.statistics()
        return statistics

    def polled(self, reason: str) -> float | None:
        return self.metrics.registry.get_sample_value("bolide_polls_total", {"reason": reason})


@pytest.fixture
async def world() -> AsyncIterator[World]:
    store, clock, metrics = EvaluatingStore(), CountingClock(), Metrics()
    await store.open()
    limits = Limits(max_aggregate_rows=MOST_ROWS)
    live = LiveQueries(store, Turn(), clock=clock, metrics=metrics, limits=limits)
    yield World(store, live, clock, metrics)
    live.close()
    await store.close()


async def test_a_store_that_evaluates_nothing_refuses() -> None:
    store = MemoryStore()
    await store.open()
    live = LiveQueries(store, Turn())
    with pytest.raises(MinimongoError, match=r"\$where is not supported here.*needs MongoDB"):
        await live.follow(LARGE, ViewReplica())
    with pytest.raises(NeedsMongoDB, match=r"app\.live_aggregate on c needs MongoDB"):
        await live.follow(SUMS, ViewReplica())
    assert len(live) == 0
    live.close()
    await store.close()


async def test_a_write_is_polled_for_at_once_then_after_a_pause(world: World) -> None:
    await world.insert({"_id": "a", "n": 4}, {"_id": "b", "n": 1})
    replica = await world.follow(LARGE)
    assert replica.documents == {"a": {"ward": "7", "n": 4}}
    await world.set("b", n=5)
    await world.clock.advance(POLL_PAUSE_S * 0.9)
    assert len(world.store.polls) == 1
    await world.clock.advance(POLL_PAUSE_S * 0.2)
    assert list(replica.documents) == ["a", "b"]
    # Long after: at once.
    await world.clock.advance(1)
    await world.set("a", n=0)
    await world.clock.advance(0)
    assert list(replica.documents) == ["b"]
    assert world.polled("change") == 2


async def test_a_flood_of_writes_is_polled_for_once_in_each_pause(world: World) -> None:
    replica = await world.follow(LARGE)
    for number in range(100):
        await world.insert({"_id": f"{number}", "n": 9})
        await world.clock.advance(POLL_PAUSE_S / 10)
    # Neither at each write nor only when they end.
    assert 10 <= len(world.store.polls) - 1 <= 11
    assert len(replica.documents) >= 90


async def test_it_is_polled_after_the_interval_anyway(world: World) -> None:
    world.store.foreign = [{"_id": "a"}]
    world.store.origins["foreign"] = Origin(CollectionKind.VIEW, frozenset({"elsewhere"}), False)
    replica = await world.follow(Query(collection="foreign"))
    assert (world.only.driver, world.only.reason, world.only.is_polled) == ("polled", "view", True)
    for number in range(3):
        world.store.foreign = [{"_id": "a", "number": number}]
        await world.clock.advance(POLL_INTERVAL_S - 0.5)
        assert replica.documents["a"] == ({"number": number - 1} if number else {})
        await world.clock.advance(0.5)
        assert replica.documents["a"] == {"number": number}
    assert world.polled("interval") == 3


async def test_equal_queries_are_polled_once_and_late_joiners_get_the_result(
    world: World,
) -> None:
    await world.insert({"_id": "a", "n": 4})
    one, two = await asyncio.gather(world.follow(LARGE), world.follow(LARGE))
    three = await world.follow(Query(collection="c", selector={"$where": "n > 3"}))
    assert len(world.store.polls) == 1
    assert one.documents == two.documents == three.documents == {"a": {"ward": "7", "n": 4}}
    assert world.only.followers == 3


async def test_a_window_of_a_polled_query_is_the_databases(world: World) -> None:
    await world.insert(*({"_id": f"{n}", "n": n} for n in range(10)))
    window = replace(LARGE, sort=(("n", -1),), skip=1, limit=2, projection={"n": 1})
    replica = await world.follow(window)
    assert replica.documents == {"8": {"n": 8}, "7": {"n": 7}}
    await world.set("9", n=0)
    await world.pass_pause()
    assert replica.documents == {"7": {"n": 7}, "6": {"n": 6}}


async def test_what_cannot_concern_it_is_not_polled_for(world: World) -> None:
    await world.insert({"_id": "a", "n": 4}, {"_id": "b", "n": 4, "ward": "8"})
    replica = await world.follow(LARGE_OF_7)
    await world.set("b", n=5)
    await world.insert({"_id": "c", "n": 4}, ward="8")
    await world.pass_pause()
    assert len(world.store.polls) == 1
    await world.set("b", ward="7")
    await world.pass_pause()
    assert list(replica.documents) == ["a", "b"]
    await world.set("a", ward="8")
    await world.pass_pause()
    assert list(replica.documents) == ["b"]


async def test_only_open_access_scopes_are_seen(world: World) -> None:
    await world.insert({"_id": "a", "n": 4}, {"_id": "b", "n": 4, "ward": "8"})
    access = AccessFilter("ward", frozenset({"8"}))
    replica = await world.follow(replace(LARGE, access=access))
    rows = await world.follow(replace(SUMS, access=access))
    assert list(replica.documents) == ["b"]
    assert rows.documents == {"8": {"sum": 4}}
    await world.set("a", n=5)
    await world.pass_pause()
    assert len(world.store.polls) == 2


async def test_a_hint_is_polled_for_and_changes_nothing_by_itself(world: World) -> None:
    world.store.origins["foreign"] = Origin(CollectionKind.TIME_SERIES, frozenset(), False)
    replica = await world.follow(Query(collection="foreign"))
    for _ in range(100):
        world.live.hinted("foreign", "forged")
    await world.pass_pause()
    assert len(replica.turns) == 0
    assert len(world.store.polls) == 2
    world.store.foreign = [{"_id": "a"}]
    world.live.hinted("foreign", "a")
    await world.pass_pause()
    assert list(replica.documents) == ["a"]
    assert world.polled("hint") == 2


async def test_a_hint_during_a_poll_is_polled_for_again(world: World) -> None:
    world.store.origins["foreign"] = Origin(CollectionKind.VIEW, frozenset(), False)
    world.store.gate.clear()
    following = asyncio.create_task(world.follow(Query(collection="foreign")))
    await world.clock.advance(0)
    for number in range(3):
        assert len(world.store.polls) == number + 1
        world.store.foreign = [{"_id": "a", "number": number}]
        world.live.hinted("foreign")
        world.store.gate.set()
        await world.clock.advance(0)
        world.store.gate.clear()
        await world.pass_pause()
    world.store.gate.set()
    await world.clock.advance(0)
    assert (await following).documents == {"a": {"number": 2}}
    assert len(world.store.polls) == 4
    # Each had to see what there was when it began, wherever that is.
    assert world.store.polls == [None] * 4


async def test_a_hint_that_a_failed_poll_did_not_answer_is_not_forgotten(world: World) -> None:
    await world.insert({"_id": "a", "n": 4})
    replica = await world.follow(LARGE)
    world.store.error = AutoReconnect("no")
    world.live.hinted("c")
    await world.set("a", n=5)
    await world.pass_pause()
    assert replica.error is None
    world.store.error = None
    await world.clock.advance(1)
    assert world.store.polls == [None] * 3
    assert replica.documents["a"]["n"] == 5


async def test_a_fence_waits_for_a_poll_that_began_after_the_write(world: World) -> None:
    replica = await world.follow(LARGE)
    await world.clock.advance(1)
    world.store.gate.clear()
    await world.insert({"_id": "a", "n": 4})
    await world.clock.advance(0)
    # This one is under way, and does not have it.
    position = await world.insert({"_id": "b", "n": 4})
    settling = asyncio.create_task(world.live.settle({"c": position}))
    await world.clock.advance(0)
    world.store.gate.set()
    await world.clock.advance(0)
    assert list(replica.documents) == ["a"]
    assert not settling.done()
    await world.pass_pause()
    assert settling.done()
    assert list(replica.documents) == ["a", "b"]


async def test_a_fence_of_what_no_poll_is_for_does_not_wait(world: World) -> None:
    await world.follow(LARGE_OF_7)
    position = await world.insert({"_id": "a", "n": 4}, ward="8")
    await world.live.settle({"c": position})
    assert len(world.store.polls) == 1


async def test_a_fence_of_what_the_feed_does_not_tell_waits_for_a_poll(world: World) -> None:
    world.store.origins["foreign"] = Origin(CollectionKind.TIME_SERIES, frozenset(), False)
    replica = await world.follow(Query(collection="foreign"))
    position = await world.insert({"_id": "x", "n": 1}, collection="elsewhere")
    world.store.foreign = [{"_id": "a"}]
    settling = asyncio.create_task(world.live.settle({"foreign": position}))
    await world.pass_pause()
    await settling
    assert list(replica.documents) == ["a"]
    # What was read since then is not read again.
    await world.live.settle({"foreign": position})
    assert len(world.store.polls) == 2


async def test_who_comes_late_sees_what_was_written_where_nobody_tells(world: World) -> None:
    world.store.origins["foreign"] = Origin(CollectionKind.VIEW, frozenset(), False)
    await world.follow(Query(collection="foreign"))
    world.store.foreign = [{"_id": "a"}]
    await world.insert({"_id": "x", "n": 1})
    late = asyncio.create_task(world.follow(Query(collection="foreign")))
    await world.pass_pause()
    assert list((await late).documents) == ["a"]


async def test_rows_follow_their_collection_and_those_that_they_join(world: World) -> None:
    await world.insert({"_id": "a", "n": 4})
    replica = await world.follow(JOINED)
    assert replica.documents == {"7": {"sum": 4}}
    assert {change.message.collection for turn in replica.turns for change in turn} == {"sums"}
    await world.insert({"_id": "x", "n": 2}, {"_id": "y", "n": 3, "ward": "8"}, collection="d")
    await world.pass_pause()
    assert replica.documents == {"7": {"sum": 6}, "8": {"sum": 3}}
    position = await world.insert({"_id": "z", "n": 1}, collection="d")
    settling = asyncio.create_task(world.live.settle({"d": position}))
    await world.clock.advance(0)
    assert not settling.done()
    await world.pass_pause()
    await settling
    assert replica.documents == {"7": {"sum": 7}, "8": {"sum": 3}}
    assert world.only.selector == "[$group]"
    assert world.only.reason == "aggregation"


async def test_a_join_that_changes_while_it_is_read_first_is_read_again(world: World) -> None:
    world.store.gate.clear()
    following = asyncio.create_task(world.follow(JOINED))
    await world.clock.advance(0)
    await world.insert({"_id": "x", "n": 2}, collection="d")
    world.store.gate.set()
    await world.pass_pause()
    assert (await following).documents == {"7": {"sum": 2}}


async def test_rows_that_join_their_own_collection_see_every_change(world: World) -> None:
    itself = replace(
        SUMS, pipeline=({"$match": {"ward": "7"}}, {"$group": {}}), joined=frozenset({"c"})
    )
    await world.follow(itself)
    await world.follow(replace(itself, name="others", joined=frozenset()))
    await world.insert({"_id": "x", "n": 2}, ward="8")
    await world.pass_pause()
    assert len(world.store.polls) == 3


async def test_rows_that_differ_in_their_pipeline_or_name_are_kept_apart(world: World) -> None:
    for query in (SUMS, replace(SUMS, name="other"), replace(SUMS, pipeline=({"$limit": 1},))):
        await world.follow(query)
    assert len(world.live) == 3


@pytest.mark.parametrize(
    ("rows", "error"),
    [
        ([{"n": 1}], UnidentifiedRows),
        ([{"_id": 1}, {"_id": 1.0}], UnidentifiedRows),
        ([{"_id": n} for n in range(MOST_ROWS + 1)], TooManyRows),
    ],
)
async def test_rows_that_clients_cannot_hold_end_it(
    world: World, rows: list[Document], error: type[Exception]
) -> None:
    replica = await world.follow(SUMS)
    world.store.rows = lambda _: [{"_id": n} for n in range(MOST_ROWS)]
    await world.insert({"_id": "a", "n": 4})
    await world.pass_pause()
    assert len(replica.documents) == MOST_ROWS
    world.store.rows = lambda _: rows
    await world.insert({"_id": "b", "n": 4})
    await world.pass_pause()
    assert isinstance(replica.error, error)
    assert len(world.live) == 1
    with pytest.raises(error, match="sums"):
        await world.follow(replace(SUMS, skip=1))


async def test_an_error_that_may_pass_makes_it_late(world: World) -> None:
    replica = await world.follow(LARGE)
    world.store.error = AutoReconnect("no")
    await world.insert({"_id": "a", "n": 4})
    await world.clock.advance(POLL_INTERVAL_S)
    assert replica.error is None
    assert world.only.state == "read again: change"
    world.store.error = None
    await world.clock.advance(POLL_INTERVAL_S)
    assert list(replica.documents) == ["a"]


async def test_an_error_that_does_not_pass_ends_it(world: World) -> None:
    replica = await world.follow(LARGE)
    world.store.error = OperationFailure("no", 2)
    await world.insert({"_id": "a", "n": 4})
    await world.pass_pause()
    assert replica.error is world.store.error
    polls = len(world.store.polls)
    world.live.hinted("c")
    await world.insert({"_id": "b", "n": 4})
    await world.clock.advance(2 * POLL_INTERVAL_S)
    assert len(world.store.polls) == polls


async def test_a_view_is_joined_only_if_what_it_is_of_has_no_access_scopes(world: World) -> None:
    of_patients = Origin(CollectionKind.VIEW, frozenset({"beds", "patients"}), True)
    rows = replace(JOINED, scoped=frozenset({"patients"}))
    world.store.origins["d"] = of_patients
    with pytest.raises(WrongPipeline, match=r"would read patients .* through the view d"):
        await world.follow(rows)
    world.store.origins["d"] = replace(of_patients, reads=frozenset({"_bolide_calls"}))
    with pytest.raises(WrongPipeline, match="not the app's through the view d"):
        await world.follow(rows)
    assert not world.store.polls
    world.store.origins["d"] = replace(of_patients, reads=frozenset({"beds"}))
    replica = await world.follow(rows)
    world.store.origins["d"] = of_patients
    world.live.hinted("d")
    await world.pass_pause()
    assert isinstance(replica.error, WrongPipeline)


async def test_what_takes_the_database_too_long_is_not_tried_again(world: World) -> None:
    world.store.error = QueryTooSlow()
    with pytest.raises(QueryTooExpensive):
        await world.follow(LARGE)
    assert len(world.store.polls) == 1


async def test_a_first_poll_that_fails_is_told_and_forgotten(world: World) -> None:
    world.store.error = OperationFailure("no", 2)
    with pytest.raises(OperationFailure):
        await world.follow(LARGE)
    assert len(world.live) == 0
    await world.clock.advance(2 * POLL_INTERVAL_S)
    assert len(world.store.polls) == 1


async def test_a_query_that_nobody_follows_is_polled_no_more(world: World) -> None:
    following = await world.live.follow(LARGE, ViewReplica())
    await world.insert({"_id": "a", "n": 4})
    assert world.live.wants_update("c", "x", ["z"])
    following.stop()
    assert not world.live.wants_update("c", "x", ["z"])
    await world.clock.advance(0)
    assert world.clock.waiting == 0
    world.live.hinted("c")
    await world.clock.advance(2 * POLL_INTERVAL_S)
    assert len(world.store.polls) == 1


async def test_lost_history_and_lost_collections_are_polled_for(world: World) -> None:
    await world.insert({"_id": "a", "n": 4})
    replica = await world.follow(LARGE)
    joined = await world.follow(JOINED)
    await world.store.drop_collection("c")
    await world.pass_pause()
    assert replica.documents == joined.documents == {}
    world.live.history_lost((await world.store.read(Query(collection="c"))).position)
    await world.pass_pause()
    assert world.polled("history lost") == 2
    assert len(world.store.polls) == 6


async def test_a_collection_that_becomes_capped_is_polled_from_then_on(world: World) -> None:
    await world.insert({"_id": "a", "n": 4}, {"_id": "b", "n": 5})
    replica = await world.follow(Query(collection="c", selector={"ward": "7"}))
    assert world.only.driver == "index eq ward"
    world.store.origins["c"] = Origin(CollectionKind.CAPPED, frozenset({"c"}), True)
    world.live.history_lost((await world.store.read(Query(collection="c"))).position)
    await world.pass_pause()
    assert (world.only.driver, world.only.reason) == ("polled", "capped")
    assert len(replica.turns) == 1
    await world.set("a", n=1)
    await world.pass_pause()
    settling = asyncio.create_task(world.live.settle({"c": await world.delete("b")}))
    await world.pass_pause()
    await settling
    assert replica.documents == {"a": {"ward": "7", "n": 1}}
    assert len(world.store.polls) == 3


@pytest.mark.parametrize("shown", [0, False, 0.0])
async def test_a_polled_query_cannot_leave_out_the_id(world: World, shown: Any) -> None:
    with pytest.raises(MinimongoError, match="_id"):
        await world.follow(replace(LARGE, projection={"_id": shown}))
