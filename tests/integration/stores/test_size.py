"""How much an embedded store may hold: a warning before, a refusal at the limit."""

from collections.abc import Callable
from typing import Any

import pytest
from pymongo.errors import BulkWriteError, WriteError
from structlog.testing import capture_logs
from tests.integration.stores.support import EMBEDDED, OpenStore, contents, insert, update

from bolide.core.bson_codec import to_bson
from bolide.server.stores.base import Delete, HeldInMemory, Insert, Store

pytestmark = EMBEDDED

FILLER = b"x" * 800
LIMIT = 10_000


def held(store: Store) -> int:
    assert isinstance(store, HeldInMemory)
    return store.document_bytes


async def test_the_size_is_that_of_the_documents(open_store: OpenStore) -> None:
    store = await open_store()
    assert held(store) == 0
    documents: list[dict[str, Any]] = [{"_id": 1, "a": FILLER}, {"_id": 2}]
    await insert(store, *documents)
    assert held(store) == sum(len(to_bson(document)) for document in documents)
    await update(store, {"_id": 1}, {"$unset": {"a": 1}})
    await store.write(Delete(collection="beds", selector={"_id": 2}))
    assert held(store) == len(to_bson({"_id": 1}))
    await store.drop_collection("beds")
    assert held(store) == 0


async def test_beyond_the_limit_only_what_makes_it_smaller_is_written(
    open_store: OpenStore,
) -> None:
    store = await open_store(store_max_bytes=LIMIT)
    await insert(store, *({"_id": id, "a": FILLER} for id in range(1, 13)))
    with pytest.raises(WriteError, match=r"store_max_bytes.*MongoDB") as caught:
        await insert(store, {"_id": 13, "a": FILLER})
    assert caught.value.code == 146
    with pytest.raises(BulkWriteError) as bulk:
        await insert(store, {"_id": "small"}, {"_id": "large", "a": FILLER})
    assert bulk.value.details["nInserted"] == 1
    with pytest.raises(WriteError, match="store_max_bytes"):
        await update(store, {"_id": 1}, {"$set": {"b": FILLER}})

    async def change_and_add_too_much() -> None:
        async with store.transaction() as transaction:
            await transaction.write(Delete(collection="beds", selector={"_id": 1}))
            for id in (13, 14):
                await transaction.write(
                    Insert(collection="beds", documents=[{"_id": id, "a": FILLER}])
                )

    with pytest.raises(WriteError, match="store_max_bytes"):
        await change_and_add_too_much()
    assert len(await contents(store)) == 13
    await update(store, {"_id": 1}, {"$set": {"a": "short"}})
    await insert(store, {"_id": 13, "a": FILLER})


async def test_at_four_fifths_the_log_warns_once(open_store: OpenStore) -> None:
    store = await open_store(store_max_bytes=LIMIT)

    async def warnings_of(write: Callable[[], Any]) -> list[int]:
        with capture_logs() as logs:
            receipt = await write()
            await store.feed_reached(receipt.position)
        return [entry["document_bytes"] for entry in logs if "nearly full" in entry["event"]]

    assert (
        await warnings_of(lambda: insert(store, *({"_id": n, "a": FILLER} for n in range(9)))) == []
    )
    [told] = await warnings_of(lambda: insert(store, {"_id": 9, "a": FILLER}))
    assert 0.8 * LIMIT <= told < LIMIT
    assert await warnings_of(lambda: insert(store, {"_id": "small"})) == []
    clear = Delete(collection="beds", selector={}, many=True)
    assert await warnings_of(lambda: store.write(clear)) == []
    again = [{"_id": n, "a": FILLER} for n in range(10)]
    assert len(await warnings_of(lambda: insert(store, *again))) == 1
