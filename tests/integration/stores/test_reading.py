from datetime import UTC, datetime
from typing import Any

import pytest
from bson import Decimal128, Int64, ObjectId
from pymongo.errors import OperationFailure
from tests.integration.stores.support import contents, insert

from bolide.core.values import Document, Encrypted, Regex
from bolide.server.stores.base import Query, Store


async def ids(store: Store, **query: Any) -> list[Any]:
    found = await store.read(Query(collection="beds", **query))
    return [document["_id"] for document in found.documents]


async def three_beds(store: Store) -> None:
    await insert(
        store,
        {"_id": "b", "ward": 2, "name": "Bert"},
        {"_id": "c", "ward": 1, "name": "Cora"},
        {"_id": "a", "ward": 1, "name": "Ada"},
    )


async def test_an_unknown_collection_is_empty(store: Store) -> None:
    assert await contents(store, "nothing") == []
    assert await store.count(Query(collection="nothing")) == 0
    assert await store.distinct("nothing", "ward", {}) == []


async def test_all_documents_are_read_however_many_there_are(store: Store) -> None:
    await insert(store, *({"_id": number} for number in range(2_500)))
    assert await ids(store, sort=(("_id", 1),)) == list(range(2_500))
    assert await store.count(Query(collection="beds")) == 2_500
    assert len(await store.distinct("beds", "_id", {})) == 2_500


async def test_a_selector_chooses(store: Store) -> None:
    await three_beds(store)
    assert sorted(await ids(store, selector={"ward": 1})) == ["a", "c"]
    assert await ids(store, selector={"_id": "b"}) == ["b"]
    assert await ids(store, selector={"_id": "x"}) == []
    assert await ids(store, selector={"_id": {"$eq": "c"}}) == ["c"]
    assert sorted(await ids(store, selector={"_id": {"$in": ["c", "x", "a", "c"]}})) == ["a", "c"]
    assert await ids(store, selector={"_id": {"$in": ["c", "a"]}, "name": "Ada"}) == ["a"]
    assert sorted(await ids(store, selector={"_id": {"$gt": "a"}})) == ["b", "c"]
    assert await ids(store, selector={"_id": {"$nin": ["a", "b"]}}) == ["c"]


@pytest.mark.parametrize("id", [7, Int64(7), 7.0, Decimal128("7")], ids=repr)
async def test_an_id_is_found_by_an_equal_number(store: Store, id: Any) -> None:
    await insert(store, {"_id": 7})
    assert await ids(store, selector={"_id": id}) == [7]


@pytest.mark.parametrize(
    "id",
    [
        "text",
        True,
        3.5,
        ObjectId("6b09b04a0bcad06c28211112"),
        datetime(2026, 1, 1, tzinfo=UTC),
        b"bytes",
        {"ward": 1, "bed": 2},
    ],
    ids=repr,
)
async def test_an_id_of_any_type_finds_its_document(store: Store, id: Any) -> None:
    await insert(store, {"_id": id}, {"_id": "other"})
    assert await ids(store, selector={"_id": id}) == [id]
    assert await ids(store, selector={"_id": {"$in": [id]}}) == [id]


async def test_sort_skip_and_limit_make_a_window(store: Store) -> None:
    await three_beds(store)
    by_ward = (("ward", 1), ("name", -1))
    assert await ids(store, sort=by_ward) == ["c", "a", "b"]
    assert await ids(store, sort=by_ward, skip=1, limit=1) == ["a"]
    assert await ids(store, sort=by_ward, skip=5) == []


async def test_equal_sort_keys_go_by_id(store: Store) -> None:
    await three_beds(store)
    assert await ids(store, sort=(("ward", 1),)) == ["a", "c", "b"]
    assert await ids(store, sort=(("ward", -1),)) == ["b", "a", "c"]


async def test_a_projection_shows_some_fields(store: Store) -> None:
    await three_beds(store)
    assert await contents(store, selector={"_id": "a"}, projection={"name": 1}) == [
        {"_id": "a", "name": "Ada"}
    ]
    assert await contents(store, selector={"_id": "a"}, projection={"name": 0, "_id": 0}) == [
        {"ward": 1}
    ]


async def test_count_counts_what_a_read_returns(store: Store) -> None:
    await three_beds(store)
    assert await store.count(Query(collection="beds")) == 3
    assert await store.count(Query(collection="beds", selector={"ward": 1})) == 2
    assert await store.count(Query(collection="beds", skip=1, limit=5)) == 2


async def test_distinct_takes_arrays_apart(store: Store) -> None:
    await insert(
        store,
        {"_id": 1, "tags": ["x", "y"], "doses": [{"mg": 5}, {"mg": 10}, 3]},
        {"_id": 2, "tags": "y", "doses": [{"mg": 5.0}], "at": {"ward": 1}},
        {"_id": 3, "tags": ["z", ["x"]], "at": {"ward": 1}},
        {"_id": 4, "tags": [], "at": [[{"ward": 9}]]},
    )
    assert sorted(await store.distinct("beds", "doses.mg", {})) == [5, 10]
    assert await store.distinct("beds", "at.ward", {}) == [1]
    assert await store.distinct("beds", "tags.0", {"_id": 1}) == ["x"]
    assert await store.distinct("beds", "tags.7", {}) == []
    tags = await store.distinct("beds", "tags", {})
    assert sorted(map(str, tags)) == ["['x']", "x", "y", "z"]
    assert sorted(await store.distinct("beds", "tags", {"_id": {"$lt": 3}})) == ["x", "y"]


async def test_every_value_comes_back_as_it_was_written(store: Store) -> None:
    document: Document = {
        "_id": "all",
        "none": None,
        "yes": True,
        "whole": 1,
        "large": Int64(2**62),
        "real": 1.5,
        "infinite": float("inf"),
        "text": "Ä€😀",
        "bytes": b"\x00\xff",
        "secret": Encrypted(b"\x01cipher"),
        "id": ObjectId("6b09b04a0bcad06c28211112"),
        "at": datetime(2026, 1, 2, 3, 4, 5, 678000, tzinfo=UTC),
        "exact": Decimal128("1.50"),
        "pattern": Regex("^a.b$", "i"),
        "list": [1, [2, {"deep": None}]],
        "object": {"z": 1, "a": {"b": []}},
    }
    await insert(store, document)
    [found] = await contents(store)
    assert found == document
    assert [*found] == [*document]
    assert {name: type(value) for name, value in found.items()} == {
        name: type(value) for name, value in document.items()
    }


async def test_what_is_read_does_not_follow_what_the_writer_does_to_its_document(
    store: Store,
) -> None:
    document: Document = {"_id": 1, "tags": ["x"]}
    await insert(store, document)
    document["tags"].append("y")
    document["ward"] = 1
    assert await contents(store) == [{"_id": 1, "tags": ["x"]}]


async def test_dates_have_milliseconds_and_are_utc(store: Store) -> None:
    await insert(store, {"_id": 1, "at": datetime(2026, 1, 1, 0, 0, 0, 123999)})
    assert await contents(store) == [
        {"_id": 1, "at": datetime(2026, 1, 1, 0, 0, 0, 123000, tzinfo=UTC)}
    ]


@pytest.mark.parametrize(
    "query",
    [
        Query(collection="beds", selector={"ward": {"$near_by": 1}}),
        Query(collection="beds", projection={"a": 1, "b": 0}),
    ],
    ids=["operator", "projection"],
)
async def test_a_query_that_does_not_compile_is_an_operation_failure(
    store: Store, query: Query
) -> None:
    with pytest.raises(OperationFailure):
        await store.read(query)


async def test_a_read_is_never_before_the_position_it_asks_for(store: Store) -> None:
    receipt = await insert(store, {"_id": 1})
    assert receipt.position is not None
    snapshot = await store.read(Query(collection="beds"), after=receipt.position)
    assert receipt.position <= snapshot.position
    assert list(snapshot.documents) == [{"_id": 1}]
