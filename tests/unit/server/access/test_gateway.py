"""The gateway: nothing passes undecided, and every write moves the fence."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from pymongo.errors import AutoReconnect, DuplicateKeyError
from tests.unit.server.scripted_store import ScriptedStore

from bolide.core.errors import AuthError, StateError
from bolide.server.access.gateway import Gateway, NotInTransaction, TrustedOnly
from bolide.server.access.invocation import (
    Invocation,
    UndecidedAccess,
    UnopenedAccess,
    entered,
)
from bolide.server.logging.explained import NotRunning
from bolide.server.stores.access import AccessRefused
from bolide.server.stores.base import (
    AccessFilter,
    Delete,
    IndexSpec,
    Position,
    Query,
    Receipt,
    WriteOutcomeUnknown,
)

BEDS = Query(collection="beds")
CLEAR = Delete(collection="beds", selector={})
INDEX = IndexSpec(keys=(("ward", 1),))

USES: list[tuple[str, Callable[[Gateway], Awaitable[Any]]]] = [
    ("read beds", lambda gateway: gateway.read(BEDS)),
    ("counted beds", lambda gateway: gateway.count(BEDS)),
    ("read beds", lambda gateway: gateway.distinct(BEDS, "ward")),
    ("wrote to beds", lambda gateway: gateway.write(CLEAR)),
    ("made an index of beds", lambda gateway: gateway.create_index(BEDS, INDEX)),
    ("dropped an index of beds", lambda gateway: gateway.drop_index(BEDS, "ward_1")),
]


@pytest.fixture
def store() -> ScriptedStore:
    return ScriptedStore()


@pytest.fixture
def gateway(store: ScriptedStore) -> Gateway:
    gateway = Gateway()
    gateway.attach(store)
    return gateway


def decided() -> Invocation:
    return Invocation("method", "move", is_decided=True)


@pytest.mark.parametrize(("action", "use"), USES)
async def test_nothing_passes_without_a_decision(
    gateway: Gateway,
    store: ScriptedStore,
    action: str,
    use: Callable[[Gateway], Awaitable[Any]],
) -> None:
    with entered(Invocation("method", "move")), pytest.raises(UndecidedAccess) as caught:
        await use(gateway)
    assert str(caught.value).startswith(f"The method move {action} without a decision:")
    assert store.asked == []


@pytest.mark.parametrize("use", [use for _, use in USES])
async def test_trusted_code_and_decided_invocations_pass(
    gateway: Gateway, store: ScriptedStore, use: Callable[[Gateway], Awaitable[Any]]
) -> None:
    await use(gateway)
    with entered(decided()):
        await use(gateway)
    assert len(store.asked) == 2


@pytest.mark.parametrize("use", [use for _, use in USES])
async def test_without_a_store_the_app_is_not_running(
    gateway: Gateway, use: Callable[[Gateway], Awaitable[Any]]
) -> None:
    gateway.detach()
    with pytest.raises(NotRunning):
        await use(gateway)


def test_a_second_store_is_refused(gateway: Gateway) -> None:
    with pytest.raises(StateError, match="runs already"):
        gateway.attach(ScriptedStore())
    gateway.detach()
    gateway.attach(ScriptedStore())


async def test_a_write_moves_the_fence(gateway: Gateway, store: ScriptedStore) -> None:
    store.receipt = Receipt(position=7, collections=frozenset({"beds"}))
    invocation = decided()
    with entered(invocation):
        assert await gateway.write(CLEAR) is store.receipt
    assert invocation.fence == {"beds": 7}


async def test_a_write_that_fails_half_way_moves_the_fence_past_what_it_wrote(
    gateway: Gateway, store: ScriptedStore
) -> None:
    store.write_error, store.position = DuplicateKeyError("E11000"), 9
    invocation = decided()
    with entered(invocation), pytest.raises(DuplicateKeyError):
        await gateway.write(CLEAR)
    assert invocation.fence == {"beds": 9}


async def test_a_failed_look_at_the_position_does_not_hide_the_error(
    gateway: Gateway, store: ScriptedStore
) -> None:
    store.write_error, store.read_error = DuplicateKeyError("E11000"), AutoReconnect("gone")
    invocation = decided()
    with entered(invocation), pytest.raises(DuplicateKeyError):
        await gateway.write(CLEAR)
    assert invocation.fence == {}


async def test_a_write_that_was_perhaps_done_holds_the_fence_until_that_is_known(
    gateway: Gateway, store: ScriptedStore
) -> None:
    unknown = WriteOutcomeUnknown()
    unknown.collections = frozenset({"beds"})
    position: asyncio.Future[Position] = asyncio.get_running_loop().create_future()
    unknown.position = position
    store.write_error = unknown
    invocation = decided()
    with entered(invocation):
        with pytest.raises(WriteOutcomeUnknown):
            await gateway.write(CLEAR)
        with pytest.raises(WriteOutcomeUnknown):
            async with gateway.transaction():
                raise unknown
    assert invocation.fence == {}
    assert invocation.fence
    position.set_result(8)
    await invocation.fence.known()
    assert invocation.fence == {"beds": 8}


async def test_a_store_that_does_not_find_out_holds_nothing(
    gateway: Gateway, store: ScriptedStore
) -> None:
    store.write_error = WriteOutcomeUnknown()
    invocation = decided()
    with entered(invocation), pytest.raises(WriteOutcomeUnknown):
        await gateway.write(CLEAR)
    assert not invocation.fence


async def test_in_a_transaction_everything_goes_to_it(
    gateway: Gateway, store: ScriptedStore
) -> None:
    store.documents = [{"_id": 1}, {"_id": 2}]
    async with gateway.transaction():
        assert await gateway.read(BEDS) == store.documents
        assert await gateway.count(BEDS) == 2
        assert await gateway.write(CLEAR) is store.receipt
    assert [where for where, _ in store.asked] == [
        "transaction read",
        "transaction read",
        "transaction write",
    ]
    await gateway.read(BEDS)
    assert store.asked[-1] == ("read", BEDS)


async def test_the_commit_of_a_transaction_moves_the_fence(
    gateway: Gateway, store: ScriptedStore
) -> None:
    store.committed = Receipt(position=3, collections=frozenset({"beds", "notes"}))
    invocation = decided()
    with entered(invocation):
        async with gateway.transaction():
            await gateway.write(CLEAR)
            assert invocation.fence == {}
    assert invocation.fence == {"beds": 3, "notes": 3}


async def test_a_transaction_without_receipt_or_invocation_moves_nothing(
    gateway: Gateway, store: ScriptedStore
) -> None:
    invocation = decided()
    with entered(invocation):
        async with gateway.transaction():
            pass
    assert invocation.fence == {}
    store.committed = Receipt(position=3, collections=frozenset({"beds"}))
    async with gateway.transaction():
        await gateway.write(CLEAR)


async def test_an_error_leaves_the_transaction(gateway: Gateway, store: ScriptedStore) -> None:
    async def fail() -> None:
        async with gateway.transaction():
            raise KeyError

    with pytest.raises(KeyError):
        await fail()
    await gateway.read(BEDS)
    assert store.asked == [("read", BEDS)]


async def in_transaction(gateway: Gateway, use: Callable[[Gateway], Awaitable[Any]]) -> None:
    async with gateway.transaction():
        await use(gateway)


async def nest(gateway: Gateway) -> None:
    async with gateway.transaction():
        pass


OUTSIDE: list[tuple[str, Callable[[Gateway], Awaitable[Any]]]] = [
    ("app.transaction()", nest),
    ("distinct", lambda gateway: gateway.distinct(BEDS, "ward")),
    ("create_index", lambda gateway: gateway.create_index(BEDS, INDEX)),
    ("drop_index", lambda gateway: gateway.drop_index(BEDS, "ward_1")),
]


@pytest.mark.parametrize(("action", "use"), OUTSIDE)
async def test_what_cannot_be_part_of_a_transaction_says_so(
    gateway: Gateway, action: str, use: Callable[[Gateway], Awaitable[Any]]
) -> None:
    with pytest.raises(NotInTransaction) as caught:
        await in_transaction(gateway, use)
    assert str(caught.value) == (
        f"{action} cannot be part of app.transaction(): use it before or after."
    )


async def test_a_transaction_belongs_to_its_app(gateway: Gateway, store: ScriptedStore) -> None:
    other, other_store = Gateway(), ScriptedStore()
    other.attach(other_store)
    async with gateway.transaction():
        await other.read(BEDS)
    assert other_store.asked == [("read", BEDS)]


CLOSED = AccessFilter("ward")
PATIENTS = Query(collection="patients", access=CLOSED)
DISCHARGE = Delete(collection="patients", selector={}, access=CLOSED)

SCOPED: list[Callable[[Gateway], Awaitable[Any]]] = [
    lambda gateway: gateway.read(PATIENTS),
    lambda gateway: gateway.count(PATIENTS),
    lambda gateway: gateway.distinct(PATIENTS, "bed"),
    lambda gateway: gateway.write(DISCHARGE),
]
WHOLE: list[tuple[str, Callable[[Gateway], Awaitable[Any]]]] = [
    ("made an index of", lambda gateway: gateway.create_index(PATIENTS, INDEX)),
    ("dropped an index of", lambda gateway: gateway.drop_index(PATIENTS, "ward_1")),
]


def filter_of(store: ScriptedStore) -> AccessFilter | None:
    """Return the filter that the store was given last."""
    where, asked = store.asked[-1]
    if where == "distinct":
        return store.access
    access: AccessFilter | None = asked.access
    return access


@pytest.mark.parametrize("use", SCOPED)
async def test_only_an_open_scope_opens_a_collection_that_has_scopes(
    gateway: Gateway, store: ScriptedStore, use: Callable[[Gateway], Awaitable[Any]]
) -> None:
    invocation = decided()
    with entered(invocation):
        with pytest.raises(UnopenedAccess):
            await use(gateway)
        assert store.asked == []
        invocation.opened |= {"7", "8"}
        await use(gateway)
    assert filter_of(store) == AccessFilter("ward", frozenset({"7", "8"}))


@pytest.mark.parametrize("use", SCOPED)
async def test_trusted_code_has_no_filter(
    gateway: Gateway, store: ScriptedStore, use: Callable[[Gateway], Awaitable[Any]]
) -> None:
    await use(gateway)
    assert filter_of(store) is None


async def test_a_transaction_is_filtered_too(gateway: Gateway, store: ScriptedStore) -> None:
    invocation = decided()
    invocation.opened.add("7")
    with entered(invocation):
        async with gateway.transaction():
            for use in (SCOPED[0], SCOPED[1], SCOPED[3]):
                await use(gateway)
                assert filter_of(store) == AccessFilter("ward", frozenset({"7"}))


@pytest.mark.parametrize(("action", "use"), WHOLE)
async def test_what_concerns_all_documents_is_for_trusted_code(
    gateway: Gateway,
    store: ScriptedStore,
    action: str,
    use: Callable[[Gateway], Awaitable[Any]],
) -> None:
    invocation = decided()
    invocation.opened.add("7")
    with entered(invocation), pytest.raises(TrustedOnly) as caught:
        await use(gateway)
    assert str(caught.value) == (
        f"The method move {action} patients, which has access=:"
        " that concerns documents of all access scopes, so do it in @app.on_startup."
    )
    assert store.asked == []
    await use(gateway)


async def test_a_refusal_of_the_store_is_a_refusal_of_the_person(
    gateway: Gateway, store: ScriptedStore
) -> None:
    store.write_error = AccessRefused()
    invocation = decided()
    invocation.opened.add("7")
    with entered(invocation), pytest.raises(AuthError):
        await gateway.write(DISCHARGE)
