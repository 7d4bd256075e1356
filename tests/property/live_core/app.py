"""The app of the machine: one publication for each shape of query, one method for each write."""

import asyncio
import itertools
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from pymongo.errors import DuplicateKeyError, WriteError
from tests.property.live_core.faults import written
from tests.property.live_core.model import (
    BEDS,
    COUNTED,
    JOINS,
    MANUAL,
    NOTES,
    PLAIN,
    PUBLICATIONS,
    SIDES,
    THINGS,
    USERS,
    WARDS,
    Join,
    Work,
    queries_of,
    work_of,
)

from bolide.core.errors import AuthError
from bolide.core.values import UNDEFINED
from bolide.server import AccessRequest, App, Context
from bolide.server.collections.collection import Collection
from bolide.server.collections.cursor import Cursor
from bolide.server.sessions.view.strategy import PublicationStrategy
from bolide.server.stores.base import (
    Delete,
    FindAndModify,
    Insert,
    Query,
    Store,
    TransactionConflict,
    Update,
    WriteOperation,
)

__all__ = ["Aborted", "Desk", "Grants", "LiveApp", "Run", "write_directly"]


_QUERY_PLAN_KILLED = 175  # MongoDB's number


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


class Grants:
    """Who may see which ward, the same on all nodes."""

    def __init__(self) -> None:
        self._granted: set[tuple[str | None, str | None]] = {
            (USERS[0], WARDS[0]),
            (USERS[1], WARDS[1]),
            (None, WARDS[0]),
        }

    def authorize(self, request: AccessRequest, /) -> bool:
        return (request.user_id, request.access_scope) in self._granted

    def toggle(self, user: str | None, ward: str) -> None:
        self._granted ^= {(user, ward)}

    def wards_of(self, user: str | None) -> list[str]:
        return [ward for ward in WARDS if (user, ward) in self._granted]


@dataclass(frozen=True, slots=True)
class Run:
    """One run of ``write`` that came to its end.

    Attributes:
        mark: What it returned; no two runs return the same.
        has_changed: It changed something.
        position: Of its last change of things, 0 for none.
    """

    mark: int
    has_changed: bool
    position: int


class LiveApp:
    """An app and what its handlers note down.

    Args:
        grants: Who may see what.
        marks: What tells runs apart, shared by all nodes.

    Attributes:
        app: To be served by one node.
        desk: What ``manual`` publishes.
        calls: Number of a call -> its runs in this node.
        runs: Name of a publication -> how often it ran.
    """

    def __init__(self, grants: Grants | None = None, marks: Iterator[int] | None = None) -> None:
        self.app = App()
        self.desk = Desk()
        self.calls: dict[int, list[Run]] = {}
        self.runs: Counter[str] = Counter()
        self._marks = marks or itertools.count(1)
        self.app.authorize = (grants or Grants()).authorize
        self._collections = {
            THINGS: self.app.collection(THINGS),
            SIDES: self.app.collection(SIDES, strategy=PublicationStrategy.NO_MERGE_MULTI),
            PLAIN: self.app.collection(PLAIN, strategy=PublicationStrategy.NO_MERGE),
            NOTES: self.app.collection(NOTES),
            BEDS: self.app.collection(BEDS, access="ward"),
        }
        for name in PUBLICATIONS:
            self._publish(name)
        for name, join in JOINS.items():
            self._publish_join(name, join)
        for name, query in COUNTED.items():
            self._publish_count(name, query)
        self.app.publish(BEDS, public=True)(self._publish_beds)
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

    def _publish_join(self, name: str, join: Join) -> None:
        @self.app.publish(name, public=True)
        async def publish(ctx: Context) -> object:
            return self._cursor(join.parents, lambda parent: self._cursor(join.children(parent)))

    def _publish_count(self, name: str, query: Query) -> None:
        @self.app.publish(name, public=True)
        async def publish(ctx: Context) -> object:
            return self.app.live_count(name, self._cursor(query))

    async def _publish_beds(self, ctx: Context) -> object:
        opened = 0
        for ward in WARDS:
            with suppress(AuthError):
                ctx.require("read", ward)
                opened += 1
        if not opened:
            raise AuthError
        return self._collections[BEDS].find({})

    def _cursor(self, query: Query, *children: Callable[[Mapping[str, Any]], Cursor]) -> Cursor:
        return self._collections[query.collection].find(
            query.selector,
            query.projection,
            sort=query.sort,
            skip=query.skip,
            limit=query.limit,
            children=list(children) or None,
        )

    async def _write(self, ctx: Context, number: int, kind: str, *args: str | int) -> int:
        positions: dict[str, int] = {}
        token = written.set(positions)
        mark = next(self._marks)
        try:
            await self._perform(work_of(kind, *args))
        except (DuplicateKeyError, TransactionConflict, Aborted):
            pass
        except WriteError as error:
            _check_dropped(error)
        finally:
            written.reset(token)
            run = Run(mark, bool(positions), positions.get(THINGS, 0))
            self.calls.setdefault(number, []).append(run)
        return mark

    async def _login(self, ctx: Context, number: int, user: str | None) -> None:
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
    except (DuplicateKeyError, TransactionConflict, Aborted):
        pass
    except WriteError as error:
        _check_dropped(error)


def _check_dropped(error: WriteError) -> None:
    """Pass over what MongoDB refuses because somebody drops the collection at this moment."""
    if error.code != _QUERY_PLAN_KILLED:
        raise error
