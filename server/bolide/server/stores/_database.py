"""The committed documents of an embedded store, in memory.

What this process commits and what another one committed is applied by the same call, so all
processes end with the same documents in the same order.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from bolide.core.keys import Key, key_of
from bolide.core.values import Document
from bolide.server.stores._unique import UniqueIndex
from bolide.server.stores.base import Change, ChangeKind, IndexSpec

__all__ = ["Collection", "Database", "Entry", "Readable"]


@dataclass(frozen=True, slots=True)
class Entry:
    """One change as a store records it.

    Attributes:
        collection: Name of the collection.
        kind: What happened; None: the collection got other indexes.
        id: The document's ``_id``.
        after: The document after it.
        body: ``after`` as BSON.
        indexes: All indexes of the collection, where ``kind`` is None.
    """

    collection: str
    kind: ChangeKind | None
    id: Any = None
    after: Document | None = None
    body: bytes | None = None
    indexes: tuple[IndexSpec, ...] = ()


class Readable(Protocol):
    """Documents by collection, committed or not."""

    def documents(self, collection: str) -> Iterator[Document]:
        """Go through all documents, oldest first."""
        ...

    def document(self, collection: str, key: Key) -> Document | None:
        """Return the document whose ``_id`` has this key."""
        ...


class Collection:
    """Committed documents and indexes of one collection.

    Attributes:
        documents: Key of the ``_id`` -> document, oldest first.
        indexes: All indexes.
        unique: Name -> index, of those that are unique.
    """

    __slots__ = ("documents", "indexes", "unique")

    def __init__(self) -> None:
        """Begin without documents."""
        self.documents: dict[Key, Document] = {}
        self.indexes: tuple[IndexSpec, ...] = ()
        self.unique: dict[str, UniqueIndex] = {}


class Database:
    """What is committed.

    Attributes:
        position: Number of the last change that is applied.
    """

    __slots__ = ("_collections", "position")

    def __init__(self, position: int = 0) -> None:
        """Begin without documents.

        Args:
            position: Number of the last change before the documents that will be loaded.
        """
        self.position = position
        self._collections: dict[str, Collection] = {}

    def documents(self, collection: str) -> Iterator[Document]:
        """Go through all documents, oldest first."""
        found = self._collections.get(collection)
        return iter(found.documents.values() if found else ())

    def document(self, collection: str, key: Key) -> Document | None:
        """Return the document whose ``_id`` has this key."""
        found = self._collections.get(collection)
        return found.documents.get(key) if found else None

    def load(self, collection: str, document: Document) -> None:
        """Add a document that was committed before :attr:`position`."""
        found = self._collections.setdefault(collection, Collection())
        found.documents[key_of(document["_id"])] = document

    def load_indexes(self, collection: str, indexes: tuple[IndexSpec, ...]) -> None:
        """Set the indexes of a collection, after all its documents are loaded."""
        _set_indexes(self._collections.setdefault(collection, Collection()), indexes)

    def indexes(self, collection: str) -> tuple[IndexSpec, ...]:
        """List the indexes of a collection."""
        return self.committed(collection).indexes

    def committed(self, collection: str) -> Collection:
        """Return a collection, an empty one if it does not exist."""
        return self._collections.get(collection) or Collection()

    def apply(self, entry: Entry) -> Change | None:
        """Apply the next change; returns what the feed tells of it."""
        self.position += 1
        if entry.kind is ChangeKind.COLLECTION_LOST:
            self._collections.pop(entry.collection, None)
            return Change(self.position, entry.collection, None, entry.kind, None, None)
        collection = self._collections.setdefault(entry.collection, Collection())
        if entry.kind is None:
            _set_indexes(collection, entry.indexes)
            return None
        key = key_of(entry.id)
        before = collection.documents.get(key)
        if entry.after is None:
            collection.documents.pop(key, None)
        else:
            collection.documents[key] = entry.after
        for index in collection.unique.values():
            if before is not None:
                for old in index.keys(before):
                    index.entries.pop(old, None)
            if entry.after is not None:
                index.entries |= dict.fromkeys(index.keys(entry.after), key)
        return Change(self.position, entry.collection, entry.id, entry.kind, before, entry.after)


def _set_indexes(collection: Collection, indexes: tuple[IndexSpec, ...]) -> None:
    known = collection.unique
    collection.indexes = indexes
    collection.unique = {}
    for spec in indexes:
        if not spec.unique:
            continue
        index = known.get(spec.name)
        if index is None or index.spec != spec:
            index = UniqueIndex(spec)
            for key, document in collection.documents.items():
                index.entries |= dict.fromkeys(index.keys(document), key)
        collection.unique[spec.name] = index
