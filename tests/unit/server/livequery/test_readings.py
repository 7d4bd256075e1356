import asyncio
from collections.abc import AsyncGenerator

import pytest
import pytest_asyncio
from pymongo.errors import AutoReconnect, OperationFailure, PyMongoError

from bolide.core.errors import StateError
from bolide.core.minimongo.errors import MinimongoError
from bolide.server.limits import Limits
from bolide.server.livequery.readings import (
    FIRST_RETRY_S,
    LAST_RETRY_S,
    MAX_FIRST_READINGS_OF_NODE,
    Readings,
)
from bolide.server.stores.base import Position, Query, Snapshot
from bolide.server.stores.memory import MemoryStore
from bolide.server.testing import FakeClock

ALL = Query(collection="c")


class FailingStore(MemoryStore):
    """A store that raises what it is given, and waits at a gate."""

    def __init__(self) -> None:
        super().__init__()
        self.errors: list[Exception] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.reading = self.most = self.reads = 0

    async def read(self, query: Query, *, after: Position | None = None) -> Snapshot:
        self.reads += 1
        self.reading += 1
        self.most = max(self.most, self.reading)
        try:
            await self.gate.wait()
            if self.errors:
                raise self.errors.pop(0)
            return await super().read(query, after=after)
        finally:
            self.reading -= 1


@pytest_asyncio.fixture
async def store() -> AsyncGenerator[FailingStore]:
    store = FailingStore()
    await store.open()
    yield store
    await store.close()


def labelled(label: str) -> PyMongoError:
    return OperationFailure("no", 1, {"errorLabels": [label]})


@pytest.mark.parametrize(
    "error",
    [
        AutoReconnect("no"),
        ConnectionResetError(),
        TimeoutError(),
        OperationFailure("no", 189),
        # Cursor not found, query plan killed, capped position lost, cursor killed, killOp.
        *(OperationFailure("no", code) for code in (43, 175, 136, 237, 11601)),
        labelled("RetryableReadError"),
    ],
    ids=str,
)
async def test_what_may_pass_is_tried_again_after_a_pause(
    store: FailingStore, error: Exception
) -> None:
    clock = FakeClock()
    store.errors = [error, error]
    reading = asyncio.create_task(Readings(clock=clock).read("c", lambda: store.read(ALL)))
    await clock.advance(0)
    await clock.advance(FIRST_RETRY_S * 0.9)
    assert store.reads == 1
    await clock.advance(FIRST_RETRY_S * 0.2)
    assert store.reads == 2
    await clock.advance(FIRST_RETRY_S * 1.8)
    assert store.reads == 2
    await clock.advance(FIRST_RETRY_S * 0.4)
    assert (await reading).documents == []
    assert store.reads == 3


@pytest.mark.parametrize(
    "error", [StateError("no"), MinimongoError("no"), OperationFailure("no", 2), TypeError()]
)
async def test_what_cannot_get_better_is_raised(store: FailingStore, error: Exception) -> None:
    store.errors = [error]
    with pytest.raises(type(error)):
        await Readings().read("c", lambda: store.read(ALL))


async def test_pauses_do_not_grow_for_ever(store: FailingStore) -> None:
    clock = FakeClock()
    store.errors = [TimeoutError() for _ in range(12)]
    reading = asyncio.create_task(Readings(clock=clock).read("c", lambda: store.read(ALL)))
    for _ in range(13):
        await clock.advance(LAST_RETRY_S)
    assert reading.done()


async def test_few_read_at_the_same_time(store: FailingStore) -> None:
    store.gate.clear()
    readings = Readings(Limits(max_live_query_rereads=3))
    tasks = [asyncio.create_task(readings.read("c", lambda: store.read(ALL))) for _ in range(20)]
    for _ in range(5):
        await asyncio.sleep(0)
    assert store.reading == 3
    store.gate.set()
    await asyncio.gather(*tasks)
    assert store.most == 3


async def test_polls_leave_room_for_recovery(store: FailingStore) -> None:
    store.gate.clear()
    readings = Readings(Limits(max_live_query_rereads=5))
    polls = [asyncio.create_task(readings.poll("c", lambda: store.read(ALL))) for _ in range(20)]
    for _ in range(5):
        await asyncio.sleep(0)
    assert store.reading == 2
    recovering = [
        asyncio.create_task(readings.read("c", lambda: store.read(ALL))) for _ in range(20)
    ]
    for _ in range(5):
        await asyncio.sleep(0)
    assert store.reading == 5
    store.gate.set()
    await asyncio.gather(*polls, *recovering)
    assert store.most == 5


async def test_who_gives_up_leaves_no_timer(store: FailingStore) -> None:
    clock = FakeClock()
    store.errors = [TimeoutError()]
    reading = asyncio.create_task(Readings(clock=clock).read("c", lambda: store.read(ALL)))
    await clock.advance(0)
    reading.cancel()
    await asyncio.gather(reading, return_exceptions=True)
    await clock.advance(FIRST_RETRY_S)
    assert store.reads == 1


async def test_few_queries_are_read_for_the_first_time_at_once(store: FailingStore) -> None:
    readings = Readings()
    store.gate.clear()
    reading = [
        asyncio.create_task(readings.first(lambda: store.read(ALL)))
        for _ in range(MAX_FIRST_READINGS_OF_NODE + 5)
    ]
    await asyncio.sleep(0)
    assert store.reading == MAX_FIRST_READINGS_OF_NODE
    store.gate.set()
    await asyncio.gather(*reading)
    assert (store.most, store.reads) == (MAX_FIRST_READINGS_OF_NODE, MAX_FIRST_READINGS_OF_NODE + 5)
