"""What a query costs a store: how many documents it looks at."""

from typing import Any

import pytest
from tests.integration.stores.support import insert, update

from bolide.server.stores.base import AccessFilter, IndexSpec, Query, Store
from bolide.server.stores.explaining import Explainer

COUNT = 200


async def examined(store: Store, **query: Any) -> int | None:
    assert isinstance(store, Explainer)
    return await store.examined(Query(collection="beds", **query))


async def fill(store: Store) -> None:
    await insert(store, *({"_id": n, "ward": n % 10, "bed": n} for n in range(COUNT)))


async def test_without_an_index_a_query_looks_at_all_documents(store: Store) -> None:
    assert await examined(store, selector={"ward": 3}) == 0
    await fill(store)
    assert await examined(store, selector={"ward": 3}) == COUNT
    assert await examined(store, selector={"ward": 3}, sort=(("bed", 1),), limit=5) == COUNT


async def test_with_an_index_it_looks_at_those_that_the_index_gives(store: Store) -> None:
    await fill(store)
    await store.create_index("beds", IndexSpec(keys=(("ward", 1),)))
    assert await examined(store, selector={"ward": 3}) == COUNT / 10
    # An index that is there and helps little.
    assert await examined(store, selector={"ward": 3, "bed": 13}) == COUNT / 10
    assert await examined(store, selector={"_id": 3}) == 1
    await update(store, {"ward": 3}, {"$set": {"ward": 4}}, many=True)
    assert await examined(store, selector={"ward": 4}) == COUNT / 5
    access = AccessFilter("ward", (5,))  # type: ignore[arg-type]
    assert await examined(store, selector={}, access=access) == COUNT / 10


@pytest.mark.parametrize("open_store", ["mongodb"], indirect=True)
async def test_a_branch_without_an_index_is_a_scan(store: Store) -> None:
    await fill(store)
    await store.create_index("beds", IndexSpec(keys=(("ward", 1),)))
    either = {"$or": [{"ward": 1}, {"bed": 3}]}
    assert await examined(store, selector=either) == COUNT
    both = {"$or": [{"ward": 1}, {"ward": 3}]}
    assert await examined(store, selector=both) == COUNT / 5
