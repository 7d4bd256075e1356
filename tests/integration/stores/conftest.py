"""One suite for all stores: each test runs with every implementation of the port."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from tests.integration.stores.support import OpenStore

from bolide.server.stores.base import Store
from bolide.server.stores.memory import MemoryStore
from bolide.server.stores.mongo import MongoStore
from bolide.server.stores.sqlite import SQLiteStore


@pytest.fixture(params=["memory", "sqlite", "mongodb"])
async def open_store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[OpenStore]:
    """Open stores that are closed after the test; each is empty."""
    opened: list[Store] = []
    # Made before and gone after the stores that use it.
    new_database = (
        request.getfixturevalue("new_database") if request.param == "mongodb" else lambda: ""
    )

    async def open_another(**options: Any) -> Store:
        store: Store
        if request.param == "memory":
            store = MemoryStore(**options)
        elif request.param == "mongodb":
            store = MongoStore(new_database(), **options)
        else:
            store = SQLiteStore(tmp_path / f"{len(opened)}.db", **options)
        await store.open()
        opened.append(store)
        return store

    yield open_another
    for store in opened:
        await store.close()


@pytest.fixture
async def store(open_store: OpenStore) -> Store:
    """An open, empty store."""
    return await open_store()
