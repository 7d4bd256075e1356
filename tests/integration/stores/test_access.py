"""Access filters: of a collection only what is in an open scope exists."""

from collections.abc import Mapping
from typing import Any

import pytest
from pymongo.errors import DuplicateKeyError, OperationFailure
from tests.integration.stores.support import contents, insert

from bolide.core.values import Document
from bolide.server.stores.access import AccessRefused
from bolide.server.stores.base import (
    AccessFilter,
    Delete,
    FindAndModify,
    IndexSpec,
    Insert,
    Query,
    Receipt,
    Store,
    Update,
)

SEVEN = AccessFilter("ward", frozenset({"7"}))
BOTH = AccessFilter("ward", frozenset({"7", "8"}))
CLOSED = AccessFilter("ward")

INSIDE: Document = {"_id": "in", "ward": "7", "n": 1}
OUTSIDE: list[Document] = [
    {"_id": "other", "ward": "8", "n": 1},
    {"_id": "array", "ward": ["7"], "n": 1},
    {"_id": "nested", "ward": [["7"]], "n": 1},
    {"_id": "empty", "ward": [], "n": 1},
    {"_id": "object", "ward": {"0": "7"}, "n": 1},
    {"_id": "number", "ward": 7, "n": 1},
    {"_id": "null", "ward": None, "n": 1},
    {"_id": "missing", "n": 1},
]
EVERYTHING = sorted([INSIDE, *OUTSIDE], key=lambda document: str(document["_id"]))


@pytest.fixture(autouse=True)
async def wards(store: Store) -> None:
    await insert(store, *EVERYTHING)


async def ids(store: Store, access: AccessFilter = SEVEN, **query: Any) -> list[Any]:
    return [document["_id"] for document in await contents(store, access=access, **query)]


async def update(
    store: Store, selector: Mapping[str, Any], modifier: Mapping[str, Any], **options: Any
) -> Receipt:
    options.setdefault("access", SEVEN)
    return await store.write(
        Update(collection="beds", selector=selector, modifier=modifier, **options)
    )


async def modify(
    store: Store, selector: Mapping[str, Any], modifier: Mapping[str, Any] | None, **options: Any
) -> Receipt:
    operation = FindAndModify(
        collection="beds", selector=selector, modifier=modifier, access=SEVEN, **options
    )
    return await store.write(operation)


@pytest.mark.parametrize(
    "selector",
    [
        {},
        {"n": 1},
        {"_id": {"$in": [document["_id"] for document in EVERYTHING]}},
        {"ward": {"$exists": True}},
        {"ward": {"$ne": "8"}},
        {"ward.0": {"$exists": False}},
        {"ward": {"$in": ["7", "8", 7, None]}},
        {"$or": [{"ward": "7"}, {"ward": "8"}, {"ward": 7}]},
        {"$and": [{"n": 1}, {"n": {"$gt": 0}}]},
        {"$and": [{"n": 1}], "ward": {"$nin": ["8"]}},
        {"$nor": [{"ward": "8"}]},
    ],
    ids=repr,
)
async def test_no_selector_finds_what_is_outside(store: Store, selector: Document) -> None:
    assert await ids(store, selector=selector) == ["in"]
    query = Query(collection="beds", selector=selector, access=SEVEN)
    assert await store.count(query) == 1
    assert await store.distinct("beds", "_id", selector, access=SEVEN) == ["in"]
    async with store.transaction() as transaction:
        assert [found["_id"] for found in await transaction.read(query)] == ["in"]


@pytest.mark.parametrize("outside", OUTSIDE, ids=lambda document: document["_id"])
async def test_what_is_outside_is_not_found_by_its_id(store: Store, outside: Document) -> None:
    assert await ids(store, selector={"_id": outside["_id"]}) == []
    assert await ids(store, selector={"ward": outside.get("ward"), "n": 1}) == []


async def test_several_scopes_can_be_open_or_none(store: Store) -> None:
    assert await ids(store, BOTH) == ["in", "other"]
    assert await ids(store, CLOSED) == []
    assert await store.distinct("beds", "ward", {}, access=BOTH) == ["7", "8"]


async def test_a_window_is_counted_over_what_is_inside(store: Store) -> None:
    await insert(store, {"_id": "in2", "ward": "7"})
    assert await ids(store, skip=1, limit=1) == ["in2"]
    assert await store.count(Query(collection="beds", access=SEVEN, skip=1)) == 1


@pytest.mark.parametrize("selector", [{"$and": []}, {"$and": 1, "ward": "7"}], ids=repr)
async def test_a_selector_that_does_not_compile_still_does_not(
    store: Store, selector: Document
) -> None:
    with pytest.raises(OperationFailure):
        await ids(store, selector=selector)
    with pytest.raises(OperationFailure):
        await ids(store, selector={**selector, "ward": "7"})


@pytest.mark.parametrize("outside", OUTSIDE, ids=lambda document: document["_id"])
async def test_an_insert_outside_is_refused_as_a_whole(store: Store, outside: Document) -> None:
    documents: list[Document] = [{"_id": "new", "ward": "7"}, {**outside, "_id": "bad"}]
    for ordered in (True, False):
        with pytest.raises(AccessRefused) as caught:
            await store.write(
                Insert(collection="beds", documents=documents, ordered=ordered, access=SEVEN)
            )
        assert str(caught.value).startswith("The write would leave the open access scopes.")
    assert await contents(store) == EVERYTHING
    await store.write(Insert(collection="beds", documents=documents[:1], access=SEVEN))
    assert await ids(store) == ["in", "new"]


@pytest.mark.parametrize("outside", OUTSIDE, ids=lambda document: document["_id"])
async def test_a_write_to_what_is_outside_is_a_write_to_nothing(
    store: Store, outside: Document
) -> None:
    for id in (outside["_id"], "unknown"):
        receipt = await update(store, {"_id": id}, {"$set": {"n": 2}})
        assert receipt == Receipt()
        assert await update(store, {"_id": id}, {"$set": {"n": 2}}, many=True) == Receipt()
        assert await update(store, {"_id": id}, {"ward": "7", "n": 2}) == Receipt()
        assert await modify(store, {"_id": id}, {"$set": {"n": 2}}, return_after=True) == Receipt()
        assert await modify(store, {"_id": id}, None) == Receipt()
        for many in (True, False):
            delete = Delete(collection="beds", selector={"_id": id}, many=many, access=SEVEN)
            assert await store.write(delete) == Receipt()
    assert await contents(store) == EVERYTHING


async def test_writes_of_many_touch_only_what_is_inside(store: Store) -> None:
    receipt = await update(store, {"n": 1}, {"$inc": {"n": 1}}, many=True)
    assert (receipt.matched, receipt.modified) == (1, 1)
    delete = Delete(collection="beds", selector={}, many=True, access=SEVEN)
    assert (await store.write(delete)).deleted == 1
    assert await contents(store) == [one for one in EVERYTHING if one["_id"] != "in"]


MOVES: list[Document] = [
    {"$set": {"ward": "8"}},
    {"$set": {"ward": ["7"]}},
    {"$set": {"ward": None}},
    {"$set": {"ward.0": "7"}},
    {"$setOnInsert": {"ward": "8"}},
    {"$unset": {"ward": 1}},
    {"$rename": {"ward": "old"}},
    {"$rename": {"n": "ward"}},
    {"$rename": {"n": "ward.n"}},
    {"$max": {"ward": "8"}},
    {"$min": {"ward": "7"}},
    {"$currentDate": {"ward": True}},
    {"$push": {"ward": "7"}},
    {"$set": {"n": 2}, "$inc": {"ward": 1}},
    {"n": 2},
    {"ward": "8"},
    {"ward": ["7"]},
]


@pytest.mark.parametrize("modifier", MOVES, ids=repr)
async def test_a_move_out_is_refused_whether_or_not_something_matches(
    store: Store, modifier: Document
) -> None:
    for id in ("in", "other", "unknown"):
        with pytest.raises(AccessRefused):
            await update(store, {"_id": id}, modifier)
        with pytest.raises(AccessRefused):
            await update(store, {"_id": id}, modifier, upsert=True)
        with pytest.raises(AccessRefused):
            await modify(store, {"_id": id}, modifier)
    if any(name.startswith("$") for name in modifier):
        with pytest.raises(AccessRefused):
            await update(store, {}, modifier, many=True)
    assert await contents(store) == EVERYTHING


async def test_a_move_between_open_scopes_is_a_move(store: Store) -> None:
    await update(store, {"_id": "in"}, {"$set": {"ward": "8", "n": 2}}, access=BOTH)
    await update(store, {"_id": "other"}, {"ward": "7", "n": 3}, access=BOTH)
    assert await contents(store, access=BOTH) == [
        {"_id": "in", "ward": "8", "n": 2},
        {"_id": "other", "ward": "7", "n": 3},
    ]


async def test_a_modifier_still_meets_the_element_that_matched(store: Store) -> None:
    await insert(store, {"_id": "doses", "ward": "7", "doses": [{"mg": 5}, {"mg": 10}]})
    await update(store, {"doses.mg": 10, "ward": "7"}, {"$set": {"doses.$.given": True}})
    [found] = await contents(store, selector={"_id": "doses"})
    assert found["doses"] == [{"mg": 5}, {"mg": 10, "given": True}]


@pytest.mark.parametrize(
    ("selector", "modifier"),
    [
        ({"_id": "new"}, {"$set": {"n": 2}}),
        ({"_id": "new", "ward": "8"}, {"$set": {"n": 2}}),
        ({"_id": "new", "ward": {"$in": ["7", "8"]}}, {"$inc": {"n": 2}}),
    ],
    ids=repr,
)
async def test_an_upsert_outside_is_refused(
    store: Store, selector: Document, modifier: Document
) -> None:
    with pytest.raises(AccessRefused):
        await update(store, selector, modifier, upsert=True)
    with pytest.raises(AccessRefused):
        await modify(store, selector, modifier, upsert=True)
    assert await contents(store) == EVERYTHING


async def test_an_upsert_inside_updates_or_inserts(store: Store) -> None:
    assert (await update(store, {"_id": "in"}, {"$set": {"n": 2}}, upsert=True)).modified == 1
    made = await update(store, {"_id": "a", "ward": "7"}, {"$set": {"n": 2}}, upsert=True)
    assert made.upserted_id == "a"
    await update(store, {"_id": "b"}, {"$setOnInsert": {"ward": "7"}}, upsert=True)
    await update(store, {"_id": "c"}, {"ward": "7"}, upsert=True)
    await modify(store, {"_id": "d"}, {"$set": {"ward": "7"}}, upsert=True)
    assert await ids(store) == ["a", "b", "c", "d", "in"]


async def test_what_collides_outside_reads_as_what_collides_inside(store: Store) -> None:
    await store.create_index("beds", IndexSpec(keys=(("mrn", 1),), unique=True, sparse=True))
    await insert(store, {"_id": "x", "ward": "8", "mrn": 1, "name": "Ada Lovelace"})
    await insert(store, {"_id": "y", "ward": "7", "mrn": 2})

    async def refusal(document: Document) -> DuplicateKeyError:
        with pytest.raises(DuplicateKeyError) as caught:
            await store.write(Insert(collection="beds", documents=[document], access=SEVEN))
        return caught.value

    for key in ("_id", "mrn"):
        outside = await refusal({"_id": "new", "ward": "7", key: "x" if key == "_id" else 1})
        inside = await refusal({"_id": "new", "ward": "7", key: "y" if key == "_id" else 2})
        assert str(outside) == str(inside)
        assert "Ada" not in repr((outside, outside.details))
        assert outside.details is not None
        assert inside.details is not None
        assert outside.details["keyValue"].keys() == inside.details["keyValue"].keys() == {key}
    with pytest.raises(DuplicateKeyError):
        await update(store, {"_id": "x", "ward": "7"}, {"$set": {"n": 1}}, upsert=True)
    with pytest.raises(DuplicateKeyError):
        await update(store, {"_id": "in"}, {"$set": {"mrn": 1}})


async def test_a_unique_index_that_begins_with_the_scope_tells_nothing(store: Store) -> None:
    spec = IndexSpec(keys=(("ward", 1), ("mrn", 1)), unique=True, sparse=False)
    await store.write(Delete(collection="beds", selector={}, many=True))
    await store.create_index("beds", spec)
    await insert(store, {"_id": "x", "ward": "8", "mrn": 1}, {"_id": "y", "ward": "7", "mrn": 2})
    new = Insert(collection="beds", documents=[{"_id": "z", "ward": "7", "mrn": 1}], access=SEVEN)
    await store.write(new)
    with pytest.raises(DuplicateKeyError):
        await update(store, {"_id": "z"}, {"$set": {"mrn": 2}})


async def test_a_duplicate_quotes_only_the_document_that_was_to_be_written(store: Store) -> None:
    await insert(store, {"_id": 1, "ward": "8"})
    new = Insert(collection="beds", documents=[{"_id": 1.0, "ward": "7"}], access=SEVEN)
    with pytest.raises(DuplicateKeyError) as caught:
        await store.write(new)
    assert caught.value.details is not None
    assert type(caught.value.details["keyValue"]["_id"]) is float


async def test_a_refused_write_aborts_its_transaction_even_if_it_is_caught(store: Store) -> None:
    async def go_on_after_a_refusal() -> None:
        async with store.transaction() as transaction:
            inside = Insert(
                collection="beds", documents=[{"_id": "new", "ward": "7"}], access=SEVEN
            )
            await transaction.write(inside)
            with pytest.raises(AccessRefused):
                await transaction.write(
                    Update(
                        collection="beds",
                        selector={"_id": "in"},
                        modifier={"$set": {"ward": "8"}},
                        access=SEVEN,
                    )
                )

    with pytest.raises(OperationFailure):
        await go_on_after_a_refusal()
    assert await contents(store) == EVERYTHING


async def test_a_transaction_moves_only_what_is_inside(store: Store) -> None:
    async with store.transaction() as transaction:
        await transaction.write(
            Update(
                collection="beds",
                selector={},
                modifier={"$set": {"ward": "8"}},
                many=True,
                access=BOTH,
            )
        )
        query = Query(collection="beds", access=SEVEN)
        assert await transaction.read(query) == []
        everything = Delete(collection="beds", selector={}, many=True, access=SEVEN)
        assert (await transaction.write(everything)).deleted == 0
    assert await ids(store, BOTH) == ["in", "other"]
    assert len(await contents(store)) == len(EVERYTHING)
