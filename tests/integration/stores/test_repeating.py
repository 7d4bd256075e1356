"""Transactions that are in each other's way, on every store."""

import asyncio

import pytest
from tests.integration.stores.support import insert

from bolide.server.access import repeating
from bolide.server.access.gateway import Gateway
from bolide.server.access.repeating import in_transaction
from bolide.server.stores.base import Query, Store, TransactionConflict, Update

BED = Query(collection="beds", selector={"_id": 1})


@pytest.fixture
def gateway(store: Store) -> Gateway:
    gateway = Gateway()
    gateway.attach(store)
    return gateway


async def test_transactions_that_collide_are_run_again(store: Store, gateway: Gateway) -> None:
    await insert(store, {"_id": 1, "n": 0})

    async def count() -> int:
        found = await gateway.read(BED)
        n: int = found[0]["n"] + 1
        await gateway.write(
            Update(collection="beds", selector={"_id": 1}, modifier={"$set": {"n": n}})
        )
        return n

    counted = await asyncio.gather(*(in_transaction(gateway.transaction, count) for _ in range(12)))
    assert sorted(counted) == list(range(1, 13))
    assert (await gateway.read(BED))[0]["n"] == 12


async def test_a_conflict_that_stays_is_told(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(repeating, "REPEAT_FOR_S", 0.01)
    runs: list[int] = []

    async def collide() -> None:
        runs.append(1)
        raise TransactionConflict

    with pytest.raises(TransactionConflict):
        await in_transaction(gateway.transaction, collide)
    assert runs


async def test_any_other_error_ends_it_at_once(gateway: Gateway) -> None:
    runs: list[int] = []

    async def fail() -> None:
        runs.append(1)
        raise ValueError

    with pytest.raises(ValueError, match=r"^$"):
        await in_transaction(gateway.transaction, fail)
    assert runs == [1]
