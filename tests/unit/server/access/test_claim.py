"""Claims: of two runs of one call, one writes."""

import asyncio
from collections.abc import AsyncGenerator

import pytest
import pytest_asyncio
from pymongo.errors import DuplicateKeyError, OperationFailure

from bolide.server.access.claim import CallTaken, Claim
from bolide.server.stores.base import Delete, Insert, Query, Receipt, Update, WriteOperation
from bolide.server.stores.memory import MemoryStore
from bolide.server.stores.own_collections import CALLS


class Unsteady(MemoryStore):
    """A store whose answer to the next write can get lost."""

    def __init__(self) -> None:
        super().__init__()
        self.loses_answer = False
        self.forgets_claims = False

    async def write(self, operation: WriteOperation, *, first: Insert | None = None) -> Receipt:
        if self.forgets_claims:
            self.forgets_claims = False
            try:
                return await super().write(operation, first=first)
            finally:
                await super().write(Delete(collection=CALLS, selector={}, many=True))
        receipt = await super().write(operation, first=first)
        if self.loses_answer:
            self.loses_answer = False
            raise OperationFailure("the connection broke")
        return receipt


@pytest_asyncio.fixture
async def store() -> AsyncGenerator[Unsteady]:
    store = Unsteady()
    await store.open()
    yield store
    await store.close()


def claim() -> Claim:
    return Claim({"_id": "call"})


def insert(id: str) -> Insert:
    return Insert(collection="c", documents=[{"_id": id}])


async def ids(store: MemoryStore, collection: str) -> list[str]:
    return [d["_id"] for d in (await store.read(Query(collection=collection))).documents]


async def test_the_first_write_claims_the_call(store: Unsteady) -> None:
    one = claim()
    await one.find_out(store)
    assert not one.is_taken
    await one.write(store, insert("a"))
    await one.write(store, insert("b"))
    assert one.is_taken
    assert (await ids(store, CALLS), await ids(store, "c")) == (["call"], ["a", "b"])


async def test_the_second_run_cannot_write(store: Unsteady) -> None:
    await claim().write(store, insert("a"))
    other = claim()
    for _ in range(2):
        with pytest.raises(CallTaken):
            await other.write(store, insert("b"))
    assert other.is_refused
    assert await ids(store, "c") == ["a"]


async def test_two_writes_of_one_run_at_a_time_are_one_run(store: Unsteady) -> None:
    one = claim()
    await asyncio.gather(one.write(store, insert("a")), one.write(store, insert("b")))
    assert await ids(store, "c") == ["a", "b"]


async def test_a_claim_that_is_forgotten_at_once_is_made_anew(store: Unsteady) -> None:
    await claim().write(store, insert("a"))
    other = claim()
    store.forgets_claims = True
    await other.write(store, insert("b"))
    assert other.is_taken
    assert (await ids(store, CALLS), await ids(store, "c")) == (["call"], ["a", "b"])


async def test_a_write_that_failed_leaves_no_claim(store: Unsteady) -> None:
    await store.write(insert("a"))
    one = claim()
    with pytest.raises(DuplicateKeyError):
        await one.write(store, insert("a"))
    await one.find_out(store)
    assert (one.is_taken, one.is_refused) == (False, False)
    await one.write(store, insert("b"))
    assert one.is_taken


async def test_a_claim_whose_answer_was_lost_is_found_again(store: Unsteady) -> None:
    one = claim()
    store.loses_answer = True
    with pytest.raises(OperationFailure):
        await one.write(store, insert("a"))
    await one.write(store, insert("b"))
    assert one.is_taken
    assert await ids(store, "c") == ["a", "b"]


async def test_a_transaction_claims_with_its_first_write(store: Unsteady) -> None:
    one = claim()
    async with store.transaction() as transaction:
        await one.write_within(transaction, insert("a"))
        await one.write_within(transaction, insert("b"))
        assert await ids(store, CALLS) == []
    one.committed()
    assert one.is_taken
    async with store.transaction() as transaction:
        await one.write_within(transaction, Update(collection="c", selector={}, modifier={"x": 1}))
    one.committed()
    assert await ids(store, CALLS) == ["call"]


async def test_an_aborted_transaction_leaves_no_claim(store: Unsteady) -> None:
    one = claim()

    async def abort() -> None:
        async with store.transaction() as transaction:
            await one.write_within(transaction, insert("a"))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await abort()
    one.not_committed()
    await one.find_out(store)
    assert not one.is_taken
    await one.write(store, insert("b"))
    assert await ids(store, "c") == ["b"]


async def test_a_transaction_of_the_second_run_is_aborted(store: Unsteady) -> None:
    await claim().write(store, insert("a"))
    other = claim()

    async def write() -> None:
        async with store.transaction() as transaction:
            await other.write_within(transaction, insert("b"))

    with pytest.raises(CallTaken):
        await write()
    other.not_committed()
    assert other.is_refused
    with pytest.raises(CallTaken):
        await other.find_out(store)
    assert await ids(store, "c") == ["a"]
