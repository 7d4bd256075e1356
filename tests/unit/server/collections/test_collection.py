"""Collections: PyMongo's calls in, the store port's operations out, PyMongo's results back."""

import re
from collections.abc import Mapping
from typing import Any

import pytest
from bson import ObjectId
from tests.unit.server.scripted_store import ScriptedStore

from bolide.core.ddp.random import SeededStreams
from bolide.core.values import Regex
from bolide.server.access.gateway import Gateway, TrustedOnly
from bolide.server.access.invocation import Invocation, UndecidedAccess, entered
from bolide.server.collections.collection import Collection, NoRawCollection
from bolide.server.sessions.view.strategy import PublicationStrategy
from bolide.server.stores.base import (
    AccessFilter,
    Delete,
    FindAndModify,
    IndexSpec,
    Insert,
    Query,
    Receipt,
    Update,
)

METEOR_ID = re.compile(r"[23456789ABCDEFGHJKLMNPQRSTWXYZabcdefghijkmnopqrstuvwxyz]{17}")


@pytest.fixture
def store() -> ScriptedStore:
    return ScriptedStore()


@pytest.fixture
def gateway(store: ScriptedStore) -> Gateway:
    gateway = Gateway()
    gateway.attach(store)
    return gateway


@pytest.fixture
def beds(gateway: Gateway) -> Collection:
    return Collection(gateway, "beds")


def test_a_collection_knows_its_name_ids_and_strategy(gateway: Gateway) -> None:
    collection = Collection(gateway, "beds", "oid", PublicationStrategy.NO_MERGE)
    assert (collection.name, collection.id_kind) == ("beds", "oid")
    assert collection.strategy is PublicationStrategy.NO_MERGE


def test_find_makes_a_query_and_reads_nothing(beds: Collection, store: ScriptedStore) -> None:
    cursor = beds.find({"name": re.compile("a")}, ["name"], sort="bed", skip=1, limit=2)
    assert cursor.query == Query(
        collection="beds",
        selector={"name": Regex("a")},
        sort=(("bed", 1),),
        skip=1,
        limit=2,
        projection={"name": 1},
    )
    assert beds.find().query == Query(collection="beds")
    assert store.asked == []


def child(parent: Mapping[str, Any]) -> None:
    return None


async def asynchronous(parent: Mapping[str, Any]) -> None: ...


def test_children_are_kept_beside_the_query(beds: Collection) -> None:
    cursor = beds.find({"ward": 7}, children=[child])
    assert cursor.children == (child,)
    assert cursor.query == beds.find({"ward": 7}).query
    assert cursor.sort("bed").limit(1).children == (child,)
    assert beds.find().children == ()


async def test_reading_and_counting_ignore_children(beds: Collection, store: ScriptedStore) -> None:
    store.documents = [{"_id": "1"}]
    cursor = beds.find(children=[child])
    assert await cursor.to_list() == [{"_id": "1"}]
    assert await cursor.count() == 1
    assert [asked for asked, _ in store.asked] == ["read", "count"]


@pytest.mark.parametrize(
    ("children", "text"),
    [
        (child, "a list of functions"),
        ("child", "a list of functions"),
        ([child, "child"], "functions that return a cursor"),
        ([asynchronous], "not async"),
    ],
)
def test_children_are_plain_functions(beds: Collection, children: Any, text: str) -> None:
    with pytest.raises(TypeError, match=text):
        beds.find(children=children)


async def test_find_one_asks_for_one_and_copies_it(beds: Collection, store: ScriptedStore) -> None:
    store.documents = [{"_id": "1", "tags": []}]
    found = await beds.find_one({"ward": 7}, sort=[("bed", -1)], skip=1)
    assert found is not None
    assert found == {"_id": "1", "tags": []}
    found["tags"].append(1)
    assert store.documents == [{"_id": "1", "tags": []}]
    assert store.last == Query(
        collection="beds", selector={"ward": 7}, sort=(("bed", -1),), skip=1, limit=1
    )


@pytest.mark.parametrize("id", ["abc", ObjectId()])
async def test_find_one_takes_an_id(
    beds: Collection, store: ScriptedStore, id: str | ObjectId
) -> None:
    assert await beds.find_one(id) is None
    assert store.last.selector == {"_id": id}


async def test_counts_and_distinct_values(beds: Collection, store: ScriptedStore) -> None:
    store.documents, store.values = [{"_id": 1}], ["a", {"b": []}]
    assert await beds.count_documents({"ward": 7}, skip=1, limit=5) == 1
    assert store.last == Query(collection="beds", selector={"ward": 7}, skip=1, limit=5)
    found = await beds.distinct("ward", {"bed": 1})
    assert found == ["a", {"b": []}]
    assert found[1] is not store.values[1]
    assert store.last == ("beds", "ward", {"bed": 1})


async def test_insert_one_keeps_a_given_id(beds: Collection, store: ScriptedStore) -> None:
    result = await beds.insert_one({"ward": 7, "_id": "x"})
    assert result.inserted_id == "x"
    assert result.acknowledged
    assert store.last == Insert(collection="beds", documents=[{"ward": 7, "_id": "x"}])


async def test_insert_one_draws_an_id_and_sets_it(beds: Collection, store: ScriptedStore) -> None:
    document: dict[str, Any] = {"ward": 7}
    result = await beds.insert_one(document)
    assert METEOR_ID.fullmatch(result.inserted_id)
    assert document == {"ward": 7, "_id": result.inserted_id}
    assert list(store.last.documents[0]) == ["_id", "ward"]
    again = await beds.insert_one({"ward": 7})
    assert again.inserted_id != result.inserted_id


async def test_what_is_stored_is_not_the_callers(beds: Collection, store: ScriptedStore) -> None:
    document: dict[str, Any] = {"_id": 1, "tags": ["a"]}
    await beds.insert_one(document)
    document["tags"].append("b")
    assert store.last.documents == [{"_id": 1, "tags": ["a"]}]


async def test_an_oid_collection_draws_object_ids(gateway: Gateway) -> None:
    collection = Collection(gateway, "beds", "oid")
    first = (await collection.insert_one({})).inserted_id
    second = (await collection.insert_one({})).inserted_id
    assert isinstance(first, ObjectId)
    assert first != second


async def test_ids_come_from_the_seeded_stream_of_the_collection(gateway: Gateway) -> None:
    beds, notes = Collection(gateway, "beds"), Collection(gateway, "notes", "oid")
    with entered(Invocation("method", "m", is_decided=True, random=SeededStreams("seed"))):
        drawn = [
            (await beds.insert_one({})).inserted_id,
            (await notes.insert_one({})).inserted_id,
            (await beds.insert_one({})).inserted_id,
        ]
    expected = SeededStreams("seed")
    first = expected.stream("/collection/beds").id()
    assert drawn == [
        first,
        ObjectId(expected.stream("/collection/notes").hex(24)),
        expected.stream("/collection/beds").id(),
    ]


async def test_without_a_seed_ids_are_fresh(beds: Collection) -> None:
    with entered(Invocation("method", "m", is_decided=True)):
        assert METEOR_ID.fullmatch((await beds.insert_one({})).inserted_id)


async def test_insert_many_is_one_operation(beds: Collection, store: ScriptedStore) -> None:
    documents: list[dict[str, Any]] = [{"_id": 1}, {"ward": 7}]
    result = await beds.insert_many(documents, ordered=False)
    assert result.inserted_ids == [1, documents[1]["_id"]]
    assert store.last == Insert(
        collection="beds", documents=[{"_id": 1}, {**documents[1]}], ordered=False
    )
    with pytest.raises(TypeError, match="non-empty"):
        await beds.insert_many([])


async def test_updates_return_pymongo_results(beds: Collection, store: ScriptedStore) -> None:
    store.receipt = Receipt(matched=1, modified=1)
    result = await beds.update_one({"_id": 1}, {"$set": {"ward": 7}})
    assert (result.matched_count, result.modified_count, result.upserted_id) == (1, 1, None)
    assert store.last == Update(
        collection="beds", selector={"_id": 1}, modifier={"$set": {"ward": 7}}
    )
    await beds.update_many(
        {}, {"$set": {"beds.$[b].free": True}}, array_filters=[{"b.free": False}]
    )
    assert store.last == Update(
        collection="beds",
        selector={},
        modifier={"$set": {"beds.$[b].free": True}},
        many=True,
        array_filters=[{"b.free": False}],
    )


async def test_an_upsert_reports_its_id(beds: Collection, store: ScriptedStore) -> None:
    store.receipt = Receipt(upserted_id="new")
    result = await beds.update_one({"ward": 7}, {"$set": {"free": True}}, upsert=True)
    assert (result.matched_count, result.modified_count) == (0, 0)
    assert result.upserted_id == "new"
    assert METEOR_ID.fullmatch(store.last.upsert_id)


@pytest.mark.parametrize(
    ("selector", "replacement"), [({"_id": 1}, {"ward": 7}), ({"ward": 7}, {"_id": 1, "ward": 8})]
)
async def test_an_upsert_that_names_its_id_draws_none(
    beds: Collection,
    store: ScriptedStore,
    selector: dict[str, Any],
    replacement: dict[str, Any],
) -> None:
    await beds.replace_one(selector, replacement, upsert=True)
    assert store.last == Update(
        collection="beds", selector=selector, modifier=replacement, upsert=True
    )


async def test_deletes_count(beds: Collection, store: ScriptedStore) -> None:
    store.receipt = Receipt(deleted=3)
    assert (await beds.delete_many({})).deleted_count == 3
    assert store.last == Delete(collection="beds", selector={}, many=True)
    await beds.delete_one({"_id": 1})
    assert store.last == Delete(collection="beds", selector={"_id": 1})


async def test_find_one_and_update(beds: Collection, store: ScriptedStore) -> None:
    store.receipt = Receipt(document={"_id": 1, "tags": []})
    found = await beds.find_one_and_update(
        {"ward": 7}, {"$inc": {"n": 1}}, ["n"], [("bed", 1)], return_document=True
    )
    assert found == {"_id": 1, "tags": []}
    assert found is not store.receipt.document
    assert store.last == FindAndModify(
        collection="beds",
        selector={"ward": 7},
        modifier={"$inc": {"n": 1}},
        sort=(("bed", 1),),
        projection={"n": 1},
        return_after=True,
    )


async def test_find_one_and_replace_or_delete(beds: Collection, store: ScriptedStore) -> None:
    assert await beds.find_one_and_replace({"_id": 1}, {"ward": 7}, upsert=True) is None
    assert store.last == FindAndModify(
        collection="beds", selector={"_id": 1}, modifier={"ward": 7}, upsert=True
    )
    assert await beds.find_one_and_delete({"_id": 1}, sort={"bed": -1}) is None
    assert store.last == FindAndModify(
        collection="beds", selector={"_id": 1}, modifier=None, sort=(("bed", -1),)
    )


@pytest.mark.parametrize("modifier", [{}, {"ward": 7}, {"$set": {"a": 1}, "ward": 7}])
async def test_a_modifier_has_only_operators(beds: Collection, modifier: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="only keys that begin with"):
        await beds.update_one({}, modifier)
    with pytest.raises(ValueError, match="only keys that begin with"):
        await beds.find_one_and_update({}, modifier)


async def test_a_replacement_has_no_operators(beds: Collection) -> None:
    with pytest.raises(ValueError, match="use update_one"):
        await beds.replace_one({}, {"$set": {"a": 1}})


async def test_a_pipeline_is_refused(beds: Collection) -> None:
    pipeline: Any = [{"$set": {"a": 1}}]
    with pytest.raises(TypeError, match="a modifier must be a mapping"):
        await beds.update_one({}, pipeline)


async def test_indexes_are_made_and_dropped_by_name_or_keys(
    beds: Collection, store: ScriptedStore
) -> None:
    assert await beds.create_index([("ward", 1), ("bed", -1)], unique=True) == "made"
    assert store.last == ("beds", IndexSpec(keys=(("ward", 1), ("bed", -1)), unique=True))
    await beds.create_index("at", expireAfterSeconds=0, partialFilterExpression={"n": 1})
    assert store.last == ("beds", IndexSpec(keys=(("at", 1),), expire_after_s=0, partial={"n": 1}))
    place: Any = [("place", "2dsphere")]
    with pytest.raises(ValueError, match=r"made with .raw.create_index, on MongoDB"):
        await beds.create_index(place)
    await beds.drop_index("mine")
    assert store.last == ("beds", "mine")
    await beds.drop_index([("ward", 1), ("bed", -1)])
    assert store.last == ("beds", "ward_1_bed_-1")


def test_an_embedded_store_has_no_raw_collection(beds: Collection) -> None:
    with pytest.raises(NoRawCollection, match="embedded"):
        _ = beds.raw


def test_a_store_with_raw_collections_gives_them(gateway: Gateway) -> None:
    class RawStore(ScriptedStore):
        def raw_collection(self, name: str) -> str:
            return f"raw {name}"

    gateway.detach()
    gateway.attach(RawStore())
    assert Collection(gateway, "beds").raw == "raw beds"


def test_raw_needs_a_decision_too(beds: Collection) -> None:
    with entered(Invocation("method", "m")), pytest.raises(UndecidedAccess):
        _ = beds.raw
    with entered(Invocation("method", "m", is_decided=True)), pytest.raises(NoRawCollection):
        _ = beds.raw


async def test_every_use_of_a_collection_with_scopes_is_filtered(
    gateway: Gateway, store: ScriptedStore
) -> None:
    patients = Collection(gateway, "patients", access="ward")
    invocation = Invocation("method", "m", is_decided=True)
    invocation.opened.add("7")
    with entered(invocation):
        await patients.find_one({})
        await patients.find({}).to_list()
        await patients.count_documents({})
        await patients.insert_one({"ward": "7"})
        await patients.insert_many([{"ward": "7"}])
        await patients.update_one({}, {"$set": {"a": 1}})
        await patients.update_many({}, {"$set": {"a": 1}})
        await patients.replace_one({}, {"ward": "7"})
        await patients.delete_one({})
        await patients.delete_many({})
        await patients.find_one_and_update({}, {"$set": {"a": 1}})
        await patients.find_one_and_replace({}, {"ward": "7"})
        await patients.find_one_and_delete({})
        filters = [asked.access for _, asked in store.asked]
        assert filters == [AccessFilter("ward", frozenset({"7"}))] * 13
        await patients.distinct("bed")
        assert store.access == filters[0]
        for use in (patients.create_index("bed"), patients.drop_index("bed_1")):
            with pytest.raises(TrustedOnly):
                await use
        with pytest.raises(TrustedOnly, match="used the raw collection patients"):
            _ = patients.raw
