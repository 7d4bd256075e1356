import asyncio
from contextlib import suppress

import pytest
from pymongo.errors import DuplicateKeyError, OperationFailure
from tests.integration.stores.support import contents, insert, update
from tests.turns import yield_once

from bolide.server.stores.base import (
    Delete,
    Insert,
    Query,
    Store,
    Transaction,
    TransactionConflict,
    Update,
)

BEDS = Query(collection="beds", sort=(("_id", 1),))


def bed(*ids: int) -> Insert:
    return Insert(collection="beds", documents=[{"_id": id} for id in ids])


async def test_a_transaction_commits_all_of_it(store: Store) -> None:
    await insert(store, {"_id": 1, "n": 1})
    async with store.transaction() as transaction:
        inserted = await transaction.write(bed(2))
        assert inserted.position is None
        assert inserted.collections == {"beds"}
        await transaction.write(
            Update(
                collection="wards", selector={"_id": 1}, modifier={"$inc": {"n": 1}}, upsert=True
            )
        )
        await transaction.write(Delete(collection="beds", selector={"_id": 1}))
        assert transaction.receipt is None
    assert transaction.receipt is not None
    assert transaction.receipt.position is not None
    assert transaction.receipt.collections == {"beds", "wards"}
    assert await contents(store) == [{"_id": 2}]
    assert await contents(store, "wards") == [{"_id": 1, "n": 1}]


async def test_a_transaction_sees_its_own_writes_and_others_do_not(store: Store) -> None:
    await insert(store, {"_id": 1, "n": 1})
    async with store.transaction() as transaction:
        await transaction.write(bed(2))
        await transaction.write(
            Update(collection="beds", selector={"_id": 1}, modifier={"$inc": {"n": 1}})
        )
        assert await transaction.read(BEDS) == [{"_id": 1, "n": 2}, {"_id": 2}]
        assert await contents(store) == [{"_id": 1, "n": 1}]
        await transaction.write(Delete(collection="beds", selector={"_id": 1}))
        await transaction.write(bed(1))
        assert await transaction.read(BEDS) == [{"_id": 1}, {"_id": 2}]
    assert await contents(store) == [{"_id": 1}, {"_id": 2}]


async def test_an_exception_aborts_and_goes_on(store: Store) -> None:
    begun: list[Transaction] = []

    async def abort() -> None:
        async with store.transaction() as transaction:
            begun.append(transaction)
            await transaction.write(bed(1))
            raise KeyError

    with pytest.raises(KeyError):
        await abort()
    assert begun[0].receipt is None
    assert await contents(store) == []
    await insert(store, {"_id": 1})


async def test_a_refused_write_aborts_even_if_it_is_caught(store: Store) -> None:
    await insert(store, {"_id": 1})

    async def go_on_after_a_refusal() -> None:
        async with store.transaction() as transaction:
            await transaction.write(bed(2))
            with pytest.raises(DuplicateKeyError):
                await transaction.write(bed(1))
            with pytest.raises(OperationFailure):
                await transaction.read(BEDS)

    with pytest.raises(OperationFailure):
        await go_on_after_a_refusal()
    assert await contents(store) == [{"_id": 1}]


async def test_a_transaction_that_changed_nothing_has_no_position(store: Store) -> None:
    async with store.transaction() as transaction:
        assert await transaction.read(BEDS) == []
        await transaction.write(Delete(collection="beds", selector={}))
    assert transaction.receipt is not None
    assert transaction.receipt.position is None
    assert transaction.receipt.collections == frozenset()


async def test_nothing_can_be_done_in_a_transaction_that_ended(store: Store) -> None:
    async with store.transaction() as transaction:
        pass
    with pytest.raises(OperationFailure):
        await transaction.read(BEDS)
    with pytest.raises(OperationFailure):
        await transaction.write(bed(1))


async def test_no_update_is_lost_between_transactions(store: Store) -> None:
    await insert(store, {"_id": 1, "n": 0})

    async def count_once() -> None:
        async with store.transaction() as transaction:
            [found] = await transaction.read(BEDS)
            modifier = {"$set": {"n": found["n"] + 1}}
            await transaction.write(
                Update(collection="beds", selector={"_id": 1}, modifier=modifier)
            )

    async def count() -> None:
        counted = 0
        while counted < 10:
            # Nothing was written then: it is to be tried again.
            with suppress(TransactionConflict):
                await count_once()
                counted += 1

    async def increment() -> None:
        for _ in range(10):
            await update(store, {"_id": 1}, {"$inc": {"n": 1}})

    await asyncio.gather(count(), increment(), count(), increment())
    assert await contents(store) == [{"_id": 1, "n": 40}]


async def test_a_cancelled_transaction_lets_others_write(store: Store) -> None:
    inside = asyncio.Event()

    async def linger() -> None:
        async with store.transaction() as transaction:
            await transaction.write(bed(1))
            inside.set()
            await asyncio.Event().wait()

    lingering = asyncio.ensure_future(linger())
    await inside.wait()
    waiting = [asyncio.ensure_future(linger()) for _ in range(2)]
    await yield_once()
    for task in (*waiting, lingering):
        task.cancel()
    await asyncio.gather(*waiting, lingering, return_exceptions=True)
    await insert(store, {"_id": 2})
    assert await contents(store) == [{"_id": 2}]


async def test_a_transaction_keeps_unique_keys_to_itself_until_it_commits(store: Store) -> None:
    await insert(store, {"_id": 1})
    async with store.transaction() as transaction:
        await transaction.write(Delete(collection="beds", selector={"_id": 1}))
        later = asyncio.ensure_future(insert(store, {"_id": 1, "late": True}))
        await yield_once()
    # It waits for the commit, or sees the document that is still there.
    with suppress(DuplicateKeyError):
        await later
    assert await contents(store) in ([], [{"_id": 1, "late": True}])
    await update(store, {"_id": 1}, {"$set": {"n": 1}}, upsert=True)
