"""The secret: one for all nodes on a store."""

import asyncio

import pytest

from bolide.core.errors import ConfigurationError
from bolide.server.redis.secret import shared_secret
from bolide.server.stores.base import Insert
from bolide.server.stores.memory import MemoryStore
from bolide.server.stores.own_collections import SECRETS


async def test_all_nodes_get_the_same() -> None:
    store = MemoryStore()
    await store.open()
    found = await asyncio.gather(*(shared_secret(store) for _ in range(3)))
    assert len({*found}) == 1
    assert len(found[0]) == 32
    other = MemoryStore()
    await other.open()
    assert await shared_secret(other) != found[0]
    await store.close()
    await other.close()


async def test_what_is_no_secret_is_not_used() -> None:
    store = MemoryStore()
    await store.open()
    await store.write(Insert(collection=SECRETS, documents=[{"_id": "redis", "secret": b"short"}]))
    with pytest.raises(ConfigurationError, match="remove its document") as caught:
        await shared_secret(store)
    assert "short" not in str(caught.value)
    await store.close()
