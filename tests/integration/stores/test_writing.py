from typing import Any

import pytest
from bson import ObjectId
from pymongo.errors import (
    BulkWriteError,
    DuplicateKeyError,
    OperationFailure,
    WriteError,
)
from tests.integration.stores.support import contents, insert, update

from bolide.core.values import Document
from bolide.server.stores.base import Delete, FindAndModify, Insert, Receipt, Store


async def test_an_insert_tells_ids_position_and_collection(store: Store) -> None:
    receipt = await insert(store, {"_id": "b"}, {"_id": "a"})
    assert list(receipt.inserted_ids) == ["b", "a"]
    assert receipt.position is not None
    assert receipt.collections == {"beds"}
    assert await contents(store) == [{"_id": "a"}, {"_id": "b"}]


async def test_the_id_is_stored_first(store: Store) -> None:
    await insert(store, {"ward": 1, "_id": "a", "bed": 2})
    [found] = await contents(store)
    assert [*found] == ["_id", "ward", "bed"]


async def test_positions_grow(store: Store) -> None:
    first = await insert(store, {"_id": 1})
    second = await insert(store, {"_id": 2})
    assert first.position is not None
    assert second.position is not None
    assert first.position < second.position
    assert not second.position <= first.position


async def test_a_duplicate_id_is_refused_without_quoting_it(store: Store) -> None:
    await insert(store, {"_id": "Ada Lovelace"})
    with pytest.raises(DuplicateKeyError) as caught:
        await insert(store, {"_id": "Ada Lovelace", "ward": 2})
    assert caught.value.code == 11000
    assert caught.value.details is not None
    assert caught.value.details["keyPattern"] == {"_id": 1}
    assert await contents(store) == [{"_id": "Ada Lovelace"}]


async def test_an_ordered_insert_ends_at_its_first_failure(store: Store) -> None:
    await insert(store, {"_id": 2})
    with pytest.raises(BulkWriteError) as caught:
        await insert(store, {"_id": 1}, {"_id": 2}, {"_id": 3})
    assert caught.value.details["nInserted"] == 1
    assert [error["index"] for error in caught.value.details["writeErrors"]] == [1]
    assert await contents(store) == [{"_id": 1}, {"_id": 2}]


async def test_an_unordered_insert_goes_on(store: Store) -> None:
    await insert(store, {"_id": 2})
    documents: list[Document] = [{"_id": 1}, {"_id": 2}, {"_id": 3}, {"_id": 1}]
    with pytest.raises(BulkWriteError) as caught:
        await store.write(Insert(collection="beds", documents=documents, ordered=False))
    assert caught.value.details["nInserted"] == 2
    errors = caught.value.details["writeErrors"]
    assert [(error["index"], error["code"]) for error in errors] == [(1, 11000), (3, 11000)]
    assert await contents(store) == [{"_id": 1}, {"_id": 2}, {"_id": 3}]


@pytest.mark.parametrize("id", [[1], {"a"}], ids=["array", "set"])
async def test_what_cannot_be_an_id_is_refused(store: Store, id: Any) -> None:
    with pytest.raises(WriteError):
        await insert(store, {"_id": id})
    assert await contents(store) == []


async def test_a_document_beyond_16_mebibytes_is_refused(store: Store) -> None:
    with pytest.raises(WriteError) as caught:
        await insert(store, {"_id": 1, "scan": b"x" * 2**24})
    assert caught.value.code == 10334
    await insert(store, {"_id": 1, "scan": b"x" * 2**20})
    with pytest.raises(WriteError):
        await update(store, {"_id": 1}, {"$set": {"more": b"x" * 2**24}})
    assert [document.keys() for document in await contents(store)] == [{"_id", "scan"}]


async def test_a_number_beyond_64_bits_is_refused(store: Store) -> None:
    with pytest.raises(WriteError) as caught:
        await insert(store, {"_id": 1, "big": 2**64})
    assert str(2**64) not in str(caught.value)
    await insert(store, {"_id": 1, "n": 2**62})
    with pytest.raises(WriteError):
        await update(store, {"_id": 1}, {"$mul": {"n": 4}})


async def test_an_update_changes_the_first_match_or_all(store: Store) -> None:
    await insert(store, {"_id": 1, "n": 1}, {"_id": 2, "n": 1}, {"_id": 3, "n": 5})
    receipt = await update(store, {"n": 1}, {"$inc": {"n": 1}})
    assert (receipt.matched, receipt.modified) == (1, 1)
    receipt = await update(store, {"n": {"$gt": 0}}, {"$inc": {"n": 10}}, many=True)
    assert (receipt.matched, receipt.modified) == (3, 3)
    assert sorted(document["n"] for document in await contents(store)) == [11, 12, 15]


async def test_an_update_that_changes_nothing_has_no_position(store: Store) -> None:
    await insert(store, {"_id": 1, "n": 1})
    same = await update(store, {"_id": 1}, {"$set": {"n": 1}})
    assert (same.matched, same.modified, same.position) == (1, 0, None)
    none = await update(store, {"_id": 2}, {"$set": {"n": 1}})
    assert (none.matched, none.modified, none.position) == (0, 0, None)
    assert none.collections == same.collections == frozenset()


async def test_a_modifier_meets_the_element_that_matched(store: Store) -> None:
    await insert(store, {"_id": 1, "doses": [{"mg": 5}, {"mg": 10}]})
    await update(store, {"doses.mg": 10}, {"$set": {"doses.$.given": True}})
    assert await contents(store) == [{"_id": 1, "doses": [{"mg": 5}, {"mg": 10, "given": True}]}]


async def test_a_replacement_keeps_the_id(store: Store) -> None:
    await insert(store, {"_id": 1, "old": True})
    receipt = await update(store, {"old": True}, {"new": True})
    assert receipt.modified == 1
    assert await contents(store) == [{"_id": 1, "new": True}]


async def test_a_replacement_of_many_is_refused(store: Store) -> None:
    with pytest.raises(OperationFailure):
        await update(store, {}, {"new": True}, many=True)


async def test_the_id_cannot_be_changed(store: Store) -> None:
    await insert(store, {"_id": 1})
    with pytest.raises(WriteError):
        await update(store, {"_id": 1}, {"$set": {"_id": 2}})
    with pytest.raises(WriteError):
        await update(store, {"_id": 1}, {"_id": 2, "ward": 1})
    assert await contents(store) == [{"_id": 1}]


async def test_a_modifier_that_does_not_fit_is_a_write_error(store: Store) -> None:
    await insert(store, {"_id": 1, "name": "Ada Lovelace"})
    with pytest.raises(WriteError):
        await update(store, {"_id": 1}, {"$inc": {"name": 1}})
    with pytest.raises(OperationFailure):
        await update(store, {"_id": 1}, {"$frobnicate": {"name": 1}})
    assert await contents(store) == [{"_id": 1, "name": "Ada Lovelace"}]


async def test_an_update_of_many_keeps_what_it_changed_before_a_failure(store: Store) -> None:
    await insert(store, {"_id": 1, "n": 1}, {"_id": 2, "n": "text"}, {"_id": 3, "n": 3})
    with pytest.raises(WriteError):
        await update(store, {}, {"$inc": {"n": 1}}, many=True)
    assert await contents(store) == [
        {"_id": 1, "n": 2},
        {"_id": 2, "n": "text"},
        {"_id": 3, "n": 3},
    ]


async def test_an_upsert_inserts_what_selector_and_modifier_make(store: Store) -> None:
    receipt = await update(
        store,
        {"ward": 1, "bed": {"$gt": 3}},
        {"$set": {"name": "Ada"}, "$setOnInsert": {"new": True}},
        upsert=True,
        upsert_id="chosen",
    )
    assert receipt.upserted_id == "chosen"
    assert (receipt.matched, receipt.modified) == (0, 0)
    assert receipt.position is not None
    assert await contents(store) == [{"_id": "chosen", "ward": 1, "name": "Ada", "new": True}]
    again = await update(store, {"ward": 1}, {"$setOnInsert": {"new": 2}}, upsert=True)
    assert (again.upserted_id, again.matched, again.modified) == (None, 1, 0)


async def test_an_upsert_takes_the_id_of_its_selector(store: Store) -> None:
    receipt = await update(store, {"_id": 7}, {"$inc": {"n": 2}}, upsert=True, upsert_id="other")
    assert receipt.upserted_id == 7
    await update(store, {"_id": 8}, {"n": 1}, upsert=True)
    assert await contents(store) == [{"_id": 7, "n": 2}, {"_id": 8, "n": 1}]


async def test_an_upsert_without_any_id_makes_an_object_id(store: Store) -> None:
    receipt = await update(store, {"n": 1}, {"$set": {"m": 1}}, upsert=True)
    assert isinstance(receipt.upserted_id, ObjectId)
    assert await contents(store) == [{"_id": receipt.upserted_id, "n": 1, "m": 1}]


async def test_a_delete_takes_the_first_match_or_all(store: Store) -> None:
    await insert(store, *({"_id": n, "ward": n % 2} for n in range(5)))
    assert (await store.write(Delete(collection="beds", selector={"ward": 1}))).deleted == 1
    assert (await store.write(Delete(collection="beds", selector={}, many=True))).deleted == 4
    nothing = await store.write(Delete(collection="beds", selector={}, many=True))
    assert (nothing.deleted, nothing.position) == (0, None)
    assert await contents(store) == []


async def test_a_deleted_id_can_be_inserted_again(store: Store) -> None:
    await insert(store, {"_id": 1, "n": 1})
    await store.write(Delete(collection="beds", selector={"_id": 1}))
    await insert(store, {"_id": 1, "n": 2})
    assert await contents(store) == [{"_id": 1, "n": 2}]


async def find_and_modify(
    store: Store, selector: Document, modifier: Document | None, **options: Any
) -> Receipt:
    return await store.write(
        FindAndModify(collection="beds", selector=selector, modifier=modifier, **options)
    )


async def test_find_and_modify_changes_the_first_in_order(store: Store) -> None:
    await insert(store, {"_id": 1, "n": 1, "m": 0}, {"_id": 2, "n": 2, "m": 0})
    before = await find_and_modify(store, {}, {"$inc": {"m": 1}}, sort=(("n", -1),))
    assert before.document == {"_id": 2, "n": 2, "m": 0}
    assert (before.matched, before.modified) == (1, 1)
    after = await find_and_modify(
        store,
        {"n": 2},
        {"$inc": {"m": 1}},
        return_after=True,
        projection={"m": 1, "_id": 0},
    )
    assert after.document == {"m": 2}
    assert await contents(store) == [{"_id": 1, "n": 1, "m": 0}, {"_id": 2, "n": 2, "m": 2}]


async def test_find_and_modify_without_a_change_has_no_position(store: Store) -> None:
    await insert(store, {"_id": 1, "n": 1})
    same = await find_and_modify(store, {}, {"$set": {"n": 1}})
    # MongoDB does not say whether it changed anything, so that counts as if it did.
    assert (same.matched, same.modified) in ((1, 0), (1, 1))
    assert (same.position is None) == (same.modified == 0)
    assert same.document == {"_id": 1, "n": 1}


async def test_find_and_modify_replaces(store: Store) -> None:
    await insert(store, {"_id": 1, "n": 1})
    receipt = await find_and_modify(store, {"n": 1}, {"m": 2}, return_after=True)
    assert receipt.document == {"_id": 1, "m": 2}


async def test_find_and_modify_deletes(store: Store) -> None:
    await insert(store, {"_id": 1, "n": 1}, {"_id": 2, "n": 2})
    receipt = await find_and_modify(store, {}, None, sort=(("n", -1),), projection={"_id": 0})
    assert (receipt.document, receipt.deleted) == ({"n": 2}, 1)
    assert receipt.position is not None
    nothing = await find_and_modify(store, {"n": 9}, None)
    assert (nothing.document, nothing.deleted, nothing.position) == (None, 0, None)


async def test_find_and_modify_upserts(store: Store) -> None:
    missing = await find_and_modify(store, {"n": 1}, {"$set": {"m": 1}})
    assert (missing.document, missing.upserted_id) == (None, None)
    first = await find_and_modify(store, {"n": 1}, {"$set": {"m": 1}}, upsert=True, upsert_id="a")
    assert (first.document, first.upserted_id) == (None, "a")
    second = await find_and_modify(
        store, {"n": 2}, {"$set": {"m": 2}}, upsert=True, upsert_id="b", return_after=True
    )
    assert second.document == {"_id": "b", "n": 2, "m": 2}
    assert second.position is not None
