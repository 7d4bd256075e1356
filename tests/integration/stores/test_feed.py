import asyncio
import random
from itertools import pairwise
from typing import Any

import pytest
from pymongo.errors import DuplicateKeyError, WriteError
from tests.conftest import DropCollection
from tests.integration.stores.support import (
    Follower,
    contents,
    follow,
    insert,
    replay,
    update,
    write_at_random,
)
from tests.turns import yield_once

from bolide.core.errors import StateError
from bolide.core.keys import key_of
from bolide.server.stores.base import (
    ChangeKind,
    Delete,
    FindAndModify,
    IndexSpec,
    Insert,
    Query,
    Receipt,
    Store,
)

INSERT, UPDATE, REPLACE, DELETE = (
    ChangeKind.INSERT,
    ChangeKind.UPDATE,
    ChangeKind.REPLACE,
    ChangeKind.DELETE,
)


async def delivered(store: Store, receipt: Receipt) -> None:
    assert receipt.position is not None
    await store.feed_reached(receipt.position)
    assert receipt.position <= store.feed_position


async def test_the_feed_tells_each_change_in_order(store: Store) -> None:
    follower = await follow(store)
    await insert(store, {"_id": 1, "n": 1})
    await update(store, {"_id": 1}, {"$inc": {"n": 1}})
    await update(store, {"_id": 1}, {"m": 1})
    await update(store, {"_id": 2}, {"$set": {"n": 5}}, upsert=True)
    await store.write(FindAndModify(collection="beds", selector={"_id": 2}, modifier=None))
    await delivered(store, await store.write(Delete(collection="beds", selector={"_id": 1})))
    assert follower.told == [
        (INSERT, 1, {"_id": 1, "n": 1}),
        (UPDATE, 1, {"_id": 1, "n": 2}),
        (REPLACE, 1, {"_id": 1, "m": 1}),
        (INSERT, 2, {"_id": 2, "n": 5}),
        (DELETE, 2, None),
        (DELETE, 1, None),
    ]
    assert {change.collection for change in follower.changes} == {"beds"}
    positions = [change.position for change in follower.changes]
    assert all(first <= second for first, second in pairwise(positions))
    for change in follower.changes:
        assert change.kind is not INSERT or change.before is None


async def test_a_receipt_names_the_position_of_its_last_change(store: Store) -> None:
    follower = await follow(store)
    receipt = await insert(store, {"_id": 1}, {"_id": 2})
    await delivered(store, receipt)
    assert follower.changes[-1].position == receipt.position


async def test_what_changes_nothing_is_not_told(store: Store) -> None:
    await insert(store, {"_id": 1, "n": 1})
    follower = await follow(store)
    await update(store, {"_id": 1}, {"$set": {"n": 1}})
    await update(store, {"_id": 9}, {"$set": {"n": 1}})
    with pytest.raises(DuplicateKeyError):
        await insert(store, {"_id": 1})
    await delivered(store, await insert(store, {"_id": 2}))
    assert [change.id for change in follower.changes] == [2]


async def test_what_was_changed_before_a_failure_is_told(store: Store) -> None:
    await insert(store, {"_id": 1, "n": 1}, {"_id": 2, "n": "text"})
    follower = await follow(store)
    with pytest.raises(WriteError):
        await update(store, {}, {"$inc": {"n": 1}}, many=True)
    await delivered(store, await insert(store, {"_id": 3}))
    assert [change.id for change in follower.changes] == [1, 3]


async def test_who_stopped_listening_hears_nothing_more(store: Store) -> None:
    gone, here = await follow(store), await follow(store)
    await delivered(store, await insert(store, {"_id": 1}))
    store.unlisten(gone)
    await delivered(store, await insert(store, {"_id": 2}))
    assert [change.id for change in gone.changes] == [1]
    assert [change.id for change in here.changes] == [1, 2]


async def test_a_listener_hears_everything_after_the_feed_position(store: Store) -> None:
    await insert(store, {"_id": 1})
    start, follower = store.feed_position, Follower()
    store.listen(follower)
    await delivered(store, await insert(store, {"_id": 2}))
    assert all(not change.position <= start for change in follower.changes)
    assert follower.changes[-1].id == 2


async def test_a_position_in_the_past_is_reached_at_once(store: Store) -> None:
    receipt = await insert(store, {"_id": 1})
    await delivered(store, receipt)
    await delivered(store, receipt)


async def test_a_dropped_collection_is_told_as_one_loss(
    store: Store, drop_collection: DropCollection
) -> None:
    await insert(store, {"_id": 1}, {"_id": 2})
    await insert(store, {"_id": 1}, collection="wards")
    follower = await follow(store)
    await drop_collection(store, "beds")
    await delivered(store, await insert(store, {"_id": 1}))
    told = [(change.kind, change.id) for change in follower.changes if change.collection == "beds"]
    assert told == [(ChangeKind.COLLECTION_LOST, None), (INSERT, 1)]
    assert await contents(store, "wards") == [{"_id": 1}]


async def test_an_index_is_no_change_of_a_document(store: Store) -> None:
    follower = await follow(store)
    await store.create_index("beds", IndexSpec(keys=(("n", 1),)))
    await store.drop_index("beds", "n_1")
    await delivered(store, await insert(store, {"_id": 1}))
    assert [change.kind for change in follower.changes] == [INSERT]


async def test_a_transaction_is_one_batch(store: Store) -> None:
    follower = await follow(store)
    async with store.transaction() as transaction:
        for number in range(5):
            await transaction.write(Insert(collection="beds", documents=[{"_id": number}]))
        await transaction.write(Insert(collection="wards", documents=[{"_id": 1}]))
        assert follower.batches == []
    assert transaction.receipt is not None
    await delivered(store, transaction.receipt)
    [batch] = [batch for batch in follower.batches if batch[0].id == 0]
    assert [(change.collection, change.id) for change in batch][:6] == [
        *(("beds", number) for number in range(5)),
        ("wards", 1),
    ]


async def test_an_aborted_transaction_is_not_told(store: Store) -> None:
    follower = await follow(store)

    async def abort() -> None:
        async with store.transaction() as transaction:
            await transaction.write(Insert(collection="beds", documents=[{"_id": 1}]))
            raise KeyError

    with pytest.raises(KeyError):
        await abort()
    await delivered(store, await insert(store, {"_id": 2}))
    assert [change.id for change in follower.changes] == [2]


async def test_closing_ends_all_waiting(store: Store) -> None:
    receipt = await insert(store, {"_id": 1})
    await delivered(store, receipt)
    async with store.transaction() as transaction:
        await transaction.write(Insert(collection="beds", documents=[{"_id": 2}]))
    assert transaction.receipt is not None
    position = transaction.receipt.position
    assert position is not None
    await store.close()
    with pytest.raises(StateError):
        await store.read(Query(collection="beds"))
    with pytest.raises(StateError):
        await store.feed_reached(position)


@pytest.mark.parametrize("seed", range(5))
async def test_a_snapshot_and_the_changes_after_it_make_the_collection(
    store: Store, seed: int
) -> None:
    source = random.Random(seed)
    writers = [
        asyncio.ensure_future(write_at_random(store, random.Random(source.random()), 30))
        for _ in range(4)
    ]
    joined: list[tuple[Follower, Any]] = []
    while not all(writer.done() for writer in writers):
        follower = Follower()
        store.listen(follower)
        joined.append((follower, await store.read(Query(collection="beds"))))
        await yield_once()
    await asyncio.gather(*writers)
    end = await store.read(Query(collection="beds"))
    await store.feed_reached(end.position)
    expected = {key_of(document["_id"]): document for document in end.documents}
    assert len(joined) > 5
    for follower, snapshot in joined:
        changes = follower.changes
        assert replay(snapshot.documents, changes, snapshot.position, "beds") == expected
        for earlier, later in pairwise(changes):
            assert earlier.position <= later.position


async def test_the_latest_position_is_not_before_an_acknowledged_write(store: Store) -> None:
    for number in range(1, 4):
        await insert(store, {"_id": number})
        receipt = await update(store, {"_id": number}, {"$set": {"n": 1}})
        latest = await store.latest_position()
        assert receipt.position is not None
        assert receipt.position <= latest
        await store.feed_reached(latest)
