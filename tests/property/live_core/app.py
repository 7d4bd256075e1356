"""The app of the machine: one publication for each shape of query, one method for each write."""

import asyncio
from collections import Counter
from collections.abc import Mapping

from pymongo.errors import DuplicateKeyError
from tests.property.live_core.faults import written
from tests.property.live_core.model import (
    MANUAL,
    PLAIN,
    PUBLICATIONS,
    SIDES,
    THINGS,
    Work,
    queries_of,
    work_of,
)

from bolide.core.values import UNDEFINED
from bolide.server import App, Context
from bolide.server.collection import Collection
from bolide.server.cursor import Cursor
from bolide.server.sessions.strategy import PublicationStrategy
from bolide.server.stores.base import (
    Delete,
    FindAndModify,
    Insert,
    Query,
    Store,
    Update,
    WriteOperation,
)

__all__ = ["Aborted", "Desk", "LiveApp", "write_directly"]


class Aborted(Exception):
    """A transaction is given up."""


class Desk:
    """Documents that no store holds: what ``manual`` publishes, by hand.

    Attributes:
        documents: ``_id`` -> its field ``mark``; 0 is a document without it.
    """

    def __init__(self) -> None:
        self.documents: dict[str, int] = {}
        self._readers: list[Context] = []

    def join(self, ctx: Context) -> None:
        for id, mark in self.documents.items():
            ctx.added(THINGS, id, {"mark": mark} if mark else {})
        ctx.ready()
        self._readers.append(ctx)
        ctx.on_stop(lambda: self._readers.remove(ctx))

    def lay(self, id: str, mark: int) -> None:
        """Put a document on the desk, or change it."""
        for ctx in self._readers:
            if id not in self.documents:
                ctx.added(THINGS, id, {"mark": mark} if mark else {})
            else:
                ctx.changed(THINGS, id, {"mark": mark or UNDEFINED})
        self.documents[id] = mark

    def take(self, id: str) -> None:
        """Take a document off the desk."""
        if id in self.documents:
            del self.documents[id]
            for ctx in self._readers:
                ctx.removed(THINGS, id)


class LiveApp:
    """An app and what its handlers note down.

    Attributes:
        app: To be served by one node.
        desk: What ``manual`` publishes.
        effects: Number of a call -> position of its last change of things, 0 for none.
        runs: Name of a publication -> how often it ran.
    """

    def __init__(self) -> None:
        self.app = App()
        self.desk = Desk()
        self.effects: dict[int, int] = {}
        self.runs: Counter[str] = Counter()
        self._collections = {
            THINGS: self.app.collection(THINGS),
            SIDES: self.app.collection(SIDES, strategy=PublicationStrategy.NO_MERGE_MULTI),
            PLAIN: self.app.collection(PLAIN, strategy=PublicationStrategy.NO_MERGE),
        }
        for name in PUBLICATIONS:
            self._publish(name)
        self.app.method("write", public=True)(self._write)
        self.app.method("login", public=True)(self._login)

    def _publish(self, name: str) -> None:
        @self.app.publish(name, public=True)
        async def publish(ctx: Context) -> object:
            self.runs[name] += 1
            if name == MANUAL:
                self.desk.join(ctx)
                return None
            return [self._cursor(query) for query in queries_of(name, ctx.user_id)]

    def _cursor(self, query: Query) -> Cursor:
        return self._collections[query.collection].find(
            query.selector, query.projection, sort=query.sort, skip=query.skip, limit=query.limit
        )

    async def _write(self, ctx: Context, number: int, kind: str, *args: str | int) -> None:
        positions: dict[str, int] = {}
        token = written.set(positions)
        try:
            await self._perform(work_of(kind, *args))
        except (DuplicateKeyError, Aborted):
            pass
        finally:
            written.reset(token)
            self.effects[number] = positions.get(THINGS, 0)

    async def _login(self, ctx: Context, number: int, user: str | None) -> None:
        self.effects[number] = 0
        await ctx.set_user_id(user)

    async def _perform(self, work: Work) -> None:
        if not work.is_transaction:
            for operation in work.operations:
                await perform(self._collections, operation)
            return
        async with self.app.transaction():
            for operation in work.operations:
                await asyncio.sleep(0)
                await perform(self._collections, operation)
            if work.aborts:
                raise Aborted


async def perform(collections: Mapping[str, Collection], operation: WriteOperation) -> None:
    """Do through an app's collection what an operation of the store port says."""
    collection = collections[operation.collection]
    match operation:
        case Insert(documents=documents):
            [document] = documents
            await collection.insert_one(dict(document))
        case Update(selector=selector, modifier=modifier, many=True):
            await collection.update_many(selector, modifier)
        case Update(selector=selector, modifier=modifier, upsert=upsert):
            if any(name.startswith("$") for name in modifier):
                await collection.update_one(selector, modifier, upsert)
            else:
                await collection.replace_one(selector, modifier, upsert)
        case Delete(selector=selector, many=True):
            await collection.delete_many(selector)
        case Delete(selector=selector):
            await collection.delete_one(selector)
        case FindAndModify(selector=selector, modifier=None, sort=sort):
            await collection.find_one_and_delete(selector, sort=sort)
        case FindAndModify(selector=selector, modifier=modifier, sort=sort):
            assert modifier is not None
            await collection.find_one_and_update(selector, modifier, sort=sort)


async def write_directly(store: Store, work: Work) -> None:
    """Write as a process without an app does."""
    try:
        if work.drops is not None:
            await store.drop_collection(work.drops)
        elif work.is_transaction:
            async with store.transaction() as transaction:
                for operation in work.operations:
                    await transaction.write(operation)
                if work.aborts:
                    raise Aborted
        else:
            for operation in work.operations:
                await store.write(operation)
    except (DuplicateKeyError, Aborted):
        pass
