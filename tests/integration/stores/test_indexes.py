import pytest
from pymongo.errors import (
    BulkWriteError,
    DuplicateKeyError,
    OperationFailure,
    WriteError,
)
from tests.integration.stores.support import contents, insert, update

from bolide.server.stores.base import Delete, FindAndModify, IndexSpec, Store

BY_CODE = IndexSpec(keys=(("code", 1),), unique=True)


async def test_an_index_is_named_from_its_keys_and_listed(store: Store) -> None:
    assert await store.indexes("beds") == ()
    name = await store.create_index("beds", IndexSpec(keys=(("ward", 1), ("bed", -1))))
    assert name == "ward_1_bed_-1"
    assert await store.create_index("beds", IndexSpec(keys=(("a", 1),), name="mine")) == "mine"
    assert list(await store.indexes("beds")) == [
        IndexSpec(keys=(("ward", 1), ("bed", -1)), name="ward_1_bed_-1"),
        IndexSpec(keys=(("a", 1),), name="mine"),
    ]
    await store.drop_index("beds", "ward_1_bed_-1")
    assert [index.name for index in await store.indexes("beds")] == ["mine"]


async def test_making_an_index_again_changes_nothing(store: Store) -> None:
    assert await store.create_index("beds", BY_CODE) == "code_1"
    assert await store.create_index("beds", BY_CODE) == "code_1"
    assert len(await store.indexes("beds")) == 1


async def test_an_index_with_other_options_is_refused(store: Store) -> None:
    await store.create_index("beds", BY_CODE)
    with pytest.raises(OperationFailure):
        await store.create_index("beds", IndexSpec(keys=(("code", 1),)))
    with pytest.raises(OperationFailure):
        await store.create_index("beds", IndexSpec(keys=(("other", 1),), name="code_1"))


async def test_the_index_on_ids_is_there_and_not_listed(store: Store) -> None:
    assert await store.create_index("beds", IndexSpec(keys=(("_id", 1),))) == "_id_"
    assert await store.indexes("beds") == ()


async def test_an_unknown_index_cannot_be_dropped(store: Store) -> None:
    await insert(store, {"_id": 1})
    with pytest.raises(OperationFailure):
        await store.drop_index("beds", "nothing_1")


async def test_a_unique_index_refuses_a_second_key(store: Store) -> None:
    await store.create_index("beds", BY_CODE)
    await insert(store, {"_id": 1, "code": "Ada Lovelace"})
    with pytest.raises(DuplicateKeyError) as caught:
        await insert(store, {"_id": 2, "code": "Ada Lovelace"})
    assert caught.value.code == 11000
    assert caught.value.details is not None
    assert caught.value.details["keyPattern"] == {"code": 1}
    assert await contents(store) == [{"_id": 1, "code": "Ada Lovelace"}]


async def test_a_unique_index_watches_every_way_of_writing(store: Store) -> None:
    await store.create_index("beds", BY_CODE)
    await insert(store, {"_id": 1, "code": "a"}, {"_id": 2, "code": "b"})
    with pytest.raises(DuplicateKeyError):
        await update(store, {"_id": 2}, {"$set": {"code": "a"}})
    with pytest.raises(DuplicateKeyError):
        await update(store, {"_id": 2}, {"code": "a"})
    with pytest.raises(DuplicateKeyError):
        await update(store, {"_id": 3}, {"$set": {"code": "a"}}, upsert=True)
    with pytest.raises(DuplicateKeyError):
        await store.write(
            FindAndModify(collection="beds", selector={"_id": 2}, modifier={"code": "a"})
        )
    with pytest.raises(BulkWriteError):
        await insert(store, {"_id": 4, "code": "d"}, {"_id": 5, "code": "d"})
    assert [document["_id"] for document in await contents(store)] == [1, 2, 4]


async def test_a_key_is_free_again_after_its_document_left_it(store: Store) -> None:
    await store.create_index("beds", BY_CODE)
    await insert(store, {"_id": 1, "code": "a"}, {"_id": 2, "code": "b"})
    await update(store, {"_id": 1}, {"$set": {"code": "c"}})
    await update(store, {"_id": 2}, {"$set": {"code": "a"}})
    await store.write(Delete(collection="beds", selector={"_id": 1}))
    await insert(store, {"_id": 3, "code": "c"}, {"_id": 4, "code": "b"})
    await update(store, {"_id": 3}, {"$set": {"seen": True}})
    assert [document["code"] for document in await contents(store)] == ["a", "c", "b"]


async def test_a_missing_field_counts_as_null_unless_the_index_is_sparse(store: Store) -> None:
    await store.create_index("beds", BY_CODE)
    await insert(store, {"_id": 1})
    with pytest.raises(DuplicateKeyError):
        await insert(store, {"_id": 2, "code": None})
    await store.drop_index("beds", "code_1")
    await store.create_index("beds", IndexSpec(keys=(("code", 1),), unique=True, sparse=True))
    await insert(store, {"_id": 2, "code": None}, {"_id": 3})
    with pytest.raises(DuplicateKeyError):
        await insert(store, {"_id": 4, "code": None})


async def test_each_array_element_is_a_key_and_paths_go_into_arrays(store: Store) -> None:
    await store.create_index("beds", IndexSpec(keys=(("emails.address", 1),), unique=True))
    await insert(store, {"_id": 1, "emails": [{"address": "a"}, {"address": "b"}]})
    await insert(store, {"_id": 2, "emails": [{"address": "c"}, {"address": "c"}]})
    with pytest.raises(DuplicateKeyError):
        await insert(store, {"_id": 3, "emails": [{"address": "d"}, {"address": "b"}]})
    with pytest.raises(DuplicateKeyError):
        await update(store, {"_id": 2}, {"$push": {"emails": {"address": "a"}}})
    await update(store, {"_id": 1}, {"$pull": {"emails": {"address": "a"}}})
    await update(store, {"_id": 2}, {"$push": {"emails": {"address": "a"}}})


async def test_two_arrays_cannot_be_in_one_unique_index(store: Store) -> None:
    spec = IndexSpec(keys=(("a", 1), ("b", 1)), unique=True)
    await store.create_index("beds", spec)
    await insert(store, {"_id": 1, "a": [1, 2], "b": 1})
    with pytest.raises(WriteError):
        await insert(store, {"_id": 2, "a": [3], "b": [4]})
    with pytest.raises(DuplicateKeyError):
        await insert(store, {"_id": 3, "a": 2, "b": 1.0})
    assert len(await contents(store)) == 1


async def test_a_unique_index_over_duplicates_is_not_made(store: Store) -> None:
    await insert(store, {"_id": 1, "code": "a"}, {"_id": 2, "code": "a"})
    with pytest.raises(DuplicateKeyError):
        await store.create_index("beds", BY_CODE)
    assert await store.indexes("beds") == ()
    await insert(store, {"_id": 3, "code": "a"})


async def test_dropping_a_collection_drops_its_indexes(store: Store) -> None:
    await store.create_index("beds", BY_CODE)
    await insert(store, {"_id": 1, "code": "a"})
    await store.drop_collection("beds")
    assert await store.indexes("beds") == ()
    await insert(store, {"_id": 1, "code": "a"}, {"_id": 2, "code": "a"})
    await store.drop_collection("beds")
    assert await contents(store) == []
    await store.drop_collection("beds")
