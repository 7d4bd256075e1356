"""A workspace: changes over the committed documents that nobody else sees yet.

They become visible, all at once, when its entries are given to :meth:`Database.apply`.
"""

from collections.abc import Iterable, Iterator
from itertools import count
from typing import Final

from pymongo.errors import OperationFailure

from bolide.core.keys import Key, key_of
from bolide.core.values import Document
from bolide.server.stores.base import ChangeKind, IndexSpec
from bolide.server.stores.embedded.bounds import Bounds
from bolide.server.stores.embedded.database import Candidates, Collection, Database, Entry
from bolide.server.stores.embedded.errors import (
    INDEX_NOT_FOUND,
    INDEX_OPTIONS_CONFLICT,
    duplicate_key_error,
    too_much_data_error,
)
from bolide.server.stores.embedded.lookup_index import LookupIndex, can_answer, choose
from bolide.server.stores.embedded.unique import UniqueIndex

__all__ = ["Workspace"]

_PLACES: Final = count()


class _View:
    """One collection in a workspace."""

    __slots__ = (
        "_base", "_changed", "_compound", "_gone", "_lookups", "_new", "_sizes", "_unique",
        "indexes",
    )  # fmt: skip

    def __init__(self, base: Collection) -> None:
        self._base = base
        self._changed: dict[Key, Document] = {}
        self._gone: set[Key] = set()
        self._sizes: dict[Key, int] = {}
        # Where new documents stand among each other: all come after the committed ones.
        self._new: dict[Key, int] = {}
        # What queries need to know of ``_changed``, made when one needs it first.
        self._lookups: dict[IndexSpec, LookupIndex] = {}
        self.indexes = base.indexes
        self._unique = {name: _UniqueView(index) for name, index in base.unique.items()}
        self._compound = dict(base.compound)

    def get(self, key: Key) -> Document | None:
        found = self._changed.get(key)
        if found is None and key not in self._gone:
            return self._base.documents.get(key)
        return found

    def __iter__(self) -> Iterator[Document]:
        changed, gone = self._changed, self._gone
        if not changed and not gone:
            yield from self._base.documents.values()
            return
        older = self._base.documents
        for key, document in older.items():
            if key not in gone:
                yield changed.get(key, document)
        for key, document in changed.items():
            if key not in older or key in gone:
                yield document

    def size(self, key: Key) -> int:
        if key in self._gone and key not in self._changed:
            return 0
        size = self._sizes.get(key)
        return self._base.sizes.get(key, 0) if size is None else size

    def total(self) -> int:
        committed = sum(size for key, size in self._base.sizes.items() if key not in self._gone)
        # What was changed counts as it is now.
        return committed + sum(
            size - (0 if key in self._gone else self._base.sizes.get(key, 0))
            for key, size in self._sizes.items()
        )

    def put(self, name: str, before: Document | None, after: Document, size: int) -> None:
        key = key_of(after["_id"])
        if before is None and self.get(key) is not None:
            # The other document may be in another access scope: only the new one is quoted.
            raise duplicate_key_error(name, "_id_", {"_id": 1}, {"_id": after["_id"]})
        moves = [
            (index, *index.difference(name, key, before, after)) for index in self._unique.values()
        ]
        for shape in self._compound.values():
            shape.keys(after)
        for index, old, new in moves:
            index.move(key, old, new)
        for lookup in self._lookups.values():
            lookup.move(key, self._changed.get(key), after)
        if before is None:
            self._new[key] = next(_PLACES)
        self._changed[key] = after
        self._sizes[key] = size

    def delete(self, document: Document) -> None:
        key = key_of(document["_id"])
        for index in self._unique.values():
            index.move(key, index.index.keys(document), ())
        changed = self._changed.pop(key, None)
        self._sizes.pop(key, None)
        for lookup in self._lookups.values():
            lookup.move(key, changed, None)
        self._new.pop(key, None)
        if key in self._base.documents:
            self._gone.add(key)

    def candidates(self, bounds: Bounds) -> Candidates:
        if not self._changed and not self._gone:
            return self._base.candidates(bounds)
        # An index that was made in the workspace is for those who come after its commit.
        usable = [
            (self._base.lookup(spec), self._lookup(spec))
            for spec in self.indexes
            if spec in self._base.indexes and can_answer(spec, bounds)
        ]
        chosen = choose(usable, bounds, len(self._base.documents) + len(self._changed))
        if chosen is None:
            return Candidates(None, self)
        committed, changed = chosen
        keys = [
            key
            for key in committed.find(bounds)
            if key not in self._changed and key not in self._gone
        ]
        keys.extend(changed.find(bounds))
        keys.sort(key=self._place)
        documents = (self._changed.get(key) or self._base.documents[key] for key in keys)
        return Candidates(committed.spec.name, documents)

    def _lookup(self, spec: IndexSpec) -> LookupIndex:
        found = self._lookups.get(spec)
        if found is None:
            found = self._lookups[spec] = LookupIndex(spec, self._changed.items())
        return found

    def _place(self, key: Key) -> tuple[bool, int]:
        new = self._new.get(key)
        return (False, self._base.place(key)) if new is None else (True, new)

    def add_index(self, name: str, spec: IndexSpec) -> None:
        if spec.unique:
            view = _UniqueView(UniqueIndex(spec))
            for document in self:
                key = key_of(document["_id"])
                view.move(key, *view.difference(name, key, None, document))
            self._unique[spec.name] = view
        elif len(spec.keys) > 1:
            shape = UniqueIndex(spec)
            for document in self:
                shape.keys(document)
            self._compound[spec.name] = shape
        self.indexes = (*self.indexes, spec)

    def drop_index(self, dropped: str) -> None:
        self.indexes = tuple(spec for spec in self.indexes if spec.name != dropped)
        self._unique.pop(dropped, None)
        self._compound.pop(dropped, None)


class _UniqueView:
    """A unique index in a workspace."""

    __slots__ = ("_changed", "index")

    def __init__(self, index: UniqueIndex) -> None:
        self.index = index
        self._changed: dict[Key, Key | None] = {}

    def difference(
        self, name: str, key: Key, before: Document | None, after: Document
    ) -> tuple[Iterable[Key], Iterable[Key]]:
        """Return the keys that a document loses and gets, if none of these is taken."""
        old = {} if before is None else self.index.keys(before)
        new = self.index.keys(after)
        for entry in new.keys() - old.keys():
            owner = self._changed.get(entry, self)
            if owner is self:
                owner = self.index.entries.get(entry)
            if owner is not None and owner != key:
                spec = self.index.spec
                value = self.index.key_value(new[entry])
                raise duplicate_key_error(name, spec.name, dict(spec.keys), value)
        return old.keys() - new.keys(), new.keys() - old.keys()

    def move(self, key: Key, old: Iterable[Key], new: Iterable[Key]) -> None:
        self._changed |= dict.fromkeys(old)
        self._changed |= dict.fromkeys(new, key)


class Workspace:
    """Changes over a database, none of them committed.

    Attributes:
        entries: What was changed, in order.
    """

    __slots__ = ("_database", "_growth", "_views", "entries")

    def __init__(self, database: Database) -> None:
        """Begin without changes; the database must not change as long as this is used."""
        self._database = database
        self._views: dict[str, _View] = {}
        self._growth = 0
        self.entries: list[Entry] = []

    @property
    def position(self) -> int:
        """Position that the last entry will have once it is committed."""
        return self._database.position + len(self.entries)

    @property
    def size(self) -> int:
        """Bytes of BSON of all documents, as they are here."""
        return self._database.size + self._growth

    def documents(self, collection: str) -> Iterator[Document]:
        """Go through all documents, oldest first."""
        return iter(self._view(collection))

    def document(self, collection: str, key: Key) -> Document | None:
        """Return the document whose ``_id`` has this key."""
        return self._view(collection).get(key)

    def candidates(self, collection: str, bounds: Bounds) -> Candidates:
        """Return at least all documents that fit some bounds, as they are now.

        They may be changed while one goes through them only if an index found them.
        """
        view = self._view(collection)
        return view.candidates(bounds) if bounds else Candidates(None, view)

    def insert(self, collection: str, document: Document, body: bytes) -> None:
        """Add a document.

        Args:
            collection: Name of the collection.
            document: The document, with its ``_id`` first.
            body: The same as BSON.

        Raises:
            DuplicateKeyError: If its ``_id`` or a unique index's key is taken.
            WriteError: If an index cannot hold it, because two of its paths are arrays; or if
                there is too much data.
        """
        self._put(self._view(collection), collection, None, document, len(body))
        self.entries.append(Entry(collection, ChangeKind.INSERT, document["_id"], document, body))

    def take_back_insert(self) -> None:
        """Undo the last entry, which is an insert: as if it had never been."""
        entry = self.entries.pop()
        assert entry.after is not None
        self._delete(entry.collection, entry.after)

    def change(
        self, collection: str, before: Document, after: Document, body: bytes, kind: ChangeKind
    ) -> None:
        """Put another document, with the same ``_id``, in the place of one.

        Raises:
            DuplicateKeyError: If a unique index's key is taken.
            WriteError: If an index cannot hold it, because two of its paths are arrays; or if
                there is too much data.
        """
        self._put(self._view(collection), collection, before, after, len(body))
        self.entries.append(Entry(collection, kind, after["_id"], after, body))

    def delete(self, collection: str, document: Document) -> None:
        """Remove a document."""
        self._delete(collection, document)
        self.entries.append(Entry(collection, ChangeKind.DELETE, document["_id"]))

    def create_index(self, collection: str, spec: IndexSpec) -> None:
        """Add an index.

        Args:
            collection: Name of the collection.
            spec: The index, with its name.

        Raises:
            DuplicateKeyError: If documents share a key of a unique index.
            WriteError: If it cannot hold a document, because two of its paths are arrays.
            OperationFailure: If there is another index of this name or with these keys.
        """
        view = self._view(collection)
        for known in view.indexes:
            if known == spec:
                return
            if known.name == spec.name or known.keys == spec.keys:
                raise OperationFailure(
                    f"Index {spec.name} conflicts with {known.name}, which has other options.",
                    INDEX_OPTIONS_CONFLICT,
                )
        view.add_index(collection, spec)
        self.entries.append(Entry(collection, None, indexes=view.indexes))

    def drop_index(self, collection: str, name: str) -> None:
        """Remove an index.

        Raises:
            OperationFailure: If there is none of this name.
        """
        view = self._view(collection)
        if all(spec.name != name for spec in view.indexes):
            raise OperationFailure(f"index not found with name [{name}]", INDEX_NOT_FOUND)
        view.drop_index(name)
        self.entries.append(Entry(collection, None, indexes=view.indexes))

    def drop_collection(self, collection: str) -> None:
        """Remove all documents and indexes; does nothing if there are none."""
        view = self._view(collection)
        if view.indexes or next(iter(view), None) is not None:
            self._growth -= view.total()
            self._views[collection] = _View(Collection())
            self.entries.append(Entry(collection, ChangeKind.COLLECTION_LOST))

    def _put(
        self, view: _View, name: str, before: Document | None, after: Document, size: int
    ) -> None:
        growth = size - (0 if before is None else view.size(key_of(after["_id"])))
        # Who holds too much already may still write what is smaller than before.
        if growth > 0 and self.size + growth > self._database.max_size:
            raise too_much_data_error(self.size, self._database.max_size)
        view.put(name, before, after, size)
        self._growth += growth

    def _delete(self, collection: str, document: Document) -> None:
        view = self._view(collection)
        self._growth -= view.size(key_of(document["_id"]))
        view.delete(document)

    def _view(self, collection: str) -> _View:
        view = self._views.get(collection)
        if view is None:
            view = self._views[collection] = _View(self._database.committed(collection))
        return view
