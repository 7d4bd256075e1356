"""The committed documents of an embedded store, in memory.

What this process commits and what another one committed is applied by the same call, so all
processes end with the same documents in the same order.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from bolide.core.keys import Key, key_of
from bolide.core.values import Document
from bolide.server.limits import STORE_MAX_BYTES
from bolide.server.stores.base import Change, ChangeKind, IndexSpec
from bolide.server.stores.embedded.bounds import Bounds
from bolide.server.stores.embedded.lookup_index import LookupIndex, can_answer, choose
from bolide.server.stores.embedded.unique import UniqueIndex

__all__ = ["Candidates", "Collection", "Database", "Entry", "Readable"]


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


@dataclass(frozen=True, slots=True)
class Candidates:
    """Documents that may match a query, oldest first.

    Attributes:
        index: Name of the index that found them; None: they are all that there are.
        documents: The documents.
    """

    index: str | None
    documents: Iterable[Document]


class Readable(Protocol):
    """Documents by collection, committed or not."""

    def documents(self, collection: str) -> Iterator[Document]:
        """Go through all documents, oldest first."""
        ...

    def document(self, collection: str, key: Key) -> Document | None:
        """Return the document whose ``_id`` has this key."""
        ...

    def candidates(self, collection: str, bounds: Bounds) -> Candidates:
        """Return at least all documents that fit some bounds."""
        ...


class Collection:
    """Committed documents and indexes of one collection.

    Attributes:
        documents: Key of the ``_id`` -> document, oldest first.
        indexes: All indexes.
        sizes: Key of the ``_id`` -> size of the document, bytes of BSON.
        unique: Name -> index, of those that are unique.
        compound: Name -> what tells whether a document fits, of the other ones with several paths.
    """

    __slots__ = (
        "_last_place", "_lookups", "_places", "compound", "documents", "indexes", "sizes", "unique",
    )  # fmt: skip

    def __init__(self) -> None:
        """Begin without documents."""
        self.documents: dict[Key, Document] = {}
        self.sizes: dict[Key, int] = {}
        self.indexes: tuple[IndexSpec, ...] = ()
        self.unique: dict[str, UniqueIndex] = {}
        self.compound: dict[str, UniqueIndex] = {}
        # What queries need is made when one needs it first, and kept up from then on.
        self._lookups: dict[IndexSpec, LookupIndex] = {}
        self._places: dict[Key, int] = {}
        self._last_place = 0

    def set_indexes(self, indexes: tuple[IndexSpec, ...]) -> None:
        """Have these indexes and no others."""
        known = self.unique
        self.indexes = indexes
        self.unique = {}
        self.compound = {
            spec.name: UniqueIndex(spec)
            for spec in indexes
            if len(spec.keys) > 1 and not spec.unique
        }
        self._lookups = {spec: self._lookups[spec] for spec in indexes if spec in self._lookups}
        for spec in indexes:
            if not spec.unique:
                continue
            index = known.get(spec.name)
            if index is None or index.spec != spec:
                index = UniqueIndex(spec)
                for key, document in self.documents.items():
                    index.entries |= dict.fromkeys(index.keys(document), key)
            self.unique[spec.name] = index

    def put(self, key: Key, after: Document | None, size: int) -> Document | None:
        """Set a document of some size, or remove it; returns what was there before."""
        before = self.documents.get(key)
        if after is None:
            self.documents.pop(key, None)
            self.sizes.pop(key, None)
        else:
            self.documents[key] = after
            self.sizes[key] = size
        for index in self.unique.values():
            if before is not None:
                for old in index.keys(before):
                    index.entries.pop(old, None)
            if after is not None:
                index.entries |= dict.fromkeys(index.keys(after), key)
        if self._lookups:
            for lookup in self._lookups.values():
                lookup.move(key, before, after)
            if after is None:
                self._places.pop(key, None)
            elif before is None:
                self._last_place += 1
                self._places[key] = self._last_place
        return before

    def lookup(self, spec: IndexSpec) -> LookupIndex:
        """Return one of its indexes, for queries."""
        found = self._lookups.get(spec)
        if found is None:
            if not self._lookups:
                self._places = {key: place for place, key in enumerate(self.documents)}
                self._last_place = len(self._places)
            found = self._lookups[spec] = LookupIndex(spec, self.documents.items())
        return found

    def place(self, key: Key) -> int:
        """Return a number that grows with the age of documents, once there is an index."""
        return self._places[key]

    def candidates(self, bounds: Bounds) -> Candidates:
        """Return at least all documents that fit some bounds."""
        usable = [(self.lookup(spec),) for spec in self.indexes if can_answer(spec, bounds)]
        chosen = choose(usable, bounds, len(self.documents))
        if chosen is None:
            return Candidates(None, self.documents.values())
        [index] = chosen
        keys = sorted(index.find(bounds), key=self._places.__getitem__)
        return Candidates(index.spec.name, map(self.documents.__getitem__, keys))


class Database:
    """What is committed.

    Attributes:
        position: Number of the last change that is applied.
        size: Bytes of BSON of all documents together.
        max_size: Most bytes that a write may make of these.
    """

    __slots__ = ("_collections", "max_size", "position", "size")

    def __init__(self, position: int = 0, *, max_size: int = STORE_MAX_BYTES) -> None:
        """Begin without documents.

        Args:
            position: Number of the last change before the documents that will be loaded.
            max_size: Most bytes that a write may make of all documents.
        """
        self.position = position
        self.size = 0
        self.max_size = max_size
        self._collections: dict[str, Collection] = {}

    def documents(self, collection: str) -> Iterator[Document]:
        """Go through all documents, oldest first."""
        found = self._collections.get(collection)
        return iter(found.documents.values() if found else ())

    def document(self, collection: str, key: Key) -> Document | None:
        """Return the document whose ``_id`` has this key."""
        found = self._collections.get(collection)
        return found.documents.get(key) if found else None

    def candidates(self, collection: str, bounds: Bounds) -> Candidates:
        """Return at least all documents that fit some bounds."""
        found = self._collections.get(collection)
        if found is None or not found.indexes or not bounds:
            return Candidates(None, self.documents(collection))
        return found.candidates(bounds)

    def load(self, collection: str, document: Document, size: int = 0) -> None:
        """Add a document of some size that was committed before :attr:`position`."""
        found = self._collections.setdefault(collection, Collection())
        key = key_of(document["_id"])
        found.documents[key] = document
        found.sizes[key] = size
        self.size += size

    def load_indexes(self, collection: str, indexes: tuple[IndexSpec, ...]) -> None:
        """Set the indexes of a collection, after all its documents are loaded."""
        self._collections.setdefault(collection, Collection()).set_indexes(indexes)

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
            lost = self._collections.pop(entry.collection, None)
            self.size -= sum(lost.sizes.values()) if lost else 0
            return Change(self.position, entry.collection, None, entry.kind, None, None)
        collection = self._collections.setdefault(entry.collection, Collection())
        if entry.kind is None:
            collection.set_indexes(entry.indexes)
            return None
        key, size = key_of(entry.id), len(entry.body or b"")
        self.size += size - collection.sizes.get(key, 0)
        before = collection.put(key, entry.after, size)
        return Change(self.position, entry.collection, entry.id, entry.kind, before, entry.after)
