from typing import Any

import pytest
from pymongo.errors import (
    BulkWriteError,
    DuplicateKeyError,
    OperationFailure,
    WriteError,
)
from tests.conftest import DropCollection
from tests.integration.stores.support import EMBEDDED, contents, insert, update

from bolide.server.logging.explained import NeedsMongoDB
from bolide.server.stores.base import Delete, FindAndModify, IndexSpec, Query, Store, Update
from bolide.server.stores.embedded.queries import Explanation
from bolide.server.stores.memory import MemoryStore
from bolide.server.stores.sqlite import SQLiteStore

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


async def test_dropping_a_collection_drops_its_indexes(
    store: Store, drop_collection: DropCollection
) -> None:
    await store.create_index("beds", BY_CODE)
    await insert(store, {"_id": 1, "code": "a"})
    await drop_collection(store, "beds")
    assert await store.indexes("beds") == ()
    await insert(store, {"_id": 1, "code": "a"}, {"_id": 2, "code": "a"})
    await drop_collection(store, "beds")
    assert await contents(store) == []
    await drop_collection(store, "beds")


async def test_two_arrays_cannot_be_in_one_index_of_any_kind(store: Store) -> None:
    spec = IndexSpec(keys=(("a", 1), ("b", 1)))
    await store.create_index("beds", spec)
    with pytest.raises(WriteError) as caught:
        await insert(store, {"_id": 1, "a": [1], "b": [2]})
    assert caught.value.code == 171
    await insert(store, {"_id": 1, "a": [1], "b": 2})
    with pytest.raises(WriteError):
        await update(store, {"_id": 1}, {"$set": {"b": [2]}})
    await store.drop_index("beds", "a_1_b_1")
    await update(store, {"_id": 1}, {"$set": {"b": [2]}})
    with pytest.raises(OperationFailure):
        await store.create_index("beds", spec)
    assert await store.indexes("beds") == ()


async def explain(store: Store, selector: dict[str, Any]) -> Explanation:
    # MongoDB explains in its own way.
    assert isinstance(store, MemoryStore | SQLiteStore)
    return await store.explain(Query(collection="beds", selector=selector))


async def fill(store: Store) -> None:
    await insert(
        store,
        *({"_id": n, "ward": n % 10, "bed": n, "tags": [n, -n]} for n in range(200)),
    )


@EMBEDDED
async def test_a_query_looks_only_at_what_its_index_finds(store: Store) -> None:
    await fill(store)
    for keys in ((("ward", 1), ("bed", -1)), (("bed", 1),), (("tags", 1),)):
        await store.create_index("beds", IndexSpec(keys=keys))
    assert await explain(store, {"ward": 3}) == Explanation("ward_1_bed_-1", 20, 20)
    assert await explain(store, {"ward": 3, "bed": 13}) == Explanation("ward_1_bed_-1", 1, 1)
    assert await explain(store, {"bed": {"$gte": 50, "$lt": 60}, "ward": 1}) == Explanation(
        "bed_1", 11, 1
    )
    assert await explain(store, {"tags": {"$in": [-5, 7]}}) == Explanation("tags_1", 2, 2)
    assert await explain(store, {"_id": 5, "bed": 5}) == Explanation("_id_", 1, 1)
    assert await explain(store, {"name": "x"}) == Explanation(None, 200, 0)
    assert await explain(store, {"bed": {"$gte": 0}}) == Explanation(None, 200, 200)


@EMBEDDED
async def test_a_unique_index_is_looked_up_too(store: Store) -> None:
    await fill(store)
    await store.create_index("beds", IndexSpec(keys=(("bed", 1),), unique=True))
    assert await explain(store, {"bed": 17}) == Explanation("bed_1", 1, 1)
    await store.write(Delete(collection="beds", selector={"bed": 17}))
    assert await explain(store, {"bed": 17}) == Explanation("bed_1", 0, 0)


@EMBEDDED
async def test_an_index_that_was_used_follows_writes_and_is_gone_when_dropped(
    store: Store,
) -> None:
    await fill(store)
    await store.create_index("beds", IndexSpec(keys=(("ward", 1),)))
    assert (await explain(store, {"ward": 3})).found == 20
    await update(store, {"ward": 3}, {"$set": {"ward": "gone"}}, many=True)
    await insert(store, {"_id": "new", "ward": 3})
    assert await explain(store, {"ward": 3}) == Explanation("ward_1", 1, 1)
    assert await explain(store, {"ward": "gone"}) == Explanation("ward_1", 20, 20)
    await store.drop_index("beds", "ward_1")
    assert await explain(store, {"ward": 3}) == Explanation(None, 201, 1)
    await store.create_index("beds", IndexSpec(keys=(("ward", 1),)))
    assert await explain(store, {"ward": 3}) == Explanation("ward_1", 1, 1)
    await store.drop_collection("beds")
    assert await explain(store, {"ward": 3}) == Explanation(None, 0, 0)


async def test_without_a_sort_the_oldest_come_first_with_an_index_too(store: Store) -> None:
    await store.create_index("beds", IndexSpec(keys=(("n", 1),)))
    await insert(store, *({"_id": id, "n": 0} for id in ("c", "a", "b")), {"_id": "x", "n": 1})
    await update(store, {"_id": "x"}, {"$set": {"n": 0}})
    await update(store, {"_id": "c"}, {"$set": {"n": 1}})
    await update(store, {"_id": "c"}, {"$set": {"n": 0}})
    await store.write(Delete(collection="beds", selector={"_id": "a"}))
    await insert(store, {"_id": "a", "n": 0})
    found = await contents(store, selector={"n": 0}, sort=())
    assert [document["_id"] for document in found] == ["c", "b", "x", "a"]
    receipt = await store.write(Delete(collection="beds", selector={"n": 0}))
    assert receipt.deleted == 1
    assert [document["_id"] for document in await contents(store)] == ["a", "b", "x"]


async def test_a_transaction_finds_its_own_writes_by_index(store: Store) -> None:
    await store.create_index("beds", IndexSpec(keys=(("n", 1),)))
    await insert(store, *({"_id": id, "n": id % 3} for id in range(1, 10)))
    async with store.transaction() as transaction:
        query = Query(collection="beds", selector={"n": 1})
        for step, (selector, n) in enumerate([({"_id": 3}, 1), ({"n": 1}, 2), ({"n": 2}, 1)]):
            await transaction.write(
                Update(collection="beds", selector=selector, modifier={"$set": {"n": n}})
            )
            ids = [document["_id"] for document in await transaction.read(query)]
            assert ids == [[1, 3, 4, 7], [3, 4, 7], [1, 3, 4, 7]][step]
        await transaction.write(Delete(collection="beds", selector={"n": 1}, many=True))
        assert await transaction.read(query) == []
    assert await contents(store, selector={"n": 1}) == []
    assert [document["_id"] for document in await contents(store)] == [2, 5, 6, 8, 9]


@EMBEDDED
@pytest.mark.parametrize("option", ["expireAfterSeconds", "partialFilterExpression"])
async def test_what_only_mongodb_has_is_refused(store: Store, option: str) -> None:
    asked: dict[str, Any] = (
        {"expire_after_s": 0} if option == "expireAfterSeconds" else {"partial": {"n": 1}}
    )
    with pytest.raises(NeedsMongoDB, match=f"{option} of an index on beds needs MongoDB: indexes"):
        await store.create_index("beds", IndexSpec(keys=(("at", 1),), **asked))
    assert await store.indexes("beds") == ()
