"""What MongoDB gives up while it reads for us is read again."""

import asyncio
from collections.abc import Callable

import pytest
from tests.mongo_roles import administrator_url
from tests.replica_set import ReplicaSet

from bolide.server.stores.base import Insert, Query
from bolide.server.stores.mongo import MongoStore

CURSOR_NOT_FOUND, QUERY_PLAN_KILLED, SNAPSHOT_TOO_OLD, SNAPSHOT_UNAVAILABLE = 43, 175, 239, 246


@pytest.mark.parametrize(
    "code", [CURSOR_NOT_FOUND, QUERY_PLAN_KILLED, SNAPSHOT_TOO_OLD, SNAPSHOT_UNAVAILABLE]
)
async def test_a_reading_that_was_given_up_is_begun_anew(
    replica_set: ReplicaSet, new_database: Callable[[], str], code: int
) -> None:
    store = MongoStore(new_database())
    await store.open()
    try:
        await store.write(Insert(collection="beds", documents=({"_id": 1},)))
        await asyncio.to_thread(lambda: replica_set.fail(2, "find", errorCode=code))
        found = await store.read(Query(collection="beds"))
        assert found.documents == [{"_id": 1}]
    finally:
        await store.close()


async def test_a_collection_that_is_dropped_again_and_again_is_read_all_the_same(
    new_database: Callable[[], str],
) -> None:
    store = MongoStore(administrator_url(new_database()))  # a node may not drop
    await store.open()
    documents = [{"_id": n, "n": -n} for n in range(200)]
    query = Query(collection="beds", sort=(("n", 1),))
    is_over = asyncio.Event()

    async def drop() -> None:
        for _ in range(30):
            await store.write(Insert(collection="beds", documents=documents))
            await store.drop_collection("beds")
        is_over.set()

    async def read() -> None:
        while not is_over.is_set():
            await store.read(query)

    try:
        await asyncio.gather(drop(), *(read() for _ in range(8)))
    finally:
        await store.close()
