"""What the broadcast through a store writes, and when; and what it does while the store fails."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, Protocol

import pytest
from pymongo.errors import OperationFailure
from structlog.testing import capture_logs
from tests.turns import yield_once

from bolide.core.values import Document
from bolide.server.broadcast.base import BroadcastFull
from bolide.server.broadcast.store import (
    BEAT_EVERY_S,
    JOIN_TIMEOUT_S,
    MESSAGES,
    RETRY_EVERY_S,
    StoreBroadcast,
)
from bolide.server.broadcast.waiting import MESSAGE_LIFE_S
from bolide.server.limits import Limits
from bolide.server.stores.base import (
    Insert,
    Position,
    Query,
    Receipt,
    Snapshot,
    WriteOperation,
)
from bolide.server.stores.memory import MemoryStore
from bolide.server.testing import FakeClock


class FaultyStore(MemoryStore):
    """A store that refuses to write when a test says so.

    Attributes:
        error: What writes raise.
        loses_answers: Writes are done all the same.
        blocked_because: What it says of itself.
        expiring: What it was told to forget.
        may_read: Readings wait for it.
    """

    def __init__(self) -> None:
        super().__init__()
        self.error: Exception | None = None
        self.loses_answers = False
        self.blocked_because = ""
        self.expiring: list[tuple[str, str]] = []
        self.may_read = asyncio.Event()
        self.may_read.set()

    async def write(self, operation: WriteOperation, *, first: Insert | None = None) -> Receipt:
        if self.error is not None:
            if self.loses_answers:
                await super().write(operation, first=first)
            raise self.error
        return await super().write(operation, first=first)

    async def read(self, query: Query, *, after: Position | None = None) -> Snapshot:
        await self.may_read.wait()
        return await super().read(query, after=after)

    async def expire_after(self, collection: str, path: str, seconds: int) -> None:
        self.expiring.append((collection, path))


class Hearer:
    def __init__(self, broadcast: StoreBroadcast) -> None:
        self.heard: list[str] = []
        self.misses = 0
        broadcast.listen(self)

    def message_received(self, topic: str, payload: bytes) -> None:
        self.heard.append(topic)

    def messages_missed(self) -> None:
        self.misses += 1


class Join(Protocol):
    async def __call__(self, **limits: Any) -> StoreBroadcast: ...


@pytest.fixture
async def store() -> AsyncIterator[FaultyStore]:
    store = FaultyStore()
    await store.open()
    yield store
    await store.close()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(now=1_000)


@pytest.fixture
async def join(store: FaultyStore, clock: FakeClock) -> AsyncIterator[Join]:
    nodes: list[StoreBroadcast] = []

    async def join(**limits: Any) -> StoreBroadcast:
        node = StoreBroadcast(store, clock, Limits(**limits))
        nodes.append(node)
        await node.open()
        return node

    yield join
    store.error = None
    for node in nodes:
        await node.close()


async def written(store: FaultyStore) -> list[Document]:
    return list((await store.read(Query(collection=MESSAGES, sort=(("at", 1),)))).documents)


async def quiet() -> None:
    for _ in range(50):
        await yield_once()


async def kill(node: StoreBroadcast, store: FaultyStore) -> None:
    """Let a node go without a word."""
    store.error = OperationFailure("away")
    await node.close()
    store.error = None


async def test_a_node_that_is_alone_writes_beats_only_and_keeps_one(
    store: FaultyStore, clock: FakeClock, join: Join
) -> None:
    node = await join()
    assert store.expiring == [(MESSAGES, "at")]
    for _ in range(3):
        node.publish("ward/7", b"")
        await clock.advance(BEAT_EVERY_S)
    (beat,) = await written(store)
    assert beat["messages"] == []
    assert beat["seq"] == 4
    assert node.statistics.sent == 0


async def test_messages_that_gather_are_one_document_and_go_with_the_next_beat(
    store: FaultyStore, clock: FakeClock, join: Join
) -> None:
    first, second = await join(), await join()
    await quiet()
    hearer = Hearer(second)
    for number in range(3):
        first.publish(str(number), b"x")
    await quiet()
    assert hearer.heard == ["0", "1", "2"]
    with_messages = [one["messages"] for one in await written(store) if one["messages"]]
    assert with_messages == [[["0", b"x"], ["1", b"x"], ["2", b"x"]]]
    await clock.advance(BEAT_EVERY_S)
    assert [one["messages"] for one in await written(store)] == [[], []]
    assert first.statistics.sent == 3


async def test_many_bytes_bring_a_beat_before_its_time(store: FaultyStore, join: Join) -> None:
    first, _ = await join(), await join()
    await quiet()
    for _ in range(20):
        first.publish("ward/7", bytes(60_000))
        await quiet()
    kept = [len(one["messages"]) for one in await written(store) if one["node"] == first.node_id]
    assert sum(kept) < 20


async def test_a_dead_node_delays_a_new_one_a_moment_and_is_forgotten(
    store: FaultyStore, clock: FakeClock, join: Join
) -> None:
    await kill(await join(), store)
    new = StoreBroadcast(store, clock, Limits())
    opening = asyncio.create_task(new.open())
    await quiet()
    assert not opening.done()
    with capture_logs() as logs:
        await clock.advance(JOIN_TIMEOUT_S)
        await opening
    assert [line["event"] for line in logs] == ["nodes do not answer"]
    assert new.neighbours == 1
    with capture_logs() as logs:
        for _ in range(3):
            await clock.advance(BEAT_EVERY_S)
    assert [line["event"] for line in logs] == ["node gone"]
    assert new.neighbours == 0
    assert {one["node"] for one in await written(store)} == {new.node_id}
    await new.close()
    assert await written(store) == []


async def test_an_answer_counts_that_comes_before_it_is_read_who_is_there(
    store: FaultyStore, join: Join
) -> None:
    first = await join()
    store.may_read.clear()
    opening = asyncio.create_task(join())
    await quiet()
    assert first.neighbours == 1  # its answer was written
    store.may_read.set()
    with capture_logs() as logs:
        await quiet()
        await opening  # no time passes
    assert logs == []


async def test_nobody_is_given_up_because_this_node_was_stopped(
    store: FaultyStore, clock: FakeClock, join: Join
) -> None:
    first, second = await join(), await join()
    store.error = OperationFailure("away")
    await clock.advance(10 * BEAT_EVERY_S)
    store.error = None
    await clock.advance(2 * BEAT_EVERY_S)
    assert first.neighbours == second.neighbours == 1


async def test_a_node_that_was_given_up_learns_it_and_is_known_again(
    store: FaultyStore, clock: FakeClock, join: Join
) -> None:
    first = await join()
    stopped = StoreBroadcast(store, FakeClock(), Limits())
    await stopped.open()
    await quiet()
    hearer = Hearer(stopped)
    await clock.advance(2 * BEAT_EVERY_S)
    assert (first.neighbours, hearer.misses) == (1, 0)
    with capture_logs() as logs:
        await clock.advance(BEAT_EVERY_S)
    assert [line["event"] for line in logs] == ["node gone"]
    await clock.advance(BEAT_EVERY_S)
    assert hearer.misses == stopped.statistics.losses == 1
    assert first.neighbours == 1
    first.publish("again", b"")
    await quiet()
    assert hearer.heard == ["again"]
    await stopped.close()


async def test_what_waited_too_long_is_given_up_and_the_rest_comes_once(
    store: FaultyStore, clock: FakeClock, join: Join
) -> None:
    first, second = await join(), await join()
    await quiet()
    hearer = Hearer(second)
    store.error = OperationFailure("away", 1, {"secret": "Meyer"})
    with capture_logs() as logs:
        first.publish("written", b"")
        await quiet()
        first.publish("waiting", b"")
        assert first.waits_because == "the store refuses to write"
        store.blocked_because = "no primary"
        assert first.waits_because == "no primary"
        store.blocked_because = ""
        await clock.advance(MESSAGE_LIFE_S - 1)
        first.publish("fresh", b"")
        await clock.advance(2)
        store.error = None
        await clock.advance(RETRY_EVERY_S)
    assert hearer.heard == ["fresh"]
    assert first.statistics.expired == 2
    assert first.waits_because == ""
    mine = [line for line in logs if line.get("task") == "broadcast"]
    assert [line["event"] for line in mine] == ["failed"] * 2  # each node, and once
    assert "Meyer" not in str(logs)
    again = [line["expired"] for line in logs if line["event"] == "broadcast works again"]
    assert sorted(again) == [0, 2]


async def test_a_write_whose_answer_was_lost_is_not_told_twice(
    store: FaultyStore, clock: FakeClock, join: Join
) -> None:
    first, second = await join(), await join()
    await quiet()
    hearer = Hearer(second)
    store.error, store.loses_answers = OperationFailure("no answer"), True
    first.publish("once", b"")
    await quiet()
    store.error = None
    await clock.advance(RETRY_EVERY_S)
    assert hearer.heard == ["once"]


async def test_what_has_no_room_is_told_to_nobody(
    store: FaultyStore, clock: FakeClock, join: Join
) -> None:
    first, _ = await join(max_broadcast_queue_bytes=300), await join()
    await quiet()
    hearer = Hearer(first)
    store.error = OperationFailure("away")
    first.publish("taken", b"")
    await quiet()
    first.publish("waits", bytes(100))
    with pytest.raises(BroadcastFull):
        first.publish("refused", bytes(100))
    assert hearer.heard == ["taken", "waits"]
    await clock.advance(MESSAGE_LIFE_S)
    first.publish("room again", bytes(100))
    assert hearer.heard == ["taken", "waits", "room again"]


async def test_lost_history_is_told_and_the_others_are_looked_for(
    store: FaultyStore, join: Join
) -> None:
    node = await join()
    hearer = Hearer(node)
    store.unlisten(node)
    await store.write(Insert(collection=MESSAGES, documents=[{"_id": "b.1", "node": "b"}]))
    store.listen(node)
    node.history_lost(store.feed_position)
    await quiet()
    assert node.neighbours == hearer.misses == node.statistics.losses == 1
    await store.drop_collection(MESSAGES)
    await quiet()
    assert hearer.misses == 2


async def test_what_no_node_wrote_is_left_alone(store: FaultyStore, join: Join) -> None:
    node = await join()
    hearer = Hearer(node)
    forged: list[Document] = [
        {"_id": 1},
        {"_id": 2, "node": "x", "messages": 7},
        {"_id": 3, "node": "x", "messages": [["topic only"]]},
        {"_id": 4, "node": "x", "messages": [["topic", "no bytes"]]},
        {"_id": 5, "node": ["x"], "messages": []},
    ]
    with capture_logs() as logs:
        for document in forged:
            await store.write(Insert(collection=MESSAGES, documents=[document]))
        await quiet()
    assert hearer.heard == []
    assert [line["task"] for line in logs] == ["read a message"] * len(forged)
    await store.write(Insert(collection="beds", documents=[{"_id": 1}]))


async def test_a_store_that_fails_at_the_end_is_left_in_time(
    store: FaultyStore, clock: FakeClock, join: Join
) -> None:
    first, _ = await join(), await join()
    await quiet()
    store.error = OperationFailure("away")
    first.publish("lost", b"")
    await quiet()
    with capture_logs() as logs:
        await first.close()
    assert [line["event"] for line in logs] == ["failed"]


async def test_a_store_that_fails_at_the_start_is_not_followed(store: FaultyStore) -> None:
    store.error = OperationFailure("away")
    node = StoreBroadcast(store, FakeClock(), Limits())
    with pytest.raises(OperationFailure):
        await node.open()
    store.error = None
    await node.close()


@pytest.mark.parametrize("document", [{"x": 1}, {"node": 7}, {"node": None}, {"node": ["a"]}])
async def test_a_document_that_is_no_message_is_passed_over(
    store: FaultyStore, clock: FakeClock, join: Join, document: Document
) -> None:
    await store.write(Insert(collection=MESSAGES, documents=({"_id": "forged", **document},)))
    node = await asyncio.wait_for(join(), 5)
    node.publish("ward/7", b"")
    await quiet()
    assert node.statistics.losses == 0
