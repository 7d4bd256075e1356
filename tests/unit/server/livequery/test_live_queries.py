"""Live queries over the memory store, with a gate between a read and its answer."""

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pytest
import pytest_asyncio

from bolide.core.ddp.messages import Added, Changed, Removed
from bolide.core.errors import StateError
from bolide.core.minimongo.errors import MinimongoError
from bolide.server.livequery.live_queries import LiveQueries
from bolide.server.livequery.multiplexer import Multiplexer
from bolide.server.sessions.view_change import ViewChange
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

ALL = Query(collection="c")
TWO = Query(collection="c", sort=(("n", 1),), limit=2)


class GatedStore(MemoryStore):
    """A store whose answers can be held back, or turned into errors."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = asyncio.Event()
        self.gate.set()
        self.is_reading = asyncio.Event()
        self.error: Exception | None = None
        self.reads = 0

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


class Replica:
    """A follower that keeps what it is told and checks the order of things."""

    def __init__(self) -> None:
        self.documents: dict[Any, dict[str, Any]] = {}
        self.turns: list[Sequence[ViewChange]] = []
        self.error: Exception | None = None

    def view_changed(self, changes: Sequence[ViewChange]) -> None:
        self.turns.append(changes)
        for change in changes:
            match change.message:
                case Added(_, id, fields):
                    assert id not in self.documents
                    self.documents[id] = dict(fields)
                case Changed(_, id, fields, cleared):
                    document = {**self.documents[id], **fields}
                    self.documents[id] = {k: v for k, v in document.items() if k not in cleared}
                    assert self.documents[id] == change.fields
                case Removed(_, id):
                    del self.documents[id]

    def view_failed(self, error: Exception) -> None:
        self.error = error


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

    async def settle(self) -> None:
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
    live = LiveQueries(store)
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


async def test_a_change_that_the_snapshot_has_is_not_told_twice(world: World) -> None:
    replica = Replica()
    following = asyncio.create_task(world.live.follow(ALL, replica))
    await world.insert({"_id": "a", "n": 1})
    await following
    await world.settle()
    assert replica.documents == {"a": {"n": 1}}


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
    await world.live.follow(TWO, Replica())
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
    following = await world.live.follow(TWO, replica)
    world.store.error = StateError("no")
    await world.insert({"_id": "a", "n": 1})
    await world.settle()
    assert isinstance(replica.error, StateError)
    world.store.error = None
    other = Replica()
    await world.live.follow(TWO, other)
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


async def test_nobody_joins_a_query_that_ended(world: World) -> None:
    multiplexer = Multiplexer(ALL, world.store)
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
    await world.store.feed_reached((await MemoryStore.read(world.store, ALL)).position)
    assert set(replica.documents) == {"a"}
    world.store.gate.set()
    await world.settle()
    assert set(replica.documents) == {"a", "b"}
    assert multiplexer.reread_count == 1


async def test_a_fence_does_not_wait_for_the_writes_of_others(world: World) -> None:
    replica = Replica()
    await world.live.follow(TWO, replica)
    world.store.hold()
    await world.insert({"_id": "a", "n": 1})
    await world.store.is_reading.wait()
    mine = (await MemoryStore.read(world.store, TWO)).position
    settling = asyncio.create_task(world.live.settle({"c": mine}))
    await world.insert({"_id": "b", "n": 2})
    await world.store.feed_reached((await MemoryStore.read(world.store, TWO)).position)
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
