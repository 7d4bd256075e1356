"""A collection's own collation decides nothing: neither what a view shows nor who may see it."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from pymongo import MongoClient
from pymongo.collection import Collection
from tests.mongo_roles import administrator_url

from bolide.server.stores.base import Delete, FindAndModify, Query, Update
from bolide.server.stores.evaluation import Aggregation
from bolide.server.stores.mongo import MongoStore

DOCUMENTS = ({"_id": 1, "ward": "icu"}, {"_id": 2, "ward": "ICU"})


@pytest.fixture
def url(new_database: Callable[[], str]) -> str:
    return new_database()


@pytest.fixture
def beds(url: str) -> Iterator[Collection[dict[str, Any]]]:
    with MongoClient[dict[str, Any]](administrator_url(url), w="majority") as client:
        database = client.get_default_database()
        made = database.create_collection("beds", collation={"locale": "en", "strength": 2})
        made.insert_many([dict(one) for one in DOCUMENTS])
        assert made.count_documents({"ward": "icu"}) == 2
        yield made


@pytest.fixture
async def store(url: str, beds: object) -> Any:
    store = MongoStore(url)
    await store.open()
    yield store
    await store.close()


async def test_a_reading_finds_what_is_equal_byte_for_byte(store: MongoStore) -> None:
    query = Query(collection="beds", selector={"ward": "icu"})
    assert [one["_id"] for one in (await store.read(query)).documents] == [1]
    pipeline = Aggregation(name="wards", collection="beds", pipeline=({"$match": {"ward": "icu"}},))
    assert [one["_id"] for one in (await store.evaluate(pipeline)).documents] == [1]
    assert await store.count(query) == 1
    assert sorted(await store.distinct("beds", "ward", {})) == ["ICU", "icu"]


async def test_a_write_changes_what_is_equal_byte_for_byte(
    store: MongoStore, beds: Collection[dict[str, Any]]
) -> None:
    update = Update(
        collection="beds", selector={"ward": "icu"}, modifier={"$set": {"n": 1}}, many=True
    )
    assert (await store.write(update)).modified == 1
    find = FindAndModify(collection="beds", selector={"ward": "ICU"}, modifier={"$set": {"n": 2}})
    found = (await store.write(find)).document
    assert found is not None
    assert found["_id"] == 2
    delete = Delete(collection="beds", selector={"ward": "icu"}, many=True)
    assert (await store.write(delete)).deleted == 1
    assert [one["_id"] for one in beds.find()] == [2]
