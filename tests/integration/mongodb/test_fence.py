"""``updated`` of a method never comes before its data, and does not keep anybody waiting.

``BOLIDE_TESTS_FENCES`` is the number of calls (400).
"""

import asyncio
import os
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from statistics import quantiles
from time import perf_counter
from typing import Any

import pytest
from pymongo import AsyncMongoClient
from tests.mongo_roles import administrator_url

from bolide.core.ddp.codec import parse_server_message, serialize
from bolide.core.ddp.messages import (
    Added,
    Changed,
    ClientMessage,
    Connect,
    Method,
    Ping,
    Pong,
    Ready,
    Sub,
    Updated,
)
from bolide.server import App, Context
from bolide.server.stores.base import ChangeBatch, Position
from bolide.server.stores.mongo import MongoStore
from bolide.server.stores.mongo.feed.change_stream import ChangeStream
from bolide.server.stores.own_collections import FENCES
from bolide.server.testing import TestNode

CALLS = int(os.environ.get("BOLIDE_TESTS_FENCES", "400"))
CALLERS = 8
TIMEOUT_S = 7200


class Feed:
    """What the feed told, and when.

    Attributes:
        batches: How many batches there were.
        told: Document and value -> number and time of the batch that it came in.
    """

    def __init__(self) -> None:
        self.batches = 0
        self.told: dict[tuple[str, int], tuple[int, float]] = {}

    def changes_received(self, batch: ChangeBatch) -> None:
        self.batches += 1
        for change in batch.changes:
            if change.collection == "beds" and change.after is not None:
                place = (self.batches, perf_counter())
                self.told.setdefault((change.id, change.after["n"]), place)

    def history_lost(self, position: Position) -> None:
        raise AssertionError("history lost")


class Caller:
    """A client that sees its own document, or all, and calls one method after the other.

    Attributes:
        batches: Of each call: batches of the feed from the one with its event to ``updated``.
        waits_ms: Of each call: the same, milliseconds.
        is_early: It was told ``updated`` before the data.
    """

    def __init__(self, node: TestNode, feed: Feed, id: str, *, sees_all: bool) -> None:
        self.batches: list[int] = []
        self.waits_ms: list[float] = []
        self.values: dict[Any, int] = {}
        self._id = id
        self._feed = feed
        self._number = 0
        self._changes = False
        self.is_early = False
        self._news = asyncio.Event()
        self._socket = node.open_socket()
        self._socket.on_frames = self._take
        self._send(Connect("1", ("1",)))
        self._send(Sub("all", "all") if sees_all else Sub("own", "own", (id,)))

    async def ready(self) -> None:
        await self._news.wait()
        self._news.clear()

    async def call(self, name: str = "set") -> None:
        """Write the next number, and wait until that is over."""
        self._number += 1
        self._changes = name == "set"
        self._send(Method(str(self._number), name, (self._id, self._number)))
        await self._news.wait()
        self._news.clear()
        assert not self.is_early, "updated before its data"

    def _send(self, message: ClientMessage) -> None:
        self._socket.send_frame(serialize(message))

    def _take(self, frames: Sequence[str]) -> None:
        self._socket.frames.clear()
        for frame in frames:
            match parse_server_message(frame):
                case Added(id=id, fields=fields) | Changed(id=id, fields=fields):
                    self.values[id] = fields["n"]
                case Updated():
                    self._updated()
                    self._news.set()
                case Ready():
                    self._news.set()
                case Ping(id=id):
                    asyncio.get_running_loop().call_soon(self._send, Pong(id))
                case _:
                    pass

    def _updated(self) -> None:
        self.is_early |= self._changes and self.values.get(self._id) != self._number
        batch, told_at = self._feed.told.pop((self._id, self._number), (None, 0))
        if batch is not None:
            self.batches.append(self._feed.batches - batch)
            self.waits_ms.append(1000 * (perf_counter() - told_at))


@asynccontextmanager
async def ward(url: str) -> AsyncGenerator[tuple[TestNode, Feed]]:
    app = App()
    beds = app.collection("beds")

    @app.publish("all", public=True)
    async def everything(ctx: Context) -> object:
        return beds.find({})

    @app.publish("own", public=True)
    async def own(ctx: Context, id: str) -> object:
        return beds.find({"_id": id})

    @app.method("set", public=True)
    async def set_number(ctx: Context, id: str, number: int) -> None:
        await beds.update_one({"_id": id}, {"$set": {"n": number}}, upsert=True)

    @app.method("touch", public=True)
    async def touch(ctx: Context, id: str, number: int) -> None:
        await beds.update_one({"_id": id}, {"$set": {"same": 1}})
        await beds.update_many({"n": -1}, {"$set": {"n": 0}})
        await beds.delete_one({"_id": "nobody"})

    async with asyncio.timeout(TIMEOUT_S), TestNode(app, store=MongoStore(url)) as node:
        feed = Feed()
        node.store.listen(feed)
        yield node, feed


async def test_updated_never_comes_before_its_data(new_database: Callable[[], str]) -> None:
    url = new_database()
    async with (
        AsyncMongoClient[dict[str, Any]](administrator_url(url)) as client,
        ward(url) as (node, feed),
    ):
        callers = [Caller(node, feed, f"d{i}", sees_all=i % 4 == 0) for i in range(CALLERS)]
        await asyncio.gather(*(caller.ready() for caller in callers))
        left = iter(range(CALLS))

        async def call(caller: Caller) -> None:
            for _ in left:
                await caller.call()

        async def write_beside() -> None:
            beds = client.get_default_database()["beds"]
            for number in range(1, 10**9):
                await beds.update_one({"_id": "other"}, {"$set": {"n": number}}, upsert=True)

        beside = asyncio.create_task(write_beside())
        await asyncio.gather(*map(call, callers))
        beside.cancel()
        with suppress(asyncio.CancelledError):
            await beside
        fences = await client.get_default_database()[FENCES].find_one() or {}
    batches = sorted(number for caller in callers for number in caller.batches)
    waits = quantiles((wait for caller in callers for wait in caller.waits_ms), n=1000)
    assert len(batches) == CALLS
    print(
        f"{CALLS} calls; from the event to updated: {batches[CALLS // 2]} batches (p50),"
        f" {batches[CALLS * 99 // 100]} (p99); {waits[499]:.2f} ms (p50), {waits[989]:.2f} (p99),"
        f" {waits[-1]:.2f} (p99.9); {fences.get('n', 0)} fence documents"
    )
    assert batches[CALLS // 2] <= 1


async def test_a_write_that_changes_nothing_does_not_wait(
    new_database: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    gate, fenced = asyncio.Event(), asyncio.Event()
    gate.set()
    tell = ChangeStream._tell  # pyright: ignore[reportPrivateUsage]

    async def tell_later(stream: ChangeStream, *args: Any) -> None:
        await gate.wait()
        await tell(stream, *args)

    async def fence(stream: ChangeStream, position: int) -> None:
        fenced.set()

    async with ward(new_database()) as (node, feed):
        caller = Caller(node, feed, "d", sees_all=True)
        await caller.ready()
        await caller.call("set")
        await caller.call("touch")
        # From here on nothing comes by the feed: who waits for it waits for ever.
        monkeypatch.setattr(ChangeStream, "_tell", tell_later)
        monkeypatch.setattr(ChangeStream, "_fence", fence)
        gate.clear()
        await caller.call("touch")
        assert not fenced.is_set()
        waiting = asyncio.create_task(caller.call("set"))
        await fenced.wait()
        assert not waiting.done()
        gate.set()
        await waiting
