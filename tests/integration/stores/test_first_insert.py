"""A write with an insert before it: both in one commit, or neither."""

import asyncio
from typing import Any

import pytest
from pymongo.errors import BulkWriteError, DuplicateKeyError, OperationFailure, WriteError
from tests.integration.stores.support import contents, follow, insert

from bolide.server.stores.base import (
    Delete,
    FindAndModify,
    FirstInsertFailed,
    IndexSpec,
    Insert,
    Store,
    Update,
    WriteOperation,
)

CLAIM = Insert(collection="calls", documents=[{"_id": "call-1"}])
MOVE = Update(collection="beds", selector={"_id": 1}, modifier={"$set": {"ward": 2}})


async def test_both_are_one_batch_in_order_and_the_receipt_is_of_the_write(store: Store) -> None:
    await insert(store, {"_id": 1})
    follower = await follow(store)
    receipt = await store.write(MOVE, first=CLAIM)
    assert receipt.collections == {"beds"}
    assert (receipt.matched, receipt.modified, receipt.inserted_ids) == (1, 1, ())
    assert receipt.position is not None
    await store.feed_reached(receipt.position)
    assert [[change.id for change in batch] for batch in follower.batches] == [["call-1", 1]]
    assert follower.changes[-1].position == receipt.position
    assert await contents(store, "calls") == [{"_id": "call-1"}]


async def test_a_write_that_changes_nothing_still_has_its_first_insert(store: Store) -> None:
    receipt = await store.write(MOVE, first=CLAIM)
    assert receipt.position is None
    assert receipt.collections == frozenset()
    assert await contents(store, "calls") == [{"_id": "call-1"}]


async def test_a_taken_first_key_writes_nothing_and_is_told_apart(store: Store) -> None:
    await insert(store, {"_id": 1})
    await store.write(MOVE, first=CLAIM)
    follower = await follow(store)
    again = Update(collection="beds", selector={"_id": 1}, modifier={"$set": {"ward": 3}})
    with pytest.raises(FirstInsertFailed) as caught:
        await store.write(again, first=CLAIM)
    assert caught.value.code == 11000
    assert caught.value.details is not None
    assert caught.value.details["keyPattern"] == {"_id": 1}
    assert "call-1" not in str(caught.value)
    assert await contents(store) == [{"_id": 1, "ward": 2}]
    assert follower.changes == []


async def test_a_key_that_the_write_finds_taken_is_a_plain_duplicate(store: Store) -> None:
    await insert(store, {"_id": 1})
    with pytest.raises(DuplicateKeyError) as caught:
        await store.write(Insert(collection="beds", documents=[{"_id": 1}]), first=CLAIM)
    assert not isinstance(caught.value, FirstInsertFailed)


async def test_of_two_writes_at_once_with_one_first_key_one_is_done(store: Store) -> None:
    await insert(store, {"_id": 1, "n": 0})
    count = Update(collection="beds", selector={"_id": 1}, modifier={"$inc": {"n": 1}})
    results = await asyncio.gather(
        *(store.write(count, first=CLAIM) for _ in range(5)), return_exceptions=True
    )
    assert sum(isinstance(result, FirstInsertFailed) for result in results) == 4
    assert await contents(store) == [{"_id": 1, "n": 1}]


FAILS: list[tuple[WriteOperation, type[OperationFailure]]] = [
    (Insert(collection="beds", documents=[{"_id": 1}]), DuplicateKeyError),
    (Insert(collection="beds", documents=[{"_id": 1}, {"_id": 9}]), BulkWriteError),
    (Update(collection="beds", selector={}, modifier={"$inc": {"name": 1}}), WriteError),
    (FindAndModify(collection="beds", selector={}, modifier={"$inc": {"name": 1}}), WriteError),
    (Delete(collection="beds", selector={"$frobnicate": 1}), OperationFailure),
]


@pytest.mark.parametrize(("operation", "error"), FAILS)
async def test_a_write_that_did_nothing_takes_the_first_insert_back(
    store: Store, operation: WriteOperation, error: type[OperationFailure]
) -> None:
    await insert(store, {"_id": 1, "name": "Ada"})
    follower = await follow(store)
    with pytest.raises(error):
        await store.write(operation, first=CLAIM)
    assert await contents(store, "calls") == []
    receipt = await store.write(MOVE, first=CLAIM)
    assert receipt.position is not None
    await store.feed_reached(receipt.position)
    assert [change.id for change in follower.changes] == ["call-1", 1]


async def test_a_write_that_failed_halfway_keeps_the_first_insert_if_it_left_something(
    store: Store,
) -> None:
    await insert(store, {"_id": 1, "n": 0}, {"_id": 2, "n": "text"})
    half: list[tuple[WriteOperation, type[OperationFailure]]] = [
        (
            Update(collection="beds", selector={}, modifier={"$inc": {"n": 1}}, many=True),
            WriteError,
        ),
        (Insert(collection="beds", documents=[{"_id": 3}, {"_id": 1}]), BulkWriteError),
    ]
    for number, (operation, error) in enumerate(half):
        claim = Insert(collection="calls", documents=[{"_id": f"call-{number}"}])
        before = await contents(store)
        with pytest.raises(error):
            await store.write(operation, first=claim)
        # A database that does both in one transaction leaves nothing of either.
        has_left_something = await contents(store) != before
        claimed = await contents(store, "calls", selector={"_id": f"call-{number}"})
        assert bool(claimed) == has_left_something
        with pytest.raises(FirstInsertFailed if has_left_something else error):
            await store.write(operation, first=claim)


async def test_a_first_insert_taken_back_frees_its_unique_keys_and_its_place(store: Store) -> None:
    await store.create_index("calls", IndexSpec(keys=(("number", 1),), unique=True))
    numbered = Insert(collection="calls", documents=[{"_id": "call-1", "number": 7}])
    with pytest.raises(OperationFailure):
        await store.write(
            Update(collection="calls", selector={"_id": "call-1"}, modifier={"$inc": {"_id": 1}}),
            first=numbered,
        )
    await insert(store, {"_id": "other", "number": 7}, collection="calls")
    with pytest.raises(FirstInsertFailed):
        await store.write(MOVE, first=numbered)


BAD: list[Any] = [(), ({"_id": 1}, {"_id": 2})]


@pytest.mark.parametrize("documents", BAD, ids=["none", "two"])
async def test_a_first_insert_is_of_one_document(store: Store, documents: Any) -> None:
    with pytest.raises(ValueError, match="one document"):
        await store.write(MOVE, first=Insert(collection="calls", documents=documents))
