"""Collections over the embedded stores: what PyMongo's calls do, and when the fence moves."""

from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest
from pymongo import ReturnDocument
from pymongo.errors import BulkWriteError, DuplicateKeyError

from bolide.server import App, Collection
from bolide.server.access.invocation import Invocation, entered
from bolide.server.stores.base import Store
from bolide.server.stores.memory import MemoryStore
from bolide.server.stores.sqlite import SQLiteStore


@pytest.fixture(params=["memory", "sqlite"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncGenerator[Store]:
    store: Store = MemoryStore() if request.param == "memory" else SQLiteStore(tmp_path / "b.db")
    await store.open()
    yield store
    await store.close()


@pytest.fixture
def app(store: Store) -> App:
    app = App()
    app.attach(store)
    return app


@pytest.fixture
def beds(app: App) -> Collection:
    return app.collection("beds")


def decided() -> Invocation:
    return Invocation("method", "move", is_decided=True)


async def contents(beds: Collection) -> list[dict[str, Any]]:
    return await beds.find({}, sort="_id").to_list()


async def test_documents_go_in_and_come_out(beds: Collection) -> None:
    inserted = await beds.insert_many([{"_id": n, "ward": n % 2, "n": n} for n in range(5)])
    assert inserted.inserted_ids == [0, 1, 2, 3, 4]
    assert await beds.find_one({"n": {"$gt": 2}}, ["n"], sort=[("n", -1)]) == {"_id": 4, "n": 4}
    found = [document["_id"] async for document in beds.find({"ward": 0}).sort("n", -1).limit(2)]
    assert found == [4, 2]
    assert await beds.count_documents({"ward": 0}) == 3
    assert await beds.find({"ward": 0}, skip=1).count() == 2
    assert sorted(await beds.distinct("ward")) == [0, 1]


async def test_changes_report_what_they_did(beds: Collection) -> None:
    await beds.insert_many([{"_id": n, "ward": 1} for n in range(3)])
    one = await beds.update_one({"ward": 1}, {"$set": {"ward": 2}})
    assert (one.matched_count, one.modified_count) == (1, 1)
    many = await beds.update_many({}, {"$set": {"ward": 2}})
    assert (many.matched_count, many.modified_count) == (3, 2)
    replaced = await beds.replace_one({"_id": 1}, {"free": True})
    assert replaced.modified_count == 1
    assert (await beds.delete_one({"ward": 2})).deleted_count == 1
    assert await contents(beds) == [{"_id": 1, "free": True}, {"_id": 2, "ward": 2}]
    assert (await beds.delete_many({})).deleted_count == 2


async def test_upserts_draw_a_meteor_id(beds: Collection) -> None:
    result = await beds.update_one({"ward": 7}, {"$set": {"free": True}}, upsert=True)
    assert isinstance(result.upserted_id, str)
    assert await contents(beds) == [{"_id": result.upserted_id, "ward": 7, "free": True}]


async def test_find_and_modify_returns_before_or_after(beds: Collection) -> None:
    await beds.insert_many([{"_id": n, "n": n} for n in (1, 2)])
    before = await beds.find_one_and_update({}, {"$inc": {"n": 10}}, sort=[("n", 1)])
    assert before == {"_id": 1, "n": 1}
    after = await beds.find_one_and_replace(
        {"_id": 1}, {"n": 5}, return_document=ReturnDocument.AFTER
    )
    assert after == {"_id": 1, "n": 5}
    assert await beds.find_one_and_delete({}, sort={"n": -1}) == after
    assert await beds.find_one_and_update({"_id": 9}, {"$set": {"n": 1}}) is None


async def test_a_unique_index_refuses_a_second_key(beds: Collection) -> None:
    assert await beds.create_index([("ward", 1), ("bed", 1)], unique=True) == "ward_1_bed_1"
    await beds.insert_one({"ward": 7, "bed": 1})
    with pytest.raises(DuplicateKeyError):
        await beds.insert_one({"ward": 7, "bed": 1})
    await beds.drop_index([("ward", 1), ("bed", 1)])
    await beds.insert_one({"ward": 7, "bed": 1})


async def test_what_a_caller_does_to_a_document_stays_its_own(beds: Collection) -> None:
    given: dict[str, Any] = {"_id": 1, "tags": ["a"]}
    await beds.insert_one(given)
    given["tags"].append("b")
    found = await beds.find_one({"_id": 1})
    assert found is not None
    found["tags"].append("c")
    assert await contents(beds) == [{"_id": 1, "tags": ["a"]}]


async def test_a_transaction_commits_all_or_nothing(app: App, beds: Collection) -> None:
    notes = app.collection("notes")

    async def move(fail: bool) -> None:
        async with app.transaction():
            await beds.insert_one({"_id": 1})
            await notes.insert_one({"_id": 1})
            assert await beds.count_documents({}) == 1
            if fail:
                raise KeyError

    with pytest.raises(KeyError):
        await move(fail=True)
    assert await contents(beds) == await contents(notes) == []
    invocation = decided()
    with entered(invocation):
        await move(fail=False)
    assert await contents(beds) == await contents(notes) == [{"_id": 1}]
    assert set(invocation.fence) == {"beds", "notes"}


async def test_the_fence_covers_every_acknowledged_write(
    app: App, beds: Collection, store: Store
) -> None:
    invocation = decided()
    with entered(invocation):
        await beds.insert_one({"_id": 1})
        await beds.update_one({"_id": 1}, {"$set": {"ward": 7}})
        await beds.update_one({"_id": 2}, {"$set": {"ward": 7}})
    await store.feed_reached(invocation.fence["beds"])
    snapshot = await store.read(beds.find().query)
    assert invocation.fence == {"beds": snapshot.position}


async def test_the_fence_covers_what_a_failed_insert_wrote(beds: Collection, store: Store) -> None:
    invocation = decided()
    with entered(invocation), pytest.raises(BulkWriteError):
        await beds.insert_many([{"_id": 1}, {"_id": 1}, {"_id": 2}])
    snapshot = await store.read(beds.find().query)
    assert [document["_id"] for document in snapshot.documents] == [1]
    assert snapshot.position <= invocation.fence["beds"]
