"""Writes that fail on a real server: which were not done, which nobody knows, which in part.

The rows are those of "A lost answer is no answer" in docs/design/mongodb.md.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest
from pymongo.errors import (
    BulkWriteError,
    DuplicateKeyError,
    OperationFailure,
    PyMongoError,
    ServerSelectionTimeoutError,
)
from tests.driver_sockets import MAY_BE_LEFT
from tests.replica_set import ReplicaSet

from bolide.core.ddp.messages import Added, CallId, Result, Updated
from bolide.core.errors import MethodError, StateError
from bolide.core.values import Document
from bolide.server import App, Context, Settings
from bolide.server.clock import SystemClock
from bolide.server.stores.base import (
    Delete,
    Insert,
    Query,
    Update,
    WriteOperation,
    WriteOutcomeUnknown,
)
from bolide.server.stores.mongo import MongoStore, store
from bolide.server.stores.mongo.reading import snapshots
from bolide.server.testing import TestNode

TIMEOUT_S = 60
BEDS = Query(collection="beds", sort=(("_id", 1),))
ONE = Insert(collection="beds", documents=[{"_id": "new"}])
MANY = Insert(collection="beds", documents=[{"_id": 1}, {"_id": 2}])
UPDATE = Update(collection="beds", selector={"_id": "old"}, modifier={"$set": {"n": 1}})
UPDATE_MANY = Update(collection="beds", selector={}, modifier={"$set": {"n": 1}}, many=True)
DELETE_MANY = Delete(collection="beds", selector={}, many=True)

pytestmark = MAY_BE_LEFT


@pytest.fixture
async def opened(
    new_database: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> AsyncGenerator[MongoStore]:
    """A store with one document that gives up a write soon."""
    monkeypatch.setattr(store, "WRITE_TIMEOUT_S", 0.5)
    monkeypatch.setattr(store, "_COMMIT_TIMEOUT_S", 0.5)
    opened = MongoStore(new_database())
    await opened.open()
    async with asyncio.timeout(TIMEOUT_S):
        await opened.write(Insert(collection="beds", documents=[{"_id": "old"}]))
        yield opened
    await opened.close()


async def ids(opened: MongoStore) -> list[Any]:
    return [document["_id"] for document in (await opened.read(BEDS)).documents]


async def settled(opened: MongoStore, unknown: WriteOutcomeUnknown) -> None:
    """Wait until the feed shows the write, if it was done."""
    assert unknown.collections == {"beds"}
    assert unknown.position is not None
    await opened.feed_reached(await unknown.position)


async def in_transaction(
    opened: MongoStore, then: Callable[[], Awaitable[object]] | None = None
) -> None:
    async with opened.transaction() as transaction:
        await transaction.write(ONE)
        if then is not None:
            await then()


# What the server is told to do -> the write was done.
UNKNOWN: list[tuple[WriteOperation, dict[str, Any], bool]] = [
    (ONE, {"closeConnection": True}, False),
    (ONE, {"errorCode": 10107, "errorLabels": ["RetryableWriteError"]}, False),
    (ONE, {"errorCode": 11602, "errorLabels": ["RetryableWriteError"]}, False),
    (ONE, {"errorCode": 91, "errorLabels": ["RetryableWriteError"]}, False),
    (ONE, {"errorCode": 50}, False),
    (ONE, {"writeConcernError": {"code": 64, "errmsg": "waiting timed out"}}, True),
    (MANY, {"closeConnection": True}, False),
    (MANY, {"writeConcernError": {"code": 64, "errmsg": "waiting timed out"}}, True),
    (UPDATE, {"closeConnection": True}, False),
    (UPDATE_MANY, {"closeConnection": True}, False),
    (DELETE_MANY, {"closeConnection": True}, False),
]


@pytest.mark.parametrize(("operation", "failure", "is_done"), UNKNOWN)
async def test_nobody_knows(
    replica_set: ReplicaSet,
    opened: MongoStore,
    operation: WriteOperation,
    failure: dict[str, Any],
    is_done: bool,
) -> None:
    command = type(operation).__name__.lower()
    with replica_set.failing(command, **failure), pytest.raises(WriteOutcomeUnknown) as caught:
        await opened.write(operation)
    await settled(opened, caught.value)
    written = await opened.read(BEDS)
    assert (written.documents != [{"_id": "old"}]) is is_done


async def test_what_the_server_refuses_was_not_done(
    replica_set: ReplicaSet, opened: MongoStore
) -> None:
    with pytest.raises(DuplicateKeyError):
        await opened.write(Insert(collection="beds", documents=[{"_id": "old"}]))
    name = opened.raw_collection("beds").database.name
    with replica_set.client() as client:
        client[name].command("collMod", "beds", validator={"_id": {"$ne": "new"}})
    with pytest.raises(OperationFailure) as refused:
        await opened.write(ONE)
    assert refused.value.code == 121
    labels = ["RetryableWriteError", "NoWritesPerformed"]
    failures: list[dict[str, Any]] = [
        {"errorCode": 13},
        {"errorCode": 91, "errorLabels": labels},
    ]
    for failure in failures:
        with replica_set.failing("insert", **failure), pytest.raises(PyMongoError):
            await opened.write(ONE)
    assert await ids(opened) == ["old"]


async def test_a_part_of_several_documents_is_told_by_its_places(opened: MongoStore) -> None:
    several: list[Document] = [{"_id": 1}, {"_id": "old"}, {"_id": 2}]
    with pytest.raises(BulkWriteError) as caught:
        await opened.write(Insert(collection="beds", documents=several))
    assert caught.value.details["nInserted"] == 1
    assert caught.value.details["writeErrors"][0]["index"] == 1
    with pytest.raises(BulkWriteError) as caught:
        await opened.write(Insert(collection="beds", documents=several[1:], ordered=False))
    assert caught.value.details["nInserted"] == 1
    assert await ids(opened) == [1, 2, "old"]


async def test_of_a_large_insert_the_first_part_may_be_done(
    replica_set: ReplicaSet, opened: MongoStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "WRITE_TIMEOUT_S", 4)
    # The driver sends 48 MB at once.
    several: list[Document] = [{"_id": number, "text": "x" * 15_000_000} for number in range(4)]
    with (
        replica_set.failing("insert", skip=1, closeConnection=True),
        pytest.raises(WriteOutcomeUnknown) as caught,
    ):
        await opened.write(Insert(collection="beds", documents=several))
    await settled(opened, caught.value)
    assert await ids(opened) == [0, 1, 2, "old"]


async def test_a_commit_is_asked_for_until_its_outcome_is_known(
    replica_set: ReplicaSet, opened: MongoStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "_COMMIT_TIMEOUT_S", 20)
    replica_set.fail(3, "commitTransaction", closeConnection=True)
    async with opened.transaction() as transaction:
        await transaction.write(ONE)
    assert transaction.receipt is not None
    assert await ids(opened) == ["new", "old"]


async def test_of_a_commit_without_an_answer_nobody_knows(
    replica_set: ReplicaSet, opened: MongoStore
) -> None:
    with (
        replica_set.failing("commitTransaction", closeConnection=True),
        pytest.raises(WriteOutcomeUnknown) as caught,
    ):
        await in_transaction(opened)
    await settled(opened, caught.value)
    # The server aborted it, because a later write came in its session.
    assert await ids(opened) == ["old"]


async def test_an_unknown_outcome_inside_a_transaction_keeps_its_own_position(
    replica_set: ReplicaSet, opened: MongoStore
) -> None:
    with (
        replica_set.failing("update", closeConnection=True),
        pytest.raises(WriteOutcomeUnknown) as caught,
    ):
        await in_transaction(opened, lambda: opened.write(UPDATE))
    await settled(opened, caught.value)
    assert await ids(opened) == ["old"]


async def test_who_waits_is_told_when_the_store_is_closed(
    replica_set: ReplicaSet, new_database: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "WRITE_TIMEOUT_S", 0.5)
    opened = MongoStore(new_database())
    await opened.open()
    async with asyncio.timeout(TIMEOUT_S):
        with replica_set.failing("insert", "update", closeConnection=True):
            with pytest.raises(WriteOutcomeUnknown) as caught:
                await opened.write(ONE)
            await opened.close()
        assert caught.value.position is not None
        with pytest.raises(StateError, match="closed"):
            await caught.value.position


@pytest.fixture
def alone() -> Iterator[ReplicaSet]:
    """One member, which stays primary however long it is frozen."""
    with ReplicaSet(1) as replica_set:
        yield replica_set


async def test_updated_waits_for_what_may_have_been_written(
    alone: ReplicaSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "WRITE_TIMEOUT_S", 0.5)
    app = App()
    beds = app.collection("beds")

    @app.publish("beds", public=True)
    async def publish(ctx: Context) -> object:
        return beds.find({})

    @app.method("add", public=True)
    async def add(ctx: Context, id: str) -> None:
        await beds.insert_one({"_id": id})

    member = alone.members[0]
    async with (
        asyncio.timeout(TIMEOUT_S),
        TestNode(app, store=MongoStore(alone.url("ward"))) as node,
    ):
        client = await node.connect()
        await client.subscribe("beds")
        await client.call("add", "first")
        alone.freeze(member)
        call = asyncio.create_task(client.call("add", "second"))
        await client.wait_for(lambda: _count(client.messages, Result) == 2)
        assert _count(client.messages, Updated) == 1
        alone.thaw(member)
        with pytest.raises(MethodError) as caught:
            await call
        assert caught.value.error == "write-outcome-unknown"
        shown = {document["_id"] for document in client.documents("beds")}
        last_updated = max(
            place for place, one in enumerate(client.messages) if isinstance(one, Updated)
        )
        await client.call("add", "last")
        stored = {document["_id"] for document in (await node.store.read(BEDS)).documents}
        assert stored - {"last"} == shown
        added = [one.id for one in client.messages[last_updated:] if isinstance(one, Added)]
        assert added == ["last"]


def _count(messages: list[Any], kind: type) -> int:
    return sum(isinstance(one, kind) for one in messages)


class Counter:
    """A node that counts in a document, and how often its handler ran."""

    def __init__(self, url: str) -> None:
        app = App()
        runs = app.collection("runs")
        self.runs = 0

        @app.method("count", public=True)
        async def count(ctx: Context) -> str:
            self.runs += 1
            await runs.update_one({"_id": 1}, {"$inc": {"n": 1}}, upsert=True)
            return "counted"

        # So long a repeat waits for a run on another node.
        self.node = TestNode(app, store=MongoStore(url), settings=Settings(call_wait_s=0.5))
        self.node.node.clock = SystemClock()

    async def call(self, id: str) -> str:
        """Make a call with an id; returns what was answered, an error by its name."""
        client = await self.node.connect(bolide=True)
        try:
            return str(await client.call("count", call=CallId("c" * 16, id)))
        except MethodError as error:
            return str(error.error)
        finally:
            await client.close()

    async def counted(self) -> list[Document]:
        found = await self.node.store.read(Query(collection="runs"))
        return list(found.documents)


# What becomes of the answers to the first run -> it was done, and what the repeat is told.
REPEATED: dict[str, tuple[list[str], dict[str, Any], bool, str]] = {
    "done": (
        ["commitTransaction"],
        {"writeConcernError": {"code": 64, "errmsg": "waiting timed out"}},
        True,
        "write-outcome-unknown",
    ),
    "not done": (["commitTransaction"], {"closeConnection": True}, False, "counted"),
}


@pytest.mark.parametrize("case", REPEATED)
async def test_a_call_that_is_repeated_on_another_node_is_not_done_twice(
    replica_set: ReplicaSet,
    new_database: Callable[[], str],
    monkeypatch: pytest.MonkeyPatch,
    case: str,
) -> None:
    commands, failure, is_done, told = REPEATED[case]
    url = new_database()
    first, second = Counter(url), Counter(url)
    async with asyncio.timeout(TIMEOUT_S), first.node, second.node:
        monkeypatch.setattr(store, "WRITE_TIMEOUT_S", 0.5)
        monkeypatch.setattr(store, "_COMMIT_TIMEOUT_S", 0.5)
        with replica_set.failing(*commands, **failure):
            assert await first.call("1") == "write-outcome-unknown"
        monkeypatch.undo()
        assert await second.counted() == ([{"_id": 1, "n": 1}] if is_done else [])
        assert await second.call("1") == told
        assert await first.call("1") == told
        assert await second.counted() == [{"_id": 1, "n": 1}]
        assert (first.runs, second.runs) == (1, 0 if is_done else 1)
        assert await second.call("2") == "counted"  # another call is another one
        assert await second.counted() == [{"_id": 1, "n": 2}]


async def test_a_write_is_not_done_if_no_server_was_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(store, "WRITE_TIMEOUT_S", 0.5)
    with ReplicaSet(1) as short_lived:
        url = short_lived.url("ward", serverSelectionTimeoutMS="200")
        opened = MongoStore(url)
        await opened.open()
        short_lived.kill(short_lived.members[0])
        with suppress(ServerSelectionTimeoutError, WriteOutcomeUnknown):
            await opened.write(ONE)  # by a connection that is not known to be gone, perhaps
        with pytest.raises(ServerSelectionTimeoutError):
            await opened.write(ONE)
        await opened.close()


async def test_a_client_is_told_that_the_database_is_away(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(snapshots, "READ_TIMEOUT_S", 0.5)
    monkeypatch.setattr(store, "WRITE_TIMEOUT_S", 0.5)
    with ReplicaSet(1) as short_lived:
        counter = Counter(short_lived.url("ward", serverSelectionTimeoutMS="200"))
        async with asyncio.timeout(TIMEOUT_S), counter.node:
            assert await counter.call("1") == "counted"
            short_lived.kill(short_lived.members[0])
            # By a connection that is not known to be gone, perhaps.
            assert await counter.call("2") in ("write-outcome-unknown", "database-unavailable")
            assert await counter.call("3") == "database-unavailable"
