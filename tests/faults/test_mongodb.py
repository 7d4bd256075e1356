"""A replica set that loses members: nothing acknowledged is lost, and every view comes right."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import asynccontextmanager

# Commands and their answers.
from typing import Any

import pytest
from bson.errors import InvalidBSON
from pymongo.errors import PyMongoError
from tests.replica_set import ReplicaSet

from bolide.core.errors import MethodError
from bolide.server import App, Context
from bolide.server.stores.base import Insert, Query
from bolide.server.stores.mongo import MongoStore, change_stream
from bolide.server.stores.mongo.codec import run_command
from bolide.server.testing import TestClient, TestNode

TIMEOUT_S = 120
WRITERS = 4
EVERYTHING = Query(collection="beds", sort=(("_id", 1),))

# A connection that is given up with its server is closed by the collector.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")


@pytest.fixture
def members() -> Iterator[ReplicaSet]:
    """A replica set of the test's own."""
    with ReplicaSet() as replica_set:
        yield replica_set


class Ward:
    """A node, clients that follow everything, and writers that never stop."""

    def __init__(self, node: TestNode, clients: list[TestClient]) -> None:
        self.node = node
        self.clients = clients
        self.acknowledged: set[str] = set()
        self._stopping = asyncio.Event()
        self._news = asyncio.Event()

    async def write(self, name: str) -> None:
        number = 0
        while not self._stopping.is_set():
            number += 1
            id = f"{name}-{number}"
            try:
                await self.node.store.write(Insert(collection="beds", documents=[{"_id": id}]))
            except (PyMongoError, MethodError):
                continue
            self.acknowledged.add(id)
            self._news.set()

    @property
    def losses(self) -> float | None:
        registry = self.node.node.metrics.registry
        return registry.get_sample_value("bolide_history_losses_total")

    @asynccontextmanager
    async def writing(self) -> AsyncGenerator[None]:
        writers = [asyncio.create_task(self.write(f"w{i}")) for i in range(WRITERS)]
        try:
            yield
        finally:
            self._stopping.set()
            await asyncio.gather(*writers)

    async def more_is_acknowledged(self) -> None:
        """Wait until writes succeed."""
        enough = len(self.acknowledged) + 20
        while len(self.acknowledged) < enough:
            self._news.clear()
            await self._news.wait()

    async def agree(self) -> None:
        """Every client shows what there is, and what was acknowledged is there."""
        found = await self.node.store.read(EVERYTHING)
        await self.node.store.feed_reached(found.position)
        await self.node.settle()
        stored = {document["_id"] for document in found.documents}
        assert self.acknowledged <= stored
        for client in self.clients:
            assert client.close_reason is None
            assert {document["_id"] for document in client.documents("beds")} == stored


@asynccontextmanager
async def ward(url: str) -> AsyncGenerator[Ward]:
    app = App()
    beds = app.collection("beds")

    @app.publish("beds", public=True)
    async def publish(ctx: Context) -> object:
        return beds.find({})

    async with asyncio.timeout(TIMEOUT_S), TestNode(app, store=MongoStore(url)) as node:
        clients = [await node.connect() for _ in range(5)]
        for client in clients:
            await client.subscribe("beds")
        yield Ward(node, clients)


def _kill(members: ReplicaSet) -> Callable[[], None]:
    member = members.primary()
    members.kill(member)
    return lambda: members.run(member)


def _freeze(members: ReplicaSet) -> Callable[[], None]:
    member = members.primary()
    members.freeze(member)
    return lambda: members.thaw(member)


def _step_down(members: ReplicaSet) -> Callable[[], None]:
    members.step_down()
    return lambda: None


async def test_no_write_and_no_change_is_lost_when_the_primary_is(members: ReplicaSet) -> None:
    async with ward(members.url("ward")) as it:
        async with it.writing():
            await it.more_is_acknowledged()
            for hurt in (_kill, _step_down, _freeze, _kill):
                heal = await asyncio.to_thread(hurt, members)
                await it.more_is_acknowledged()
                await asyncio.to_thread(heal)
                await it.more_is_acknowledged()
        await it.agree()
        assert it.losses == 0


@pytest.mark.parametrize("code", [286, 280, 136])
async def test_lost_history_is_read_again(
    replica_set: ReplicaSet, new_database: Callable[[], str], code: int
) -> None:
    async with ward(new_database()) as it:
        async with it.writing():
            await it.more_is_acknowledged()
            await asyncio.to_thread(lambda: replica_set.fail(1, "getMore", errorCode=code))
            await it.more_is_acknowledged()
        await it.agree()
        assert it.losses == 1


async def test_an_answer_that_cannot_be_decoded_is_stepped_over(
    new_database: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    failures = [InvalidBSON("once")]

    async def run(database: Any, command: Any, session: Any) -> Any:
        if "getMore" in command and failures:
            raise failures.pop()
        return await run_command(database, command, session)

    async with ward(new_database()) as it:
        async with it.writing():
            await it.more_is_acknowledged()
            monkeypatch.setattr(change_stream, "run_command", run)
            await it.more_is_acknowledged()
        await it.agree()
        assert it.losses == 1
        assert not failures
