"""Live queries over the memory store, with a gate between a read and its answer."""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest
import pytest_asyncio
from tests.view_replica import ViewReplica as Replica

from bolide.core.errors import StateError
from bolide.core.minimongo.errors import MinimongoError
from bolide.core.values import Regex
from bolide.server.limits import Limits
from bolide.server.livequery.live_queries import LiveQueries
from bolide.server.livequery.multiplexer import MAX_KEPT_CHANGES, Multiplexer
from bolide.server.livequery.surroundings import Surroundings
from bolide.server.livequery.turns import QueryTooExpensive
from bolide.server.stores.base import (
    Change,
    ChangeBatch,
    ChangeKind,
    Delete,
    Insert,
    Position,
    Query,
    Snapshot,
    Update,
)
from bolide.server.stores.memory import MemoryStore
from bolide.server.telemetry.metrics import Metrics
from bolide.server.turn import Turn

ALL = Query(collection="c")
TWO = Query(collection="c", sort=(("n", 1),), limit=2)
ANY_TWO = Query(collection="c", limit=2)


class GatedStore(MemoryStore):
    """A store whose answers can be held back, or turned into errors."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = asyncio.Event()
        self.gate.set()
        self.is_reading = asyncio.Event()
        self.error: Exception | None = None
        self.position_error: Exception | None = None
        self.feed_gate = asyncio.Event()
        self.feed_gate.set()
        self.is_awaited = asyncio.Event()
        self.reads = 0

    async def latest_position(self) -> Position:
        if self.position_error is not None:
            raise self.position_error
        return await super().latest_position()

    async def feed_reached(self, position: Position) -> None:
        self.is_awaited.set()
        await self.feed_gate.wait()
        await super().feed_reached(position)

    async def read(self, query: Query, *, after: Position | None = None) -> Snapshot:
        snapshot = await super().read(query, after=after)
        self.reads += 1
        self.is_reading.set()
        await self.gate.wait()
        if self.error is not None:
            raise self.error
        return snapshot

    def hold(self) -> None:
        self.gate.clear()
        self.is_reading.clear()


@dataclass
class World:
    store: GatedStore
    live: LiveQueries

    async def insert(self, *documents: dict[str, Any]) -> None:
        await self.store.write(Insert(collection="c", documents=documents))

    async def update(self, id: str, modifier: Mapping[str, Any]) -> None:
        await self.store.write(Update(collection="c", selector={"_id": id}, modifier=modifier))

    async def delete(self, id: str) -> None:
        await self.store.write(Delete(collection="c", selector={"_id": id}))

    async def deliver(self) -> None:
        """Wait until the feed has delivered what was written."""
        await self.store.feed_reached((await MemoryStore.read(self.store, ALL)).position)

    async def settle(self) -> None:
        """Wait until all that was written was told."""
        receipt = await self.store.write(
            Insert(collection="fence", documents=[{"_id": object_id()}])
        )
        assert receipt.position is not None
        await self.live.settle({"c": receipt.position})


_numbers = iter(range(10**6))


def object_id() -> str:
    return f"fence-{next(_numbers)}"


@pytest_asyncio.fixture
async def world() -> AsyncGenerator[World]:
    store = GatedStore()
    await store.open()
    live = LiveQueries(store, Turn())
    yield World(store, live)
    live.close()
    await store.close()


async def test_the_first_result_was_given_when_follow_returns(world: World) -> None:
    await world.insert({"_id": "a", "n": 1})
    replica = Replica()
    await world.live.follow(ALL, replica)
    assert replica.documents == {"a": {"n": 1}}


async def test_inserts_changes_and_deletes_are_followed(world: World) -> None:
    replica = Replica()
    await world.live.follow(Query(collection="c", selector={"n": {"$gt": 0}}), replica)
    await world.insert({"_id": "a", "n": 1, "x": 1}, {"_id": "b", "n": 0})
    await world.update("a", {"$set": {"n": 2}, "$unset": {"x": 1}})
    await world.update("b", {"$set": {"n": 5}})
    await world.settle()
    assert replica.documents == {"a": {"n": 2}, "b": {"n": 5}}
    await world.update("a", {"$set": {"n": -1}})
    await world.delete("b")
    await world.settle()
    assert replica.documents == {}


async def test_what_a_projection_hides_causes_no_change(world: World) -> None:
    await world.insert({"_id": "a", "n": 1, "x": 1})
    replica = Replica()
    await world.live.follow(Query(collection="c", projection={"n": 1}), replica)
    await world.update("a", {"$set": {"x": 2}})
    await world.settle()
    assert replica.documents == {"a": {"n": 1}}
    assert len(replica.turns) == 1


async def test_a_projection_without_id_cannot_be_followed(world: World) -> None:
    with pytest.raises(MinimongoError, match="_id"):
        await world.live.follow(Query(collection="c", projection={"_id": 0}), Replica())
    assert len(world.live) == 0


async def test_a_change_while_the_first_result_is_read_is_not_lost(world: World) -> None:
    await world.insert({"_id": "a", "n": 1})
    world.store.hold()
    replica = Replica()
    following = asyncio.create_task(world.live.follow(ALL, replica))
    await world.store.is_reading.wait()
    await world.insert({"_id": "b", "n": 2})
    await world.update("a", {"$set": {"n": 3}})
    await world.delete("a")
    world.store.gate.set()
    await following
    await world.settle()
    assert replica.documents == {"b": {"n": 2}}


async def test_what_leaves_while_the_first_result_is_read_is_not_kept(world: World) -> None:
    await world.insert({"_id": "a", "w": 1}, {"_id": "b", "w": 1})
    world.store.hold()
    replica = Replica()
    query = Query(collection="c", selector={"w": 1})
    following = asyncio.create_task(world.live.follow(query, replica))
    await world.store.is_reading.wait()
    await world.update("a", {"$set": {"w": 2}})
    await world.deliver()
    world.store.gate.set()
    await following
    await world.settle()
    assert set(replica.documents) == {"b"}


async def test_a_change_that_the_snapshot_has_is_not_told_twice(world: World) -> None:
    replica = Replica()
    following = asyncio.create_task(world.live.follow(ALL, replica))
    await world.insert({"_id": "a", "n": 1})
    await following
    await world.settle()
    assert replica.documents == {"a": {"n": 1}}


async def test_a_feed_behind_the_first_result_takes_nobody_back(world: World) -> None:
    await world.insert({"_id": "a", "n": 1})
    inserted_at = (await world.store.read(ALL)).position
    await world.update("a", {"$set": {"n": 2}})
    replica = Replica()
    await world.live.follow(ALL, replica)
    late = Change(inserted_at, "c", "a", ChangeKind.INSERT, None, {"_id": "a", "n": 1})
    world.live.changes_received(ChangeBatch(inserted_at, [late]))
    await world.settle()
    assert replica.documents == {"a": {"n": 2}}
    assert len(replica.turns) == 1


async def test_two_hundred_followers_at_once_make_one_query(world: World) -> None:
    await world.insert({"_id": "a", "n": 1})
    replicas = [Replica() for _ in range(200)]
    followings = await asyncio.gather(*(world.live.follow(ALL, r) for r in replicas))
    assert len(world.live) == 1
    assert world.store.reads == 1
    assert all(replica.documents == {"a": {"n": 1}} for replica in replicas)
    assert replicas[0].turns[0][0] is replicas[1].turns[0][0]
    for following in followings:
        following.stop()
        following.stop()
    assert len(world.live) == 0


async def test_queries_that_differ_are_kept_apart(world: World) -> None:
    for selector in ({"n": 1}, {"n": True}, {"n": "1"}, {"n": {"$gt": 1}}):
        await world.live.follow(Query(collection="c", selector=selector), Replica())
    await world.live.follow(TWO, Replica())
    await world.live.follow(Query(collection="c", projection={"n": 1}), Replica())
    assert len(list(world.live)) == 6


async def test_a_query_of_another_collection_hears_nothing(world: World) -> None:
    replica = Replica()
    await world.live.follow(Query(collection="other"), replica)
    await world.insert({"_id": "a"})
    await world.settle()
    assert replica.turns == []


async def test_a_window_is_always_what_find_returns(world: World) -> None:
    replica = Replica()
    await world.live.follow(TWO, replica)
    await world.insert({"_id": "c", "n": 3}, {"_id": "b", "n": 2}, {"_id": "a", "n": 1})
    await world.settle()
    assert replica.documents == {"a": {"n": 1}, "b": {"n": 2}}
    await world.update("c", {"$set": {"n": 0}})
    await world.settle()
    assert replica.documents == {"c": {"n": 0}, "a": {"n": 1}}
    await world.delete("a")
    await world.settle()
    assert replica.documents == {"c": {"n": 0}, "b": {"n": 2}}


async def test_a_burst_ends_in_few_readings(world: World) -> None:
    await world.live.follow(ANY_TWO, Replica())
    (multiplexer,) = world.live
    for number in range(50):
        await world.insert({"_id": str(number), "n": number})
    await world.settle()
    assert 1 <= multiplexer.reread_count <= 51
    world.store.hold()
    await world.insert({"_id": "x", "n": -1})
    await world.store.is_reading.wait()
    before = multiplexer.reread_count
    for number in range(50):
        await world.insert({"_id": f"y{number}", "n": -2})
    world.store.gate.set()
    await world.settle()
    assert multiplexer.reread_count <= before + 2


async def test_what_cannot_touch_a_window_is_not_read_again(world: World) -> None:
    query = Query(collection="c", selector={"w": 1}, sort=(("n", 1),), limit=1)
    await world.live.follow(query, Replica())
    (multiplexer,) = world.live
    await world.insert({"_id": "a", "w": 2, "n": 1})
    await world.settle()
    assert multiplexer.reread_count == 0


async def test_a_collection_that_is_dropped_is_read_again(world: World) -> None:
    await world.insert({"_id": "a"})
    replica = Replica()
    await world.live.follow(ALL, replica)
    await world.store.drop_collection("c")
    await world.settle()
    assert replica.documents == {}


async def test_what_follows_a_drop_is_not_shown_beside_what_was_dropped(world: World) -> None:
    await world.insert({"_id": "a"})
    world.store.hold()
    replica = Replica()
    following = asyncio.create_task(world.live.follow(ALL, replica))
    await world.store.is_reading.wait()
    await world.store.drop_collection("c")
    await asyncio.sleep(0)
    await world.insert({"_id": "b"})
    world.store.gate.set()  # for the first reading only
    world.store.hold()
    await following
    assert replica.documents == {"a": {}}
    world.store.gate.set()
    await world.settle()
    assert replica.documents == {"b": {}}


async def test_lost_history_is_read_again(world: World) -> None:
    await world.insert({"_id": "a", "n": 1})
    replica = Replica()
    await world.live.follow(ALL, replica)
    (multiplexer,) = world.live
    # As if this change had never come.
    world.store.unlisten(world.live)
    await world.update("a", {"$set": {"n": 2}})
    await world.insert({"_id": "b"})
    position = (await world.store.read(ALL)).position
    world.store.listen(world.live)
    world.live.history_lost(position)
    await world.settle()
    assert replica.documents == {"a": {"n": 2}, "b": {}}
    assert multiplexer.reread_count == 1


async def test_history_lost_during_the_first_reading_is_read_again(world: World) -> None:
    world.store.hold()
    replica = Replica()
    following = asyncio.create_task(world.live.follow(ALL, replica))
    await world.store.is_reading.wait()
    world.store.unlisten(world.live)
    await world.insert({"_id": "b"})
    await world.deliver()
    world.store.listen(world.live)
    world.live.history_lost(world.store.feed_position)
    world.store.gate.set()
    await following
    await world.settle()
    assert replica.documents == {"b": {}}


async def test_a_first_reading_that_fails_is_told_to_all_and_forgotten(world: World) -> None:
    world.store.hold()
    tasks = [asyncio.create_task(world.live.follow(ALL, Replica())) for _ in range(2)]
    await world.store.is_reading.wait()
    world.store.error = StateError("no")
    world.store.gate.set()
    assert [type(r) for r in await asyncio.gather(*tasks, return_exceptions=True)] == [
        StateError,
        StateError,
    ]
    world.store.error = None
    replica = Replica()
    await world.live.follow(ALL, replica)
    assert len(world.live) == 1


async def test_a_later_reading_that_fails_ends_the_query(world: World) -> None:
    replica = Replica()
    following = await world.live.follow(ANY_TWO, replica)
    world.store.error = StateError("no")
    await world.insert({"_id": "a", "n": 1})
    await world.settle()
    assert isinstance(replica.error, StateError)
    world.store.error = None
    other = Replica()
    await world.live.follow(ANY_TWO, other)
    assert other.documents == {"a": {"n": 1}}
    following.stop()
    assert len(world.live) == 1


async def test_a_change_that_cannot_be_matched_ends_the_query(world: World) -> None:
    replica = Replica()
    await world.live.follow(Query(collection="c", selector={"x": {"$gt": 1}}), replica)
    (multiplexer,) = world.live

    await world.insert({"_id": "z"})
    position = (await world.store.read(ALL)).position
    # No value of a document has this type.
    bad = Change(_After(position), "c", object(), ChangeKind.INSERT, None, {"x": 2})
    multiplexer.changes_received([bad])
    assert isinstance(replica.error, TypeError)


class _After:
    """A position later than all others."""

    def __init__(self, position: Position) -> None:
        self.position = position

    def __le__(self, other: Any, /) -> bool:
        return False

    def __lt__(self, other: Any, /) -> bool:
        return False


async def test_who_stops_waiting_leaves_the_query_to_the_others(world: World) -> None:
    world.store.hold()
    replica = Replica()
    impatient = asyncio.create_task(world.live.follow(ALL, Replica()))
    patient = asyncio.create_task(world.live.follow(ALL, replica))
    await world.store.is_reading.wait()
    impatient.cancel()
    await asyncio.gather(impatient, return_exceptions=True)
    world.store.gate.set()
    await patient
    await world.insert({"_id": "a"})
    await world.settle()
    assert replica.documents == {"a": {}}


async def test_a_query_nobody_waits_for_any_more_is_given_up(world: World) -> None:
    world.store.hold()
    impatient = asyncio.create_task(world.live.follow(ALL, Replica()))
    await world.store.is_reading.wait()
    impatient.cancel()
    await asyncio.gather(impatient, return_exceptions=True)
    assert len(world.live) == 0
    world.store.gate.set()


async def test_who_cannot_join_leaves_the_query_to_the_others(world: World) -> None:
    replica = Replica()
    await world.live.follow(ALL, replica)
    world.store.position_error = StateError("no")
    with pytest.raises(StateError, match="no"):
        await world.live.follow(ALL, Replica())
    world.store.position_error = None
    await world.insert({"_id": "a"})
    await world.settle()
    assert replica.documents == {"a": {}}
    assert len(world.live) == 1


async def test_nobody_joins_a_query_that_ended(world: World) -> None:
    multiplexer = Multiplexer(ALL, Surroundings.around(world.store))
    await multiplexer.start()
    multiplexer.close()
    with pytest.raises(StateError):
        multiplexer.join(Replica())
    multiplexer.leave(Replica())


async def test_an_empty_batch_changes_nothing(world: World) -> None:
    replica = Replica()
    await world.live.follow(ALL, replica)
    world.live.changes_received(ChangeBatch(world.store.feed_position, []))
    assert replica.turns == []


async def test_settling_waits_for_a_first_reading(world: World) -> None:
    await world.insert({"_id": "a"})
    world.store.hold()
    replica = Replica()
    following = asyncio.create_task(world.live.follow(ALL, replica))
    await world.store.is_reading.wait()
    settling = asyncio.create_task(world.live.settle({"c": world.store.feed_position}))
    await asyncio.sleep(0)
    assert not settling.done()
    world.store.gate.set()
    await asyncio.gather(following, settling)
    assert replica.documents == {"a": {}}


async def test_changes_during_a_reading_are_told_after_it(world: World) -> None:
    await world.insert({"_id": "a", "n": 1})
    replica = Replica()
    await world.live.follow(ALL, replica)
    (multiplexer,) = world.live
    world.store.hold()
    world.live.history_lost(world.store.feed_position)
    await world.store.is_reading.wait()
    await world.insert({"_id": "b"})
    await world.deliver()
    assert set(replica.documents) == {"a"}
    world.store.gate.set()
    await world.settle()
    assert set(replica.documents) == {"a", "b"}
    assert multiplexer.reread_count == 1


async def test_a_fence_waits_for_the_feed(world: World) -> None:
    await world.live.follow(ALL, Replica())
    await world.insert({"_id": "a"})
    world.store.feed_gate.clear()
    settling = asyncio.create_task(world.live.settle({"c": world.store.feed_position}))
    awaiting = asyncio.create_task(world.store.is_awaited.wait())
    await asyncio.wait([settling, awaiting], return_when=asyncio.FIRST_COMPLETED)
    assert not settling.done()
    world.store.feed_gate.set()
    await settling


async def test_a_fence_does_not_wait_for_the_writes_of_others(world: World) -> None:
    replica = Replica()
    await world.live.follow(ANY_TWO, replica)
    world.store.hold()
    await world.insert({"_id": "a", "n": 1})
    await world.store.is_reading.wait()
    mine = (await MemoryStore.read(world.store, ANY_TWO)).position
    settling = asyncio.create_task(world.live.settle({"c": mine}))
    await world.insert({"_id": "b", "n": 2})
    await world.store.feed_reached((await MemoryStore.read(world.store, ANY_TWO)).position)
    gate, world.store.gate = world.store.gate, asyncio.Event()
    gate.set()
    await settling
    assert replica.documents == {"a": {"n": 1}}
    world.store.gate.set()
    await world.settle()
    assert set(replica.documents) == {"a", "b"}


async def test_settling_ends_with_a_query_that_is_left_before_it_reads_again(world: World) -> None:
    following = await world.live.follow(TWO, Replica())
    (multiplexer,) = world.live
    multiplexer.history_lost(world.store.feed_position)
    settling = asyncio.create_task(multiplexer.settled())
    following.stop()
    await settling
    assert multiplexer.is_closed


class Stopwatch:
    """A stopwatch that moves on by ``step`` seconds each time somebody looks."""

    def __init__(self) -> None:
        self.time = 0.0
        self.step = 0.0

    def __call__(self) -> float:
        self.time += self.step
        return self.time


async def make_world(**options: Any) -> World:
    store = GatedStore()
    await store.open()
    return World(store, LiveQueries(store, Turn(), **options))


async def end(world: World) -> None:
    world.live.close()
    await world.store.close()


def rereads(metrics: Metrics) -> dict[str, float]:
    (family,) = metrics.live_query_rereads.collect()
    return {s.labels["reason"]: s.value for s in family.samples if s.name.endswith("_total")}


async def test_a_window_moves_up_from_its_buffer_without_a_reading(world: World) -> None:
    await world.insert(*({"_id": str(n), "n": n} for n in range(30)))
    replica = Replica()
    await world.live.follow(TWO, replica)
    (multiplexer,) = world.live
    for n in range(10):
        await world.delete(str(n))
        await world.settle()
        assert set(replica.documents) == {str(n + 1), str(n + 2)}
    assert multiplexer.reread_count == 0
    await world.delete("10")
    await world.delete("11")
    await world.settle()
    assert set(replica.documents) == {"12", "13"}
    assert multiplexer.reread_count == 1


async def test_a_window_skips_and_projects(world: World) -> None:
    await world.insert(*({"_id": str(n), "n": n, "x": n} for n in range(5)))
    replica = Replica()
    query = Query(collection="c", sort=(("n", -1),), skip=1, limit=2, projection={"x": 1})
    await world.live.follow(query, replica)
    assert replica.documents == {"3": {"x": 3}, "2": {"x": 2}}
    await world.update("0", {"$set": {"n": 9}})
    await world.update("2", {"$set": {"n": 2.5}})
    await world.settle()
    assert replica.documents == {"4": {"x": 4}, "3": {"x": 3}}
    assert [m.reread_count for m in world.live] == [0]


async def test_a_window_that_changes_while_it_is_read_follows(world: World) -> None:
    await world.insert(*({"_id": str(n), "n": n} for n in range(20)))
    replica = Replica()
    await world.live.follow(TWO, replica)
    world.store.hold()
    for n in range(11):
        await world.delete(str(n))
    await world.store.is_reading.wait()
    told = len(replica.turns)
    await world.insert({"_id": "first", "n": -1})
    await world.update("19", {"$set": {"n": 11.5}})
    await world.deliver()
    assert len(replica.turns) == told
    world.store.gate.set()
    await world.settle()
    assert set(replica.documents) == {"first", "11"}


async def test_what_leaves_while_a_window_is_read_does_not_stay_in_its_buffer(
    world: World,
) -> None:
    await world.insert(*({"_id": str(n), "n": n, "w": 1} for n in range(30)))
    replica = Replica()
    query = Query(collection="c", selector={"w": 1}, sort=(("n", 1),), limit=2)
    await world.live.follow(query, replica)
    world.store.hold()
    for n in range(11):
        await world.delete(str(n))
    await world.store.is_reading.wait()
    await world.update("15", {"$set": {"w": 2}})
    await world.deliver()
    world.store.gate.set()
    for n in range(11, 15):
        await world.delete(str(n))
    await world.settle()
    assert set(replica.documents) == {"16", "17"}


async def test_a_far_page_is_read_again(world: World) -> None:
    await world.live.follow(Query(collection="c", sort=(("n", 1),), skip=1001, limit=1), Replica())
    (statistics,) = world.live.statistics()
    assert statistics.driver == "re-query"
    assert "1000" in statistics.reason


async def test_a_document_that_has_no_place_ends_its_window_only(world: World) -> None:
    replica, other = Replica(), Replica()
    query = Query(collection="c", sort=(("a.x", 1), ("b.x", 1)), limit=2)
    await world.live.follow(query, replica)
    await world.live.follow(ALL, other)
    await world.insert({"_id": "z", "a": [{"x": 1}], "b": [{"x": 1}, {"x": 2}]})
    await world.settle()
    assert isinstance(replica.error, MinimongoError)
    assert set(other.documents) == {"z"}
    # It was failed, not left: the next one begins anew.
    assert [m.is_closed for m in world.live] == [True, False]


async def test_a_change_reaches_only_the_queries_it_can_affect(world: World) -> None:
    for n in range(20):
        await world.live.follow(Query(collection="c", selector={"w": n}), Replica())
    await world.insert({"_id": "a", "w": 3}, {"_id": "b", "w": 4})
    await world.settle()
    await world.update("a", {"$set": {"w": 5}})
    await world.settle()
    assert [m.changes_seen for m in world.live] == [0, 0, 0, 2, 1, 1] + [0] * 14
    assert [m.changes_told for m in world.live] == [0, 0, 0, 2, 1, 1] + [0] * 14


async def test_a_document_that_comes_and_goes_in_one_batch_is_not_told(world: World) -> None:
    replica = Replica()
    await world.live.follow(Query(collection="c", selector={"w": 1}), replica)
    async with world.store.transaction() as transaction:
        await transaction.write(Insert(collection="c", documents=[{"_id": "a", "w": 1}]))
        await transaction.write(
            Update(collection="c", selector={"_id": "a"}, modifier={"$set": {"w": 2}})
        )
    await world.settle()
    assert replica.turns == []


async def test_a_turn_that_is_full_leaves_the_rest_to_the_next(world: World) -> None:
    stopwatch = Stopwatch()
    slow = await make_world(stopwatch=stopwatch)
    replicas = [Replica() for _ in range(6)]
    for n, replica in enumerate(replicas):
        await slow.live.follow(Query(collection="c", selector={"n": {"$ne": -n - 1}}), replica)
    turns: list[int] = []
    told = asyncio.Event()

    def look() -> None:
        turns.append(sum(bool(replica.documents) for replica in replicas))
        if turns[-1] == len(replicas):
            told.set()
        else:
            asyncio.get_running_loop().call_soon(look)

    stopwatch.step = 0.03
    asyncio.get_running_loop().call_soon(look)
    await slow.insert({"_id": "a", "n": 1}, {"_id": "b", "n": 2})
    await slow.settle()
    await told.wait()
    stopwatch.step = 0.0
    # Others had their turn while some queries were late, and each saw its batch as one.
    assert len({number for number in turns if 0 < number < 6}) >= 2
    assert all(len(replica.turns) == 1 for replica in replicas)
    assert all(set(replica.documents) == {"a", "b"} for replica in replicas)
    await end(slow)


async def test_changes_that_come_while_a_query_is_late_are_not_lost(world: World) -> None:
    stopwatch = Stopwatch()
    slow = await make_world(stopwatch=stopwatch)
    replica, first = Replica(), Replica()
    await slow.live.follow(Query(collection="c", selector={"n": {"$gte": 0}}), first)
    await slow.live.follow(Query(collection="c", selector={"w": 1}), replica)
    stopwatch.step = 0.06
    await slow.insert(*({"_id": str(n), "w": 1, "n": n} for n in range(4)))
    await slow.deliver()
    await slow.update("0", {"$set": {"w": 2}})
    await slow.deliver()
    await slow.delete("1")
    await slow.deliver()
    assert replica.documents == {}
    late = slow.live.statistics()[-1]
    assert late.state == "no time for all changes in one turn"
    assert late.changes_waiting > 0
    await slow.settle()
    assert [told.state for told in slow.live.statistics()] == ["live", "live"]
    assert set(replica.documents) == {"2", "3"}
    assert set(first.documents) == {"0", "2", "3"}
    await slow.insert({"_id": "9", "w": 1})
    await slow.live.idle()
    stopwatch.step = 0.0
    await end(slow)


async def test_a_query_that_is_late_may_be_left(world: World) -> None:
    stopwatch = Stopwatch()
    slow = await make_world(stopwatch=stopwatch)
    following = await slow.live.follow(ALL, Replica())
    (multiplexer,) = slow.live
    stopwatch.step = 0.2
    snapshot = await slow.store.read(ALL)
    changes = [
        Change(_After(snapshot.position), "c", id, ChangeKind.INSERT, None, {"_id": id})
        for id in "abc"
    ]
    slow.live.changes_received(ChangeBatch(snapshot.position, changes))
    settling = asyncio.create_task(multiplexer.settled())
    await asyncio.sleep(0)
    assert not settling.done()
    following.stop()
    await settling
    await end(slow)


async def test_a_fence_does_not_wait_for_what_others_write_after_it(world: World) -> None:
    stopwatch = Stopwatch()
    slow = await make_world(limits=Limits(live_query_excess_ms=10**9), stopwatch=stopwatch)
    replica = Replica()
    await slow.live.follow(ALL, replica)
    own = await slow.store.write(Insert(collection="c", documents=[{"_id": "own"}]))
    assert own.position is not None
    settling = asyncio.create_task(slow.live.settle({"c": own.position}))
    stopwatch.step = 0.2  # one change in a turn; more come in each
    for n in range(20):
        await slow.insert({"_id": f"{n} a"}, {"_id": f"{n} b"}, {"_id": f"{n} c"})
        await asyncio.sleep(0)
    assert settling.done()
    assert "own" in replica.documents
    (late,) = slow.live.statistics()
    assert late.state == "no time for all changes in one turn"
    stopwatch.step = 0.0
    await slow.live.idle()
    await end(slow)


async def test_a_fence_waits_for_the_whole_of_a_batch_that_is_late(world: World) -> None:
    stopwatch = Stopwatch()
    slow = await make_world(limits=Limits(live_query_excess_ms=10**9), stopwatch=stopwatch)
    replica = Replica()
    await slow.live.follow(ALL, replica)
    stopwatch.step = 0.2
    own = await slow.store.write(
        Insert(collection="c", documents=[{"_id": id} for id in ("a", "b", "c")])
    )
    assert own.position is not None
    await slow.store.feed_reached(own.position)
    await slow.insert({"_id": "d"}, {"_id": "e"}, {"_id": "f"})
    assert replica.documents == {}
    await slow.live.settle({"c": own.position})
    assert {"a", "b", "c"} <= set(replica.documents)
    stopwatch.step = 0.0
    await slow.live.idle()
    await end(slow)


async def test_a_query_that_costs_too_much_is_ended_and_others_go_on(world: World) -> None:
    stopwatch = Stopwatch()
    slow = await make_world(stopwatch=stopwatch)
    replica, other = Replica(), Replica()
    await slow.live.follow(ALL, replica)
    await slow.live.follow(Query(collection="d"), other)
    stopwatch.step = 0.09
    for n in range(9):
        await slow.insert({"_id": str(n)})
        await slow.settle()
    stopwatch.step = 0.0
    assert isinstance(replica.error, QueryTooExpensive)
    await slow.store.write(Insert(collection="d", documents=[{"_id": "a"}]))
    await slow.deliver()
    assert set(other.documents) == {"a"}
    await end(slow)


async def test_a_pattern_that_takes_too_long_ends_its_query(world: World) -> None:
    replica, other = Replica(), Replica()
    await world.live.follow(Query(collection="c", selector={"x": Regex("^(a|aa)+$")}), replica)
    await world.live.follow(ALL, other)
    await world.insert({"_id": "a", "x": "a" * 60 + "b"})
    await world.settle()
    assert isinstance(replica.error, QueryTooExpensive)
    assert set(other.documents) == {"a"}


async def test_after_lost_history_few_queries_are_read_at_a_time() -> None:
    metrics = Metrics()
    world = await make_world(limits=Limits(max_live_query_rereads=2), metrics=metrics)
    replicas = [Replica() for _ in range(10)]
    for n, replica in enumerate(replicas):
        await world.live.follow(Query(collection="c", selector={"n": n}), replica)
    world.store.unlisten(world.live)
    await world.insert(*({"_id": str(n), "n": n} for n in range(10)))
    position = (await world.store.read(ALL)).position
    await world.store.feed_reached(position)
    world.store.listen(world.live)
    reads = world.store.reads
    world.store.hold()
    world.live.history_lost(position)
    await world.store.is_reading.wait()
    for _ in range(5):
        await asyncio.sleep(0)
    assert world.store.reads == reads + 2
    world.store.gate.set()
    await world.live.idle()
    assert [set(replica.documents) for replica in replicas] == [{str(n)} for n in range(10)]
    assert rereads(metrics) == {"history lost": 10}
    assert metrics.registry.get_sample_value("bolide_history_losses_total") == 1
    await end(world)


async def test_a_lost_collection_is_read_again_alone() -> None:
    metrics = Metrics()
    world = await make_world(metrics=metrics)
    await world.live.follow(ALL, Replica())
    await world.live.follow(Query(collection="d"), Replica())
    await world.insert({"_id": "a"})
    await world.store.drop_collection("c")
    await world.settle()
    await world.live.idle()
    assert [m.reread_count for m in world.live] == [1, 0]
    assert rereads(metrics) == {"collection lost": 1}
    await end(world)


async def test_history_lost_means_nothing_to_a_query_that_ended(world: World) -> None:
    await world.live.follow(ALL, Replica())
    (multiplexer,) = world.live
    multiplexer.close()
    multiplexer.history_lost(world.store.feed_position)
    await multiplexer.settled()
    assert multiplexer.reread_count == 0
    assert multiplexer.state == "ended"


async def test_statistics_show_no_value(world: World) -> None:
    queries = [
        Query(collection="c", selector={"ward": "secret"}),
        Query(collection="c", selector={"ward": "secret", "n": {"$gt": 4711}}),
        Query(collection="c", selector={"n": {"$gt": 4711}}),
        Query(collection="c", selector={"n": {"$ne": "secret"}}),
        Query(collection="c", selector={"n": {"$in": []}}),
        Query(collection="c", selector={"ward": "secret"}, sort=(("n", -1),), skip=1, limit=2),
        Query(collection="c", limit=2),
        Query(collection="c", selector={"at": {"$near": [47, 11]}}),
    ]
    for query in queries:
        await world.live.follow(query, Replica())
    await world.insert(*({"_id": str(n), "ward": "secret", "n": n} for n in range(5)))
    await world.settle()
    statistics = world.live.statistics()
    assert [s.driver for s in statistics] == [
        "index eq ward", "index eq ward", "index range n", "scan", "index eq", "window",
        "re-query", "re-query",
    ]  # fmt: skip
    assert "secret" not in repr(statistics)
    texts = [s.selector + s.sort + s.driver + s.reason for s in statistics]
    assert not any("47" in text for text in texts)
    window = statistics[5]
    assert window.selector == "{ward: ?}"
    assert window.sort == "n descending"
    assert (window.has_skip, window.has_limit, window.followers) == (True, True, 1)
    assert (window.documents_published, window.documents_held) == (2, 5)
    assert (window.changes_seen, window.changes_told, window.rereads) == (5, 2, 0)
    assert window.matching_s > 0
    assert "index eq ward" in window.reason


@pytest.mark.parametrize("is_first", [True, False], ids=["first reading", "later reading"])
async def test_too_many_changes_during_a_reading_are_read_instead(
    world: World, is_first: bool
) -> None:
    replica = Replica()
    if is_first:
        world.store.hold()
    following = asyncio.create_task(world.live.follow(ALL, replica))
    if not is_first:
        await following
        world.store.hold()
        world.live.history_lost(world.store.feed_position)
    await world.store.is_reading.wait()
    (multiplexer,) = world.live
    documents = [{"_id": str(n)} for n in range(MAX_KEPT_CHANGES // 2 + 1)]
    for _ in range(2):
        await world.insert(*documents)
        await world.store.write(Delete(collection="c", selector={}, many=True))
        await world.deliver()
    await world.insert({"_id": "last"})
    world.store.gate.set()
    await following
    await world.settle()
    assert set(replica.documents) == {"last"}
    assert multiplexer.reread_count == (1 if is_first else 2)


async def test_a_hint_changes_nothing_that_the_feed_keeps_up_to_date(world: World) -> None:
    await world.insert({"_id": "a", "n": 1})
    replica = Replica()
    await world.live.follow(ALL, replica)
    reads = world.store.reads
    world.live.hinted("c", "a")
    world.live.hinted("elsewhere")
    await world.live.idle()
    assert world.store.reads == reads
    assert len(replica.turns) == 1


async def test_an_update_is_wanted_where_a_query_looks(world: World) -> None:
    await world.live.follow(Query(collection="c", selector={"a": 1}), Replica())
    assert world.live.wants_update("c", 1, ["a"])
    assert not world.live.wants_update("c", 1, ["b"])
    assert not world.live.wants_update("d", 1, ["a"])
