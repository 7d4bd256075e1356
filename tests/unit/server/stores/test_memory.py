import asyncio
from collections.abc import Callable

import pytest
from pymongo.errors import OperationFailure

from bolide.core.errors import StateError
from bolide.server.clock import Timer
from bolide.server.stores.base import ChangeBatch, Insert, Position, Query, Receipt
from bolide.server.stores.memory import MemoryStore

BEDS = Query(collection="beds")


class HandClock:
    """A clock whose only timer the test fires."""

    def __init__(self) -> None:
        self.due: list[tuple[float, Callable[[], object]]] = []

    def now(self) -> float:
        return 100.0

    def wall_ms(self) -> int:
        return 0

    def call_at(self, when: float, callback: Callable[[], object]) -> Timer:
        self.due.append((when, callback))
        return asyncio.get_running_loop().call_later(3600, callback)


class Listener:
    def __init__(self) -> None:
        self.batches: list[list[object]] = []

    def changes_received(self, batch: ChangeBatch) -> None:
        self.batches.append([change.id for change in batch.changes])

    def history_lost(self, position: Position) -> None:
        raise AssertionError(position)


def bed(id: int) -> Insert:
    return Insert(collection="beds", documents=[{"_id": id}])


async def test_it_opens_once_and_closes_as_often_as_one_likes() -> None:
    store = MemoryStore()
    with pytest.raises(StateError, match="not open"):
        await store.read(BEDS)
    with pytest.raises(StateError, match="not open"):
        await store.write(bed(1))
    await store.open()
    with pytest.raises(StateError, match="open already"):
        await store.open()
    await store.close()
    await store.close()


async def test_one_turn_of_the_loop_is_one_batch_and_closing_tells_the_last() -> None:
    store, listener = MemoryStore(), Listener()
    await store.open()
    store.listen(listener)
    await store.write(bed(1))
    await store.write(bed(2))
    await asyncio.sleep(0)
    assert listener.batches == [[1, 2]]
    await store.write(bed(3))
    await store.close()
    await asyncio.sleep(0)
    assert listener.batches == [[1, 2], [3]]


async def test_a_transaction_that_takes_too_long_is_aborted_and_lets_others_write() -> None:
    clock = HandClock()
    store = MemoryStore(clock=clock, transaction_lifetime_s=2)
    await store.open()
    waiting: list[asyncio.Future[Receipt]] = []

    async def take_too_long() -> None:
        async with store.transaction() as transaction:
            await transaction.write(bed(1))
            waiting.append(asyncio.ensure_future(store.write(bed(2))))
            [(when, expire)] = clock.due
            assert when == 102.0
            expire()
            await waiting[0]

    with pytest.raises(OperationFailure, match="longer than 2 s"):
        await take_too_long()
    assert (await store.read(BEDS)).documents == [{"_id": 2}]
    await store.close()
