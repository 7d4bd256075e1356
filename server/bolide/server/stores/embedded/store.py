"""What the embedded stores share: everything except where a commit goes."""

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from typing import Any, Final, TypeVar

import structlog

from bolide.core.errors import StateError
from bolide.core.values import Document
from bolide.server.clock import Clock, SystemClock
from bolide.server.logging.explained import NeedsMongoDB
from bolide.server.stores.access import effective_selector
from bolide.server.stores.base import (
    AccessFilter,
    FeedListener,
    IndexSpec,
    Insert,
    Position,
    Query,
    Receipt,
    Snapshot,
    Transaction,
    WriteOperation,
)
from bolide.server.stores.embedded.database import Database
from bolide.server.stores.embedded.first_insert import compile_first
from bolide.server.stores.embedded.operations import compile_operation
from bolide.server.stores.embedded.queries import (
    Explanation,
    compile_count,
    compile_distinct,
    compile_examined,
    compile_explain,
    compile_query,
)
from bolide.server.stores.embedded.unique import index_name
from bolide.server.stores.embedded.workspace import Workspace
from bolide.server.stores.feed import Feed

__all__ = ["WARN_AGAIN_BELOW", "WARN_AT", "EmbeddedStore", "EmbeddedTransaction"]

WARN_AT: Final = 0.8
"""Share of ``store_max_bytes`` at which the log warns."""
WARN_AGAIN_BELOW: Final = 0.75
"""Share below which the warning is given again the next time."""

_Result = TypeVar("_Result")


class EmbeddedTransaction:
    """A transaction of an embedded store.

    Attributes:
        receipt: The position and collections of the whole, once committed.
    """

    def __init__(
        self, run: Callable[[Callable[[Workspace], Any]], Awaitable[Any]], clock: Clock
    ) -> None:
        """Take what runs a read or write in the transaction, and what knows the time."""
        self.receipt: Receipt | None = None
        self._run = run
        self._clock = clock
        self._collections: set[str] = set()

    async def read(self, query: Query) -> Sequence[Document]:
        """Read, own writes included."""
        documents: Sequence[Document] = await self._run(compile_query(query))
        return documents

    async def write(self, operation: WriteOperation) -> Receipt:
        """Write; seen by others after the commit."""
        receipt: Receipt = await self._run(compile_operation(operation, self._clock.wall_ms()))
        self._collections |= receipt.collections
        return replace(receipt, position=None)

    def committed(self, position: Position | None) -> None:
        """Make the receipt.

        Args:
            position: Of the commit; None if nothing was changed.
        """
        self.receipt = Receipt(position=position, collections=frozenset(self._collections))


class EmbeddedStore(ABC):
    """A store whose documents are in this process; see :class:`Store` for the methods."""

    sorts_by_index = False

    def __init__(self, clock: Clock | None, store_max_bytes: int) -> None:
        """Take the clock and the limit; None is the system's clock."""
        self._clock = clock or SystemClock()
        self._store_max_bytes = store_max_bytes
        self._feed: Feed | None = None
        self._is_warned = False
        self._log = structlog.get_logger("bolide.store")

    def declare(self, collections: Iterable[str]) -> None:
        """Do nothing: the feed tells of all collections."""
        del collections

    @property
    @abstractmethod
    def document_bytes(self) -> int:
        """Bytes of BSON of all documents, as far as this process knows them."""

    @abstractmethod
    async def _reading(self, work: Callable[[Database], _Result]) -> _Result:
        """Run ``work`` over what is committed."""

    @abstractmethod
    async def _writing(self, work: Callable[[Workspace], _Result]) -> _Result:
        """Run ``work`` and commit it; what it changed before an error is committed too."""

    @abstractmethod
    def transaction(self) -> AbstractAsyncContextManager[Transaction]:
        """Group reads and writes; commits on leaving the block."""

    async def read(self, query: Query, *, after: Position | None = None) -> Snapshot:
        """Read what is committed; that is never before ``after``."""
        del after
        find = compile_query(query)
        return await self._reading(lambda database: Snapshot(database.position, find(database)))

    async def count(self, query: Query) -> int:
        """Count what :meth:`read` would return."""
        return await self._reading(compile_count(query))

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
        work = compile_distinct(collection, path, effective_selector(query))
        return await self._reading(work)

    async def explain(self, query: Query) -> Explanation:
        """Tell how a query finds its documents, and at how many it has to look."""
        return await self._reading(compile_explain(query))

    async def examined(self, query: Query) -> int | None:
        """Count the documents that a query looks at."""
        return await self._reading(compile_examined(query))

    async def write(self, operation: WriteOperation, *, first: Insert | None = None) -> Receipt:
        """Apply one operation, atomically for each document as MongoDB does."""
        now_ms = self._clock.wall_ms()
        work = compile_operation(operation, now_ms)
        if first is not None:
            work = compile_first(first, work, now_ms)
        return await self._writing(work)

    async def create_index(self, collection: str, index: IndexSpec) -> str:
        """Make sure an index exists; returns its name."""
        name = index.name or index_name(index.keys)
        if index.keys == (("_id", 1),):
            return "_id_"
        if index.expire_after_s is not None or index.partial is not None:
            option = "partialFilterExpression" if index.partial else "expireAfterSeconds"
            raise NeedsMongoDB(
                f"{option} of an index on {collection}",
                "indexes of the embedded stores are of all documents, and no document expires",
            )
        spec = replace(index, name=name)
        await self._writing(lambda workspace: workspace.create_index(collection, spec))
        return name

    async def drop_index(self, collection: str, name: str) -> None:
        """Remove an index."""
        await self._writing(lambda workspace: workspace.drop_index(collection, name))

    async def indexes(self, collection: str) -> Sequence[IndexSpec]:
        """List the indexes of a collection, without the one on ``_id``."""
        return await self._reading(lambda database: database.indexes(collection))

    async def drop_collection(self, collection: str) -> None:
        """Remove all documents and indexes; the feed tells ``COLLECTION_LOST``."""
        await self._writing(lambda workspace: workspace.drop_collection(collection))

    @property
    def feed_position(self) -> Position:
        """How far the feed has been delivered to listeners."""
        return self._open_feed().position

    async def latest_position(self) -> Position:
        """Return a position that is not before any commit acknowledged until now, by anybody."""
        return await self._reading(lambda database: database.position)

    def listen(self, listener: FeedListener) -> None:
        """Tell ``listener`` of every change after :attr:`feed_position`."""
        self._open_feed().listen(listener)

    def unlisten(self, listener: FeedListener) -> None:
        """Tell it nothing more."""
        if self._feed is not None:
            self._feed.unlisten(listener)

    async def feed_reached(self, position: Position) -> None:
        """Wait until the feed has delivered everything up to ``position``."""
        await self._open_feed().reached(position)

    def _watch_size(self) -> None:
        """Warn once when the documents take more than :data:`WARN_AT` of what they may."""
        share = self.document_bytes / self._store_max_bytes
        if share >= WARN_AT and not self._is_warned:
            self._is_warned = True
            self._log.warning(
                "store nearly full: delete documents, raise store_max_bytes or use MongoDB",
                document_bytes=self.document_bytes,
                store_max_bytes=self._store_max_bytes,
            )
        elif share < WARN_AGAIN_BELOW:
            self._is_warned = False

    def _open_feed(self) -> Feed:
        """Return the feed.

        Raises:
            StateError: If the store is not open.
        """
        if self._feed is None:
            raise StateError("The store is not open.")
        return self._feed
