"""Nobody ever holds a part of a transaction: no observer, and no client after any write to it.

``BOLIDE_TESTS_TRANSACTIONS`` is how many there are in each test (100).
"""

import asyncio
import os
import random
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

import pytest
from tests.integration.mongodb.truth import (
    COLLECTION,
    WARDS,
    Observer,
    Truth,
    View,
    Writers,
    take,
    truth_of,
)
from tests.turns import yield_once

from bolide.core.ddp.codec import parse_server_message
from bolide.core.ddp.messages import Added, Changed, Ready, Removed
from bolide.server import App, Context
from bolide.server.limits import Limits
from bolide.server.stores.base import Query
from bolide.server.stores.mongo import MongoStore
from bolide.server.stores.mongo.feed import change_stream
from bolide.server.stores.mongo.feed.assembly import Assembled, Assembly
from bolide.server.testing import TestNode, TestSocket

TRANSACTIONS = int(os.environ.get("BOLIDE_TESTS_TRANSACTIONS", "100"))
WRITERS = 4
SMALL_BATCH = 7
ROOM_BYTES = 2_000
MOST_PASSING_BYTES = 20_000
TIMEOUT_S = 1200
# Where there is no time for all queries in one turn, a client that follows several sees some later.
UNHURRIED = Limits(live_query_turn_ms=60_000)


class Reader:
    """A client that notes which state it holds after each write to its socket.

    Args:
        is_slow: Its line is dead most of the time.
    """

    def __init__(self, *, is_slow: bool = False) -> None:
        self.shown: list[int] = []
        self.is_slow = is_slow
        self._view = View()
        self._pending: set[str] = set()
        self._socket: TestSocket | None = None

    async def subscribe(self, node: TestNode, *subscriptions: tuple[Any, ...]) -> None:
        client = await node.connect()
        self._socket = socket = client.socket
        _READERS[socket] = self
        started = [client.start_subscription(*args) for args in subscriptions]
        self._pending = {one.id for one in started}
        await client.wait_for(lambda: not self._pending)
        if self.is_slow:
            socket.room_bytes = ROOM_BYTES
            socket.stall()

    def pass_some(self, source: random.Random) -> None:
        """Let a slow client read a little, or all, for a moment."""
        assert self._socket is not None
        if source.random() < 0.1:
            self._socket.drain()
            self._socket.stall()
        else:
            self._socket.let_pass(source.randrange(MOST_PASSING_BYTES))

    def wake(self) -> None:
        assert self._socket is not None
        self._socket.drain()

    def written(self, packets: Sequence[bytes]) -> None:
        """Take what is one write to the socket."""
        for packet in packets:
            message = parse_server_message(packet.decode())
            if isinstance(message, Added | Changed | Removed):
                take(self._view, message)
            elif isinstance(message, Ready):
                self._pending.difference_update(message.subs)
        if not self._pending:
            self.shown.append(self._view.number)


_READERS: dict[TestSocket, Reader] = {}
_SEND: Final = TestSocket.send


def _send(socket: TestSocket, packets: Sequence[bytes]) -> None:
    """Send, and let the reader look at what was one write."""
    if socket in _READERS:
        _READERS[socket].written(packets)
    _SEND(socket, packets)


@pytest.fixture(autouse=True)
def _watched(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(TestSocket, "send", _send)
    yield
    _READERS.clear()


class Ward:
    """A node, observers and clients of it, slow ones included."""

    def __init__(self, truth: Truth, node: TestNode) -> None:
        self.truth = truth
        self.observer = Observer()
        self.readers = [Reader(), Reader(), Reader(is_slow=True), Reader(is_slow=True)]
        self._node = node

    async def begin(self) -> None:
        live_queries = self._node.node.services.live_queries
        query = Query(collection=COLLECTION, projection={"v": 1})
        await live_queries.follow(query, self.observer)
        whole = [("all",)]
        wards = [("ward", number) for number in range(WARDS)]
        for number, reader in enumerate(self.readers):
            await reader.subscribe(self._node, *(wards if number % 2 else whole))

    async def read(self) -> None:
        """Let the slow ones read now and then, for ever."""
        source = random.Random(1)
        while True:
            await self.observer.turns(len(self.observer.shown) + 1)
            for reader in self.readers:
                if reader.is_slow:
                    reader.pass_some(source)

    async def end(self) -> None:
        await self.truth.complete()
        found = await self._node.store.read(Query(collection=COLLECTION))
        await self._node.store.feed_reached(found.position)
        await self._node.settle()
        for reader in self.readers:
            if reader.is_slow:
                reader.wake()
        await self._node.settle()

    def check(self) -> None:
        for shown in (self.observer.shown, *(reader.shown for reader in self.readers)):
            assert self.truth.fault(shown) == ""
            assert shown[-1] == self.truth.last
        print(f"{self.truth.count} states, seen by clients: {self.turns}")

    @property
    def turns(self) -> list[int]:
        """How many writes there were to each client."""
        return [len(reader.shown) for reader in self.readers]


@asynccontextmanager
async def ward(url: str, size: int) -> AsyncGenerator[Ward]:
    app = App()
    beds = app.collection(COLLECTION)

    @app.publish("all", public=True)
    async def everything(ctx: Context) -> object:
        return beds.find({}, {"v": 1})

    @app.publish("ward", public=True)
    async def one_ward(ctx: Context, ward: int) -> object:
        return beds.find({"ward": ward}, {"v": 1})

    async with (
        asyncio.timeout(TIMEOUT_S),
        truth_of(url, size) as truth,
        TestNode(app, store=MongoStore(url), limits=UNHURRIED) as node,
    ):
        it = Ward(truth, node)
        await it.begin()
        yield it


@pytest.fixture
def cuts(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return the sizes of answers that ended within a transaction, in events."""
    cuts: list[int] = []
    take = Assembly.take
    last: list[Any] = [None]

    def taken(self: Assembly, events: Sequence[Any], *args: Any, **options: Any) -> Assembled:
        if events and events[0]["clusterTime"] == last[0]:
            cuts.append(len(events))
        if events:
            last[0] = events[-1]["clusterTime"]
        return take(self, events, *args, **options)

    monkeypatch.setattr(Assembly, "take", taken)
    return cuts


async def transact(it: Ward, writers: Writers, count: int) -> None:
    """Make transactions while single documents are written, too."""
    left = iter(range(count))

    async def write(source: random.Random) -> None:
        if source.random() < 0.5:
            await writers.anything(source)
        elif next(left, None) is None:
            enough.set()
            await yield_once()
        else:
            await writers.transact(source)

    enough = asyncio.Event()
    reading = asyncio.create_task(it.read())
    async with writers.writing(WRITERS, write):
        await enough.wait()
    reading.cancel()
    await it.end()


@pytest.mark.parametrize("batch", [1000, SMALL_BATCH])
async def test_of_3_to_300_documents_nobody_holds_a_part(
    new_database: Callable[[], str], monkeypatch: pytest.MonkeyPatch, cuts: list[int], batch: int
) -> None:
    monkeypatch.setattr(change_stream, "BATCH", batch)
    async with ward(new_database(), 400) as it:
        await transact(it, Writers(it.truth, range(3, 301)), TRANSACTIONS)
        it.check()
        # Slow clients saw less.
        assert 1 < max(it.turns[2:]) < min(it.turns[:2])
    assert cuts or batch > SMALL_BATCH


async def test_of_one_that_is_larger_than_an_answer_may_be_nobody_holds_a_part(
    new_database: Callable[[], str], cuts: list[int]
) -> None:
    async with ward(new_database(), 40) as it:
        await transact(it, Writers(it.truth, range(20, 30), padding=1_200_000), 5)
        it.check()
    assert cuts
