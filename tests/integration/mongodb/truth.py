"""All states that a collection had, told by the driver's own stream, and who must show one of them.

A document's ``v`` grows with each write and is never used again, so a state is known by a number
that is made of all ids and versions, and a view that lacks a change, or holds a part of a
transaction, is no state.
"""

import asyncio
import itertools
import random
from bisect import bisect_left
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

# Documents and events.
from typing import Any, Final, TypeAlias

from pymongo import AsyncMongoClient, UpdateOne
from pymongo.errors import BulkWriteError, OperationFailure
from tests.mongo_roles import administrator_url

from bolide.core.ddp.messages import Added, Changed, Removed
from bolide.server.sessions.view.source import FollowedView
from bolide.server.sessions.view.view_change import ViewChange

__all__ = ["COLLECTION", "WARDS", "Observer", "Truth", "View", "Writers", "take", "truth_of"]

COLLECTION: Final = "beds"
WARDS: Final = 4
"""A document is always in the same."""
_MASK: Final = (1 << 64) - 1

Write: TypeAlias = Callable[[random.Random], Awaitable[None]]


class View:
    """What somebody shows: ``_id`` -> ``v``, and a number for all of it."""

    def __init__(self) -> None:
        self.versions: dict[str, int] = {}
        self.number = 0

    def put(self, id: str, version: int) -> None:
        self.remove(id)
        self.versions[id] = version
        self.number = self.number + hash((id, version)) & _MASK

    def remove(self, id: str) -> None:
        version = self.versions.pop(id, None)
        if version is not None:
            self.number = self.number - hash((id, version)) & _MASK


class Truth:
    """The states, in their order.

    Attributes:
        url: Of the database.
        client: Connected to it, with all rights.
        size: How many ids there are.
        collection: Where writers write.
        count: How many states there were.
    """

    def __init__(self, url: str, client: AsyncMongoClient[dict[str, Any]], size: int) -> None:
        self.url = url
        self.client = client
        self.size = size
        self._database = client.get_default_database()
        self.collection = self._database[COLLECTION]
        self._view = View()
        self.count = 0
        self._places: dict[int, list[int]] = {}
        self._time: object = None
        self._ended = asyncio.Event()

    async def follow(self, stream: Any) -> None:
        async for event in stream:
            if event["clusterTime"] != self._time:
                # All of a transaction has one time.
                self._note()
                self._time = event["clusterTime"]
            if event["ns"]["coll"] != COLLECTION:
                self._ended.set()
                continue
            id = event["documentKey"]["_id"]
            if event["operationType"] == "delete":
                self._view.remove(id)
            elif event["operationType"] == "update":
                self._view.put(id, event["updateDescription"]["updatedFields"]["v"])
            else:
                self._view.put(id, event["fullDocument"]["v"])

    async def complete(self) -> None:
        """Wait until everything that was written is known."""
        await self._database["end"].insert_one({})
        await self._ended.wait()

    @property
    def last(self) -> int:
        """The number of the last state."""
        return self._view.number

    def fault(self, shown: Sequence[int]) -> str:
        """Say which of some views was no state, or before the one before it; empty if none."""
        place = 0
        for turn, number in enumerate(shown):
            places = self._places.get(number, ())
            # A document that came and went leaves the state before.
            found = bisect_left(places, place)
            if found == len(places):
                what = "went back" if places else "is no state"
                return f"view {turn} of {len(shown)} {what}"
            place = places[found]
        return ""

    def _note(self) -> None:
        self._places.setdefault(self._view.number, []).append(self.count)
        self.count += 1


@asynccontextmanager
async def truth_of(url: str, size: int = 40) -> AsyncGenerator[Truth]:
    """Fill an empty database with documents, and follow it."""
    client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(administrator_url(url))
    truth = Truth(url, client, size)
    async with await truth.collection.database.watch() as stream:
        following = asyncio.create_task(truth.follow(stream))
        try:
            documents = [{"_id": f"d{i}", "v": i, "ward": i % WARDS} for i in range(size)]
            await truth.collection.insert_many(documents)
            yield truth
        finally:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)
    await client.close()


class Observer:
    """Follows a live query and notes which state it showed after each turn.

    Attributes:
        shown: Numbers of states, in order.
    """

    def __init__(self) -> None:
        self.shown: list[int] = []
        self._view = View()
        self._news = asyncio.Event()

    def view_joined(self, view: FollowedView) -> None:
        assert not self.shown
        for change in view.initial():
            self._take(change)
        self._note()

    def view_changed(self, changes: Sequence[ViewChange]) -> None:
        for change in changes:
            self._take(change)
        self._note()

    def view_failed(self, error: Exception) -> None:
        raise error

    async def turns(self, count: int) -> None:
        """Wait until it showed so many states."""
        while len(self.shown) < count:
            self._news.clear()
            await self._news.wait()

    def _take(self, change: ViewChange) -> None:
        take(self._view, change.message)

    def _note(self) -> None:
        self.shown.append(self._view.number)
        self._news.set()


def take(view: View, message: Added | Changed | Removed) -> None:
    """Apply what a client is told; it must fit what it holds."""
    id = message.id
    match message:
        case Added(fields=fields):
            assert id not in view.versions, "a document was added twice"
            view.put(id, fields["v"])
        case Changed(fields=changed):
            assert id in view.versions, "a document was changed that was not there"
            view.put(id, changed["v"])
        case Removed():
            assert id in view.versions, "a document was removed that was not there"
            view.remove(id)


class Writers:
    """Writers that never stop: single documents, inserts and deletes, transactions.

    Args:
        truth: Where.
        sizes: How many documents a transaction may have.
        padding: Bytes that it adds to each.
    """

    def __init__(
        self, truth: Truth, sizes: Sequence[int] = range(3, 6), *, padding: int = 0
    ) -> None:
        self._truth = truth
        self._sizes = sizes
        self._padding = {"text": "x" * padding} if padding else {}
        self._versions = itertools.count(1_000)
        self._stopping = asyncio.Event()

    @asynccontextmanager
    async def writing(self, count: int, write: Write) -> AsyncGenerator[None]:
        """Let so many write; what fails ends the block, too."""
        async with asyncio.TaskGroup() as group:
            for number in range(count):
                group.create_task(self._repeat(write, random.Random(number)))
            try:
                yield
            finally:
                self._stopping.set()

    async def anything(self, source: random.Random) -> None:
        """Write one thing."""
        kinds = (self._update, self._update, self._upsert, self._delete, self.transact)
        await source.choice(kinds)(source)

    async def transact(self, source: random.Random) -> None:
        """Change several documents at once; the versions tell what a state was."""
        ids = source.sample(range(self._truth.size), source.choice(self._sizes))
        changes = [
            UpdateOne({"_id": f"d{id}"}, {"$set": {**self._next(id), **self._padding}}, upsert=True)
            for id in ids
        ]
        async with self._truth.client.start_session() as session:
            try:
                async with await session.start_transaction():
                    await self._truth.collection.bulk_write(changes, session=session)
            except (OperationFailure, BulkWriteError) as error:
                # Another transaction was faster.
                if not error.has_error_label("TransientTransactionError"):
                    raise

    async def _repeat(self, write: Write, source: random.Random) -> None:
        while not self._stopping.is_set():
            await write(source)

    async def _update(self, source: random.Random) -> None:
        id = self._any(source)
        await self._truth.collection.update_one({"_id": f"d{id}"}, {"$set": self._next(id)})

    async def _upsert(self, source: random.Random) -> None:
        id = self._any(source)
        await self._truth.collection.update_one(
            {"_id": f"d{id}"}, {"$set": self._next(id)}, upsert=True
        )

    async def _delete(self, source: random.Random) -> None:
        await self._truth.collection.delete_one({"_id": f"d{self._any(source)}"})

    def _any(self, source: random.Random) -> int:
        return source.randrange(self._truth.size)

    def _next(self, id: int) -> dict[str, Any]:
        return {"v": next(self._versions), "ward": id % WARDS}
