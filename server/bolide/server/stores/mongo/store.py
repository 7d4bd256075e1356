"""The MongoDB store; :class:`~bolide.server.stores.base.Store` says what each method promises."""

import asyncio
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from typing import Any, Final

import pymongo
from pymongo import AsyncMongoClient
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.asynchronous.collection import AsyncCollection
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import DuplicateKeyError, OperationFailure, PyMongoError, WriteError
from pymongo.read_concern import ReadConcern
from pymongo.write_concern import WriteConcern

from bolide.core.errors import ConfigurationError, StateError
from bolide.core.values import Document
from bolide.server.clock import Clock, SystemClock
from bolide.server.limits import MAX_FEED_LAG_S
from bolide.server.stores.access import effective_selector
from bolide.server.stores.base import (
    AccessFilter,
    FeedListener,
    FirstInsertFailed,
    IndexSpec,
    Insert,
    Query,
    Receipt,
    Snapshot,
    Transaction,
    TransactionConflict,
    WriteOperation,
    WriteOutcomeUnknown,
)
from bolide.server.stores.evaluation import Aggregation, Origin
from bolide.server.stores.feed_health import FeedHealth
from bolide.server.stores.mongo.cluster_time import last_write, position_of
from bolide.server.stores.mongo.codec import CODEC_OPTIONS
from bolide.server.stores.mongo.connecting.connection import connected, startup_refusals
from bolide.server.stores.mongo.errors import UNKNOWN_COMMIT, refusals
from bolide.server.stores.mongo.feed.assembly import DROPPED, RENAMED, REPLACED
from bolide.server.stores.mongo.feed.cache import CACHE_BYTES, DocumentCache
from bolide.server.stores.mongo.feed.change_stream import QUIET_S, ChangeStream
from bolide.server.stores.mongo.feed.interruptions import Interruption, Loss
from bolide.server.stores.mongo.reading.explaining import examined
from bolide.server.stores.mongo.reading.origins import Origins
from bolide.server.stores.mongo.reading.queries import (
    aggregate_command,
    count_command,
    distinct_command,
    find_command,
    server_selector,
)
from bolide.server.stores.mongo.reading.snapshots import CappedCollection, Found, SnapshotReader
from bolide.server.stores.mongo.settling import Settling
from bolide.server.stores.mongo.transaction import MongoTransaction
from bolide.server.stores.mongo.writing import Writer

__all__ = ["WRITE_TIMEOUT_S", "MongoStore"]

WRITE_TIMEOUT_S: Final = 20.0
"""Longest time a write may take, its repetition included, seconds."""
_COMMIT_TIMEOUT_S: Final = 20.0
_COMMIT_ATTEMPT_S: Final = 5.0
_TRANSIENT_PAUSE_S: Final = 0.005
_NAMESPACE_NOT_FOUND: Final = 26
_INDEX_NOT_FOUND: Final = 27


class MongoStore:
    """A database on a replica set.

    Args:
        url: ``mongodb://`` or ``mongodb+srv://``, with the name of the database.
        clock: The time, for documents that are made here; None is the system's.
        cache_bytes: Most bytes of BSON of documents that are kept to apply changes to.
        insecure: Let another machine be used without TLS or a password.
        max_feed_lag_s: How far the feed may be behind before everything is read again, seconds.

    Attributes:
        feed_health: How the feed fares.
    """

    sorts_by_index = True

    def __init__(
        self,
        url: str,
        *,
        clock: Clock | None = None,
        cache_bytes: int = CACHE_BYTES,
        insecure: bool = False,
        max_feed_lag_s: float = MAX_FEED_LAG_S,
    ) -> None:
        """Keep what :meth:`open` needs."""
        self._url = url
        self._insecure = insecure
        self._clock = clock or SystemClock()
        self._max_feed_lag_s = max_feed_lag_s
        self.feed_health = FeedHealth(
            self._clock, QUIET_S, reopenings=Interruption, losses=Loss,
            collections_lost=(DROPPED, RENAMED, REPLACED),
        )  # fmt: skip
        self._cache = DocumentCache(cache_bytes)
        self._declared: frozenset[str] | None = None
        self._client: AsyncMongoClient[Document] | None = None
        self._opened: _Opened | None = None
        # Position of the last write of our own: it is never read before that.
        self._written = 0

    def declare(self, collections: Iterable[str]) -> None:
        """Name the collections that the feed must tell of."""
        self._declared = frozenset(collections)

    async def open(self) -> None:
        """Connect, check and start the feed.

        Raises:
            ConfigurationError: If the database cannot be used; the text says what to do.
        """
        if self._opened is not None:
            raise StateError("The store is open already.")
        client, name = await connected(self._url, self._clock, insecure=self._insecure)
        try:
            database = _database(client, name)
            reader = SnapshotReader(database)
            stream = ChangeStream(
                database, reader, self._cache, self._declared,
                self.feed_health, self._max_feed_lag_s, self._log_in_again,
            )  # fmt: skip
            with startup_refusals():
                await stream.open()
        except BaseException:
            await client.close()
            raise
        origins = Origins(database, self._declared)
        stream.feed.listen(origins)
        self._opened = _Opened(client, database, reader, stream, origins)

    async def _log_in_again(self) -> None:
        """Connect anew: the driver does not log in a second time on the connections it has."""
        opened = self._open()
        try:
            client, name = await connected(self._url, self._clock, insecure=self._insecure)
        except (PyMongoError, ConfigurationError):
            return  # it is said what the database waits for; it will be tried again
        former = opened.client
        opened.use(client, _database(client, name))
        await former.close()

    async def close(self) -> None:
        """End the feed and let go of everything."""
        opened, self._opened = self._opened, None
        if opened is not None:
            await opened.settling.close()
            await opened.stream.close()
            await opened.client.close()
        self._cache.clear()

    @property
    def blocked_because(self) -> str:
        """Why it waits for the database, in words; empty if all is well."""
        return self.feed_health.waits_because

    # Reading

    async def read(self, query: Query, *, after: Any = None) -> Snapshot:
        """Read at a position not before ``after``; own acknowledged writes are always seen."""
        with refusals(is_certain=True), self._cache.reading() as reading:
            found = await self._find(query.collection, find_command(query), self._after(after))
            if found.is_exact and query.projection is None and self._is_declared(query.collection):
                reading.add(query.collection, found.documents, found.position)
        return Snapshot(found.position, found.documents)

    async def count(self, query: Query) -> int:
        """Count what :meth:`read` would return."""
        with refusals(is_certain=True):
            found = await self._find(query.collection, count_command(query), self._after(None))
        return found.documents[0]["count"] if found.documents else 0

    async def distinct(
        self,
        collection: str,
        path: str,
        selector: Mapping[str, Any],
        *,
        access: AccessFilter | None = None,
    ) -> list[Any]:
        """Return the different values at ``path``, array elements one by one."""
        query = Query(collection=collection, selector=selector, access=access)
        command = distinct_command(collection, path, effective_selector(query))
        opened, after = self._open(), self._after(None)
        with refusals(is_certain=True):
            is_capped = opened.origins.is_capped(collection)
            try:
                return await opened.reader.values(command, after=after, is_capped=is_capped)
            except CappedCollection:
                await self._learn(collection)
                return await opened.reader.values(command, after=after, is_capped=True)

    async def origin(self, collection: str) -> Origin:
        """Say where the documents of a collection come from; known ones cost no question."""
        with refusals(is_certain=True):
            return await self._open().origins.find(collection)

    async def evaluate(self, query: Query, *, after: Any = None) -> Snapshot:
        """Let the database evaluate a query or an aggregation."""
        with refusals(is_certain=True):
            if after is None:
                after = await self._newest_position()
            if isinstance(query, Aggregation):
                command = aggregate_command(query)
            else:
                command = find_command(query)
            try:
                found = await self._find(query.collection, command, self._after(after))
            except OperationFailure as error:
                if error.code != _INDEX_NOT_FOUND or await self._exists(query.collection):
                    raise
                # What is not there has no index for $text either; and no documents.
                return Snapshot(self._after(after), [])
        return Snapshot(found.position, found.documents)

    async def _find(self, collection: str, command: Mapping[str, Any], after: int) -> Found:
        opened = self._open()
        is_capped = opened.origins.is_capped(collection)
        try:
            return await opened.reader.read(command, after=after, is_capped=is_capped)
        except CappedCollection:
            await self._learn(collection)
            return await opened.reader.read(command, after=after, is_capped=True)

    async def _learn(self, collection: str) -> None:
        """Find out anew what a collection is."""
        origins = self._open().origins
        origins.forget(collection)
        await origins.find(collection)

    async def _exists(self, collection: str) -> bool:
        return bool(await self._open().database.list_collection_names(filter={"name": collection}))

    async def _newest_position(self) -> int:
        """Return a position that is not before any write that the primary has taken.

        Also of those that only it has: what is read from there on is read when a majority has them.
        """
        reply = await self._open().client.admin.command("hello")
        return max(last_write(reply, "opTime"), self.feed_position)

    async def examined(self, query: Query) -> int | None:
        """Count the documents that the server looks at to answer a query."""
        with refusals(is_certain=True):
            return await examined(self._open().database, query)

    # Writing

    async def write(self, operation: WriteOperation, *, first: Insert | None = None) -> Receipt:
        """Apply one operation, atomically for each document as MongoDB does."""
        opened = self._open()
        if first is not None:
            if len(first.documents) != 1:
                raise ValueError("first must insert one document.")
            return await self._write_after(first, operation)
        async with self._session(opened) as session:
            try:
                with refusals(WriteError), pymongo.timeout(WRITE_TIMEOUT_S):
                    receipt = await self._writer(opened, session).write(operation)
            except WriteOutcomeUnknown as unknown:
                unknown.collections = frozenset({operation.collection})
                raise
            return self._with_position(receipt, session)

    async def _write_after(self, first: Insert, operation: WriteOperation) -> Receipt:
        """Write two operations in one transaction; begin anew when others are in the way."""
        loop = asyncio.get_running_loop()
        deadline, pause = loop.time() + WRITE_TIMEOUT_S, _TRANSIENT_PAUSE_S
        while True:
            try:
                async with self.transaction() as transaction:
                    try:
                        await transaction.write(first)
                    except DuplicateKeyError as error:
                        raise FirstInsertFailed(error) from error
                    receipt = await transaction.write(operation)
                whole = transaction.receipt
                assert whole is not None
                position = whole.position if receipt.collections else None
                return replace(receipt, position=position)
            except TransactionConflict:
                if loop.time() + pause >= deadline:
                    raise
            await asyncio.sleep(pause)
            pause *= 2

    @asynccontextmanager
    async def transaction(self) -> AsyncGenerator[Transaction]:
        """Group reads and writes; commits on leaving the block."""
        opened = self._open()
        async with self._session(opened) as session:
            await session.start_transaction(
                read_concern=ReadConcern("snapshot"), write_concern=WriteConcern("majority")
            )
            transaction = MongoTransaction(self._writer(opened, session))
            try:
                yield transaction
                transaction.check()
            except BaseException:
                transaction.end(None)
                with suppress(PyMongoError), pymongo.timeout(_COMMIT_TIMEOUT_S):
                    await session.abort_transaction()
                raise
            collections = frozenset(transaction.collections)
            try:
                with refusals():
                    await self._commit(session)
            except BaseException as error:
                transaction.end(None)
                if isinstance(error, WriteOutcomeUnknown):
                    error.collections = collections
                raise
            receipt = Receipt(collections=collections)
            transaction.end(self._with_position(receipt, session))

    # Indexes and collections

    async def create_index(self, collection: str, index: IndexSpec) -> str:
        """Make sure an index exists; returns its name."""
        options: dict[str, Any] = {"name": index.name} if index.name else {}
        if index.unique:
            options["unique"] = True
        if index.sparse:
            options["sparse"] = True
        if index.expire_after_s is not None:
            options["expireAfterSeconds"] = index.expire_after_s
        if index.partial is not None:
            options["partialFilterExpression"] = server_selector(index.partial)
        if index.keys == (("_id", 1),):
            return "_id_"
        with refusals(is_certain=True):
            return await self._open().database[collection].create_index(list(index.keys), **options)

    async def expire_after(self, collection: str, path: str, seconds: int) -> None:
        """Let documents go some time after the date at ``path``."""
        with refusals(is_certain=True):
            await self._open().database[collection].create_index(path, expireAfterSeconds=seconds)

    async def drop_index(self, collection: str, name: str) -> None:
        """Remove an index."""
        with refusals(is_certain=True):
            await self._open().database[collection].drop_index(name)

    async def indexes(self, collection: str) -> Sequence[IndexSpec]:
        """List the indexes of a collection, without the one on ``_id`` and those of other kinds."""
        found: list[IndexSpec] = []
        try:
            with refusals(is_certain=True):
                cursor = await self._open().database[collection].list_indexes()
                found = [_index_spec(index) async for index in cursor if _is_told(index)]
        except OperationFailure as error:
            if error.code != _NAMESPACE_NOT_FOUND:
                raise
        return tuple(found)

    async def drop_collection(self, collection: str) -> None:
        """Remove all documents and indexes; the feed tells ``COLLECTION_LOST``."""
        opened = self._open()
        async with self._session(opened) as session:
            with refusals():
                await opened.database.drop_collection(collection, session=session)
            self._with_position(Receipt(collections=frozenset({collection})), session)

    def raw_collection(self, name: str) -> AsyncCollection[Document]:
        """Return the driver's own collection: what is done with it is not fenced."""
        return self._open().database[name]

    # The feed

    @property
    def feed_position(self) -> int:
        """How far the feed has been delivered to listeners."""
        position: Any = self._open().stream.feed.position
        return int(position)

    async def latest_position(self) -> int:
        """Return a position that is not before any commit acknowledged until now, by anybody."""
        with refusals(is_certain=True):
            reply = await self._open().client.admin.command("hello")
        return max(last_write(reply, "majorityOpTime"), self._written)

    def listen(self, listener: FeedListener) -> None:
        """Tell ``listener`` of every change after :attr:`feed_position`."""
        self._open().stream.feed.listen(listener)

    def unlisten(self, listener: FeedListener) -> None:
        """Tell it nothing more."""
        if self._opened is not None:
            self._opened.stream.feed.unlisten(listener)

    async def feed_reached(self, position: Any) -> None:
        """Wait until the feed has delivered everything up to ``position``."""
        await self._open().stream.reached(position)

    # Inside

    def _open(self) -> "_Opened":
        if self._opened is None:
            raise StateError("The store is not open.")
        return self._opened

    def _is_declared(self, collection: str) -> bool:
        return self._declared is None or collection in self._declared

    def _after(self, position: int | None) -> int:
        return max(position or 0, self._written, self._open().stream.told)

    def _writer(self, opened: "_Opened", session: AsyncClientSession) -> Writer:
        return Writer(opened.database, session, self._clock.wall_ms())

    def _with_position(self, receipt: Receipt, session: AsyncClientSession) -> Receipt:
        """Return a receipt with the time of the last operation, if it changed something."""
        if not receipt.collections or session.operation_time is None:
            return receipt
        position = position_of(session.operation_time)
        self._written = max(self._written, position)
        return replace(receipt, position=position)

    async def _commit(self, session: AsyncClientSession) -> None:
        """Commit, as often as it takes to learn whether it was done, or until time is over."""
        loop = asyncio.get_running_loop()
        deadline, pause = loop.time() + _COMMIT_TIMEOUT_S, _TRANSIENT_PAUSE_S
        while True:
            try:
                with pymongo.timeout(min(_COMMIT_ATTEMPT_S, deadline - loop.time())):
                    await session.commit_transaction()
                return
            except PyMongoError as error:
                if not error.has_error_label(UNKNOWN_COMMIT) or loop.time() + pause >= deadline:
                    raise
            await asyncio.sleep(pause)
            pause = min(2 * pause, 1.0)

    @asynccontextmanager
    async def _session(self, opened: "_Opened") -> AsyncGenerator[AsyncClientSession]:
        session = opened.client.start_session(causal_consistency=False)
        try:
            yield session
        except WriteOutcomeUnknown as unknown:
            if unknown.position is None:  # it is of this session
                unknown.position = opened.settling.settle(session)
            else:
                await session.end_session()
            raise
        except BaseException:
            await session.end_session()
            raise
        else:
            await session.end_session()


class _Opened:
    """What there is while the store is open."""

    def __init__(
        self,
        client: AsyncMongoClient[Document],
        database: AsyncDatabase[Document],
        reader: SnapshotReader,
        stream: ChangeStream,
        origins: Origins,
    ) -> None:
        self.client = client
        self.database = database
        self.reader = reader
        self.stream = stream
        self.origins = origins
        self.settling = Settling(lambda: self.database)

    def use(self, client: AsyncMongoClient[Document], database: AsyncDatabase[Document]) -> None:
        """Reach the database by another client from now on."""
        self.client = client
        self.database = database
        self.reader.database = database
        self.stream.database = database
        self.origins.database = database


def _database(client: AsyncMongoClient[Document], name: str) -> AsyncDatabase[Document]:
    return client.get_database(
        name,
        codec_options=CODEC_OPTIONS,
        write_concern=WriteConcern("majority"),
        read_concern=ReadConcern("majority"),
    )


def _index_spec(index: Mapping[str, Any]) -> IndexSpec:
    return IndexSpec(
        keys=tuple((path, int(direction)) for path, direction in index["key"].items()),
        name=index["name"],
        unique=bool(index.get("unique")),
        sparse=bool(index.get("sparse")),
        expire_after_s=index.get("expireAfterSeconds"),
        partial=index.get("partialFilterExpression"),
    )


def _is_told(index: Mapping[str, Any]) -> bool:
    """Tell whether it is an index of the port's kind: not of text or places, nor hashed."""
    is_plain = all(isinstance(kind, (int, float)) for kind in index["key"].values())
    return is_plain and index["name"] != "_id_"
