"""Cursors: refined in place, read again each time, their documents the caller's own."""

import pytest
from tests.unit.server.scripted_store import ScriptedStore

from bolide.server.access.gateway import Gateway
from bolide.server.access.invocation import Invocation, UnopenedAccess, entered
from bolide.server.collections.cursor import Cursor
from bolide.server.stores.base import AccessFilter, Query


@pytest.fixture
def store() -> ScriptedStore:
    store = ScriptedStore()
    store.documents = [{"_id": 1, "tags": ["a"]}, {"_id": 2, "tags": []}, {"_id": 3}]
    return store


@pytest.fixture
def cursor(store: ScriptedStore) -> Cursor:
    gateway = Gateway()
    gateway.attach(store)
    return Cursor(gateway, Query(collection="beds"))


def test_refining_changes_the_cursor_and_returns_it(cursor: Cursor) -> None:
    same = cursor.sort("ward", -1).skip(1).limit(2).projection(["bed"])
    assert same is cursor
    assert cursor.query == Query(
        collection="beds", sort=(("ward", -1),), skip=1, limit=2, projection={"bed": 1}
    )
    assert cursor.sort([("ward", 1), ("bed", -1)]).query.sort == (("ward", 1), ("bed", -1))


def test_negative_skip_and_limit_are_refused(cursor: Cursor) -> None:
    with pytest.raises(ValueError, match="skip"):
        cursor.skip(-1)
    with pytest.raises(ValueError, match="limit"):
        cursor.limit(-1)


async def test_documents_are_the_callers_own(cursor: Cursor, store: ScriptedStore) -> None:
    first = await cursor.to_list()
    first[0]["tags"].append("mine")
    second = [document async for document in cursor]
    second[1]["tags"].append("mine")
    assert store.documents == [{"_id": 1, "tags": ["a"]}, {"_id": 2, "tags": []}, {"_id": 3}]
    assert [document["_id"] for document in second] == [1, 2, 3]
    assert len(store.asked) == 2


async def test_a_list_is_cut_to_its_length(cursor: Cursor) -> None:
    assert [document["_id"] for document in await cursor.to_list(2)] == [1, 2]


async def test_counting_asks_the_store(cursor: Cursor, store: ScriptedStore) -> None:
    assert await cursor.count() == 3
    assert store.asked == [("count", cursor.query)]


async def test_a_followed_query_carries_what_is_open_then(store: ScriptedStore) -> None:
    gateway = Gateway()
    gateway.attach(store)
    cursor = Cursor(gateway, Query(collection="patients", access=AccessFilter("ward")))
    invocation = Invocation("publication", "patients")
    with entered(invocation):
        with pytest.raises(UnopenedAccess, match="published patients"):
            cursor.admitted()
        invocation.opened.add("7")
        assert cursor.admitted().access == AccessFilter("ward", frozenset({"7"}))
    assert cursor.query.access == AccessFilter("ward")
