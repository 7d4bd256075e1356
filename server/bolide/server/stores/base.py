"""The store port: what live queries and collections need of a database.

One contract suite (``tests/integration/stores``) runs over every implementation. A store answers
reads *at a position*, applies write operations, groups them in transactions, and tells of every
change to its collections in one ordered feed.

Positions are totally ordered within one store and mean "everything up to here": an embedded
store numbers its changes, MongoDB uses cluster times. A snapshot at position P holds exactly the
changes with a position up to P; a feed that is at P has delivered exactly those.
"""

from collections.abc import Awaitable, Collection, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final, Protocol, TypeAlias, runtime_checkable

import msgspec
from pymongo.errors import DuplicateKeyError, OperationFailure

from bolide.core.errors import MethodError
from bolide.core.values import Document

__all__ = [
    "AccessFilter",
    "Blockable",
    "Change",
    "ChangeBatch",
    "ChangeKind",
    "Delete",
    "Expiring",
    "FeedListener",
    "FindAndModify",
    "FirstInsertFailed",
    "HeldInMemory",
    "IndexSpec",
    "Insert",
    "Position",
    "Query",
    "Receipt",
    "SelectiveListener",
    "Snapshot",
    "Store",
    "Transaction",
    "TransactionConflict",
    "Update",
    "WriteOperation",
    "WriteOutcomeUnknown",
]


_WRITE_CONFLICT: Final = 112  # MongoDB's number


class Position(Protocol):
    """A place in a store's history; compare only positions of the same store."""

    def __lt__(self, other: Any, /) -> bool: ...
    def __le__(self, other: Any, /) -> bool: ...


@dataclass(frozen=True, slots=True)
class AccessFilter:
    """Which documents of a collection with access scopes there are, for one invocation.

    A document exists only if its field is a string and one of the scopes: an array of scopes, a
    number or a missing field is in none. To all reads and writes that carry the filter, any other
    document is as if it were not there; what they may not find, and what they may not find
    because it does not exist, cannot be told apart.

    - Reads, counts, ``distinct`` and the selectors of writes get it as one more conjunct
      (``stores/access.py``, :func:`effective_selector`); so does a live query's matching.
    - An :class:`Insert` is refused as a whole if one of its documents is outside.
    - A modifier may give the field an open scope with ``$set`` or ``$setOnInsert``; if any other
      operator touches the field, or a replacement has no open scope in it, the write is refused,
      whether or not a document matches (:func:`is_refused`).
    - An upsert that matches nothing and would make a document outside is refused. A store whose
      database makes the document itself makes it first with ``upsert_document``, or writes without
      ``upsert`` and refuses if nothing matched.
    - A refusal is :class:`AccessRefused`; nothing was written, and a transaction is aborted by it.
    - Unique keys, ``_id`` included, hold for all documents: what collides with one outside is the
      same ``DuplicateKeyError`` as inside, and quotes only the document that was to be written.

    Attributes:
        field: Top-level field that holds the scope.
        scopes: The open ones; none finds nothing.
    """

    field: str
    scopes: frozenset[str] = frozenset()

    def admits(self, document: Mapping[str, Any]) -> bool:
        """Tell whether a document is in an open scope."""
        scope = document.get(self.field)
        return type(scope) is str and scope in self.scopes


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """What one cursor asks for.

    Attributes:
        collection: Name of the collection.
        selector: MongoDB selector; ``{}`` is everything.
        sort: ``(path, 1 or -1)`` pairs, most significant first; equal keys go by ``_id``.
        skip: Documents left out at the start.
        limit: Most documents returned; 0 is no limit.
        projection: MongoDB projection, or None for whole documents.
        access: Which access scopes are open; None for all documents.
    """

    collection: str
    selector: Mapping[str, Any] = field(default_factory=dict[str, Any])
    sort: tuple[tuple[str, int], ...] = ()
    skip: int = 0
    limit: int = 0
    projection: Mapping[str, Any] | None = None
    access: AccessFilter | None = None

    @property
    def published_in(self) -> str:
        """Name of the collection that the documents are in for clients."""
        return self.collection


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The documents of a query at one moment.

    Attributes:
        position: The moment.
        documents: In the query's order, projected; shared, never to be changed.
    """

    position: Position
    documents: Sequence[Document]


class ChangeKind(Enum):
    """What happened to a document, or to a whole collection."""

    INSERT = "insert"
    UPDATE = "update"
    REPLACE = "replace"
    DELETE = "delete"
    COLLECTION_LOST = "collection lost"
    """Dropped, renamed or overwritten as a whole: its observers read again."""


# A struct is made in C. No document holds the change that it is in, so the collector need not look.
class Change(msgspec.Struct, frozen=True, gc=False):
    """One committed change of one document.

    Attributes:
        position: Where it stands in the feed.
        collection: Name of the collection.
        id: The document's ``_id``; None for ``COLLECTION_LOST``.
        kind: What happened.
        before: The document before, where the store knows it; None otherwise and for ``INSERT``.
        after: The whole document after it; None for ``DELETE`` and ``COLLECTION_LOST``.
    """

    position: Position
    collection: str
    id: Any
    kind: ChangeKind
    before: Document | None
    after: Document | None


@dataclass(frozen=True, slots=True)
class ChangeBatch:
    """Changes to be applied in one turn; a transaction is never cut.

    Attributes:
        position: The feed's position after the batch.
        changes: In order; may be empty, when only the position moved.
    """

    position: Position
    changes: Sequence[Change]


class FeedListener(Protocol):
    """Who is told of changes; called on the event loop, must not block nor raise."""

    def changes_received(self, batch: ChangeBatch) -> None:
        """Take the next batch; batches come in order, without gaps."""
        ...

    def history_lost(self, position: Position) -> None:
        """Learn that changes before ``position`` were missed: read again, at or after it."""
        ...


@runtime_checkable
class SelectiveListener(FeedListener, Protocol):
    """A listener that can do without some updates."""

    def wants_update(self, collection: str, id: Any, paths: Collection[str]) -> bool:
        """Tell whether an update may concern it, by what it was told before.

        A store may ask it, and leave out an update that no listener wants. Of whichever it does not
        ask it tells.

        Args:
            collection: Name of the collection.
            id: The document's ``_id``.
            paths: What was set, removed or cut in it; dots also stand where a name has them.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Insert:
    """Insert documents; each has its ``_id``.

    With ``ordered`` the first failure ends it; without, the others are still inserted.
    """

    collection: str
    documents: Sequence[Document]
    ordered: bool = True
    access: AccessFilter | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Update:
    """Apply a modifier (``$`` keys), or with none of these a replacement.

    Attributes:
        collection: Name of the collection.
        selector: Which documents.
        modifier: Modifier or replacement document.
        many: All that match instead of the first.
        upsert: Insert where nothing matches.
        upsert_id: ``_id`` for an upsert whose selector and modifier give none.
        array_filters: As in MongoDB; the embedded stores refuse them with a clear error.
        access: Which access scopes are open; None for all documents.
    """

    collection: str
    selector: Mapping[str, Any]
    modifier: Mapping[str, Any]
    many: bool = False
    upsert: bool = False
    upsert_id: Any = None
    array_filters: Sequence[Mapping[str, Any]] | None = None
    access: AccessFilter | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Delete:
    """Delete the first match, or with ``many`` all."""

    collection: str
    selector: Mapping[str, Any]
    many: bool = False
    access: AccessFilter | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FindAndModify:
    """Change the first document in ``sort`` order and return it.

    Attributes:
        collection: Name of the collection.
        selector: Which documents.
        modifier: Modifier or replacement document; None deletes.
        sort: As in :class:`Query`.
        projection: Applied to the returned document.
        upsert: Insert where nothing matches.
        upsert_id: ``_id`` for an upsert whose selector and modifier give none.
        return_after: Return the document after the change instead of before.
        access: Which access scopes are open; None for all documents.
    """

    collection: str
    selector: Mapping[str, Any]
    modifier: Mapping[str, Any] | None
    sort: tuple[tuple[str, int], ...] = ()
    projection: Mapping[str, Any] | None = None
    upsert: bool = False
    upsert_id: Any = None
    return_after: bool = False
    access: AccessFilter | None = None


WriteOperation: TypeAlias = Insert | Update | Delete | FindAndModify


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """What a write did; sent after it is durable (or, in a transaction, applied).

    Attributes:
        position: Position of its last change; None if it changed nothing, or before the commit
            of its transaction.
        collections: Names of the collections it changed.
        inserted_ids: ``_id`` of each inserted document, in order.
        matched: Documents that matched.
        modified: Documents that differ afterwards.
        deleted: Documents deleted.
        upserted_id: ``_id`` of the upserted document, None if there was none.
        document: What :class:`FindAndModify` returns.
    """

    position: Position | None = None
    collections: frozenset[str] = frozenset()
    inserted_ids: Sequence[Any] = ()
    matched: int = 0
    modified: int = 0
    deleted: int = 0
    upserted_id: Any = None
    document: Document | None = None


class Transaction(Protocol):
    """Reads and writes that commit together, or not at all; leaving by an exception aborts."""

    @property
    def receipt(self) -> Receipt | None:
        """The position and collections of the whole, once committed."""
        ...

    async def read(self, query: Query) -> Sequence[Document]:
        """Read, own writes included."""
        ...

    async def write(self, operation: WriteOperation) -> Receipt:
        """Write; seen by others after the commit."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexSpec:
    """An index.

    Attributes:
        keys: ``(path, 1 or -1)`` pairs.
        name: Unique per collection; made from the keys as MongoDB does if empty.
        unique: Refuse a second document with the same key.
        sparse: Leave out documents that have none of the paths.
        expire_after_s: Documents go so many seconds after the date at the path; MongoDB's.
        partial: A selector; other documents are left out; MongoDB's.
    """

    keys: tuple[tuple[str, int], ...]
    name: str = ""
    unique: bool = False
    sparse: bool = False
    expire_after_s: int | None = None
    partial: Mapping[str, Any] | None = field(default=None, hash=False)


@runtime_checkable
class HeldInMemory(Protocol):
    """A store that holds all documents in this process."""

    @property
    def document_bytes(self) -> int:
        """Bytes of BSON of all documents."""
        ...


class TransactionConflict(OperationFailure):
    """A transaction was aborted, because another one changed the same documents; try it again."""

    def __init__(self) -> None:
        """Take nothing: what the documents are is data."""
        super().__init__(
            "Nothing was written, because somebody else changed the same documents at the same"
            " time: run the transaction again.",
            _WRITE_CONFLICT,
        )


class WriteOutcomeUnknown(MethodError):
    """Nobody knows whether a write was done: the connection was lost before the answer came.

    Attributes:
        collections: Names of the collections it may have changed.
        position: Ends with a position that is not before the write, if it was done; None: the
            store does not find out.
    """

    def __init__(self) -> None:
        """Say what to do."""
        self.collections: frozenset[str] = frozenset()
        self.position: Awaitable[Position] | None = None
        super().__init__(
            "write-outcome-unknown",
            "The database did not answer, and nobody knows whether it was done: look before you"
            " do it again.",
        )


@runtime_checkable
class Blockable(Protocol):
    """A store that may have to wait for something outside of this process."""

    @property
    def blocked_because(self) -> str:
        """Why it waits, in words; empty if all is well."""
        ...


@runtime_checkable
class Expiring(Protocol):
    """A store whose database can forget documents by itself."""

    async def expire_after(self, collection: str, path: str, seconds: int) -> None:
        """Let documents go some time after the date at ``path``; sooner is never, later may be."""
        ...


class FirstInsertFailed(DuplicateKeyError):
    """The insert before a write was refused, because a unique key is taken; nothing was written."""

    def __init__(self, cause: DuplicateKeyError) -> None:
        """Take over what the refusal says."""
        text = str(cause)
        super().__init__(text, cause.code, cause.details)
        # PyMongo would add the details, which hold the key.
        self.args = (text,)


class Store(Protocol):
    """A database of collections.

    Errors are PyMongo's: ``DuplicateKeyError``, ``WriteError``, ``BulkWriteError`` (``Insert`` of
    several), ``OperationFailure`` for a selector or modifier that does not compile. A write that an
    :class:`AccessFilter` does not allow is ``AccessRefused``. Where a database may fail on its own,
    a write may end with :class:`WriteOutcomeUnknown`, and a transaction with
    :class:`TransactionConflict`.
    """

    def declare(self, collections: Iterable[str]) -> None:
        """Name the collections that the feed must tell of, before :meth:`open`.

        A store that is not told tells of all; the feed may tell of others, too.
        """
        ...

    async def open(self) -> None:
        """Connect, check and start the feed."""
        ...

    async def close(self) -> None:
        """Finish what was acknowledged and let go of everything."""
        ...

    async def read(self, query: Query, *, after: Position | None = None) -> Snapshot:
        """Read at a position not before ``after``; own acknowledged writes are always seen."""
        ...

    async def count(self, query: Query) -> int:
        """Count what :meth:`read` would return."""
        ...

    async def distinct(
        self,
        collection: str,
        path: str,
        selector: Mapping[str, Any],
        *,
        access: AccessFilter | None = None,
    ) -> list[Any]:
        """Return the different values at ``path``, array elements one by one."""
        ...

    async def write(self, operation: WriteOperation, *, first: Insert | None = None) -> Receipt:
        """Apply one operation, atomically for each document as MongoDB does.

        Args:
            operation: The operation; the receipt is of it alone.
            first: Inserts one document before it; both become durable and visible in one
                commit. If the operation fails, this insert stays exactly when the operation
                left something too (an update of many documents that failed halfway).

        Raises:
            FirstInsertFailed: If ``first`` meets a key that is taken; nothing was written.
            ValueError: If ``first`` inserts none or several documents.
        """
        ...

    def transaction(self) -> AbstractAsyncContextManager[Transaction]:
        """Group reads and writes; commits on leaving the block."""
        ...

    async def create_index(self, collection: str, index: IndexSpec) -> str:
        """Make sure an index exists; returns its name."""
        ...

    async def drop_index(self, collection: str, name: str) -> None:
        """Remove an index."""
        ...

    async def indexes(self, collection: str) -> Sequence[IndexSpec]:
        """List the indexes of a collection."""
        ...

    async def drop_collection(self, collection: str) -> None:
        """Remove all documents and indexes; the feed tells ``COLLECTION_LOST``."""
        ...

    @property
    def feed_position(self) -> Position:
        """How far the feed has been delivered to listeners."""
        ...

    async def latest_position(self) -> Position:
        """Return a position that is not before any commit acknowledged until now, by anybody."""
        ...

    def listen(self, listener: FeedListener) -> None:
        """Tell ``listener`` of every change after :attr:`feed_position`."""
        ...

    def unlisten(self, listener: FeedListener) -> None:
        """Tell it nothing more."""
        ...

    async def feed_reached(self, position: Position) -> None:
        """Wait until the feed has delivered everything up to ``position``."""
        ...
