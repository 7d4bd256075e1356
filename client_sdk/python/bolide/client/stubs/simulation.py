"""What a stub works with: the local collections, and the random streams of its method.

Sans-I/O. A stub reads what the client shows and writes into a workspace of its own; only when it
has ended is what it wrote handed on, all of it. The streams are those that the server draws from,
so an inserted document has the id here that it will have there.

Names of streams follow Meteor's ``ddp-common``.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, Literal, TypeAlias

from bolide.client.collections.local_collection import LocalCollection
from bolide.client.collections.observer import EVERYTHING, Observer, Selection, Selector, Sort
from bolide.client.documents.replica import is_same
from bolide.client.events import DocumentChange
from bolide.core.ddp.random import RandomStream, SeededStreams
from bolide.core.errors import LocalProtocolError
from bolide.core.keys import Key, key_of
from bolide.core.minimongo.matcher import Matcher
from bolide.core.minimongo.modifier import Modifier, upsert_document
from bolide.core.values import Document, ObjectId, normalize

__all__ = ["IdKind", "SimulatedCollection", "Simulation", "Stub", "Workspace"]

Stub: TypeAlias = Callable[..., object]
"""Takes a :class:`Simulation` and the call's arguments; what it returns is for nested calls."""

IdKind: TypeAlias = Literal["random", "oid"]
"""The kind of ``_id`` that a collection draws, as in the server's ``app.collection(id=)``."""

_NESTED_SEED_DIGITS: Final = 20


class Workspace:
    """What the stubs of one call wrote so far.

    Attributes:
        now_ms: The time of the call, UTC milliseconds since 1970.
    """

    __slots__ = ("_left", "_limit", "_local", "_pages", "now_ms")

    def __init__(
        self, local: Callable[[str], LocalCollection], *, max_operations: int, now_ms: int
    ) -> None:
        """Begin without any change.

        Args:
            local: Returns the local copy of a collection, as it is shown.
            max_operations: Documents written and methods called, at most.
            now_ms: UTC milliseconds since 1970.
        """
        self.now_ms = now_ms
        self._local = local
        self._limit = self._left = max_operations
        self._pages: dict[str, _Page] = {}

    def page(self, name: str) -> "_Page":
        """Return the workspace of one collection."""
        page = self._pages.get(name)
        if page is None:
            page = self._pages[name] = _Page(self._local(name), self.count)
        return page

    def count(self) -> None:
        """Count one operation.

        Raises:
            LocalProtocolError: If it is one too many.
        """
        if not self._left:
            raise LocalProtocolError(f"A stub may do {self._limit} operations; simulate less.")
        self._left -= 1

    def writes(self) -> list[DocumentChange]:
        """Return each document that differs from what is shown, as it was left."""
        return [
            DocumentChange(name, document_id, document)
            for name, page in self._pages.items()
            for document_id, document in page.writes()
        ]


class _Page:
    """One collection as it is shown, with the changes of a stub."""

    __slots__ = ("_count", "_last_arrival", "_local", "_written")

    def __init__(self, local: LocalCollection, count: Callable[[], None]) -> None:
        self._local = local
        self._count = count
        self._last_arrival = local.last_arrival
        # Id, arrival, document; a document that was removed is None.
        self._written: dict[Key, tuple[Any, int, Document | None]] = {}

    def entries(self, only_key: Key) -> Iterator[tuple[Key, int, Document]]:
        """Yield key, arrival and document of each, in no order; with a key only of that one."""
        if only_key is not None:
            entry = self._local.entry(only_key)
            if entry is not None and only_key not in self._written:
                yield only_key, *entry
        else:
            for key, arrival, document in self._local.entries():
                if key not in self._written:
                    yield key, arrival, document
        for key, (_, arrival, written) in self._written.items():
            if written is not None and only_key in (None, key):
                yield key, arrival, written

    def holds(self, key: Key) -> bool:
        """Whether a document with this key is there."""
        return self._arrival(key) is not None

    def write(self, key: Key, document_id: Any, document: Document | None) -> None:
        """Write one document; None removes it."""
        self._count()
        former = self._arrival(key)
        if former is None:
            self._last_arrival += 1
        arrival = self._last_arrival if former is None else former
        self._written[key] = (document_id, arrival, document)

    def writes(self) -> Iterator[tuple[Any, Document | None]]:
        """Yield id and document of those that differ from what is shown."""
        for key, (document_id, _, document) in self._written.items():
            entry = self._local.entry(key)
            if not is_same(None if entry is None else entry[1], document):
                yield document_id, document

    def _arrival(self, key: Key) -> int | None:
        """Return since when the document is there; None if it is not."""
        if key in self._written:
            _, arrival, document = self._written[key]
            return None if document is None else arrival
        entry = self._local.entry(key)
        return None if entry is None else entry[0]


class SimulatedCollection:
    """A collection as a stub sees it; the methods are those of Meteor's collections."""

    __slots__ = ("_id_kind", "_now_ms", "_page", "_stream", "name")

    def __init__(
        self, name: str, workspace: Workspace, stream: RandomStream, id_kind: IdKind
    ) -> None:
        """Show one collection of a workspace."""
        self.name = name
        self._page = workspace.page(name)
        self._now_ms = workspace.now_ms
        self._stream = stream
        self._id_kind = id_kind

    def find(
        self,
        selector: Selector = EVERYTHING,
        *,
        sort: Sort = None,
        skip: int = 0,
        limit: int | None = None,
        projection: Mapping[str, Any] | None = None,
    ) -> list[Document]:
        """Return the documents that match, read-only; arguments as in :meth:`Collection.find`.

        Raises:
            MinimongoError: If one of them is not understood, or does not fit a document.
        """
        selection = Selection(selector, sort=sort, skip=skip, limit=limit, projection=projection)
        entries = self._page.entries(selection.only_key)
        return [row.document for row in Observer(selection, entries, _nothing).rows()]

    def find_one(
        self,
        selector: Selector = EVERYTHING,
        *,
        sort: Sort = None,
        skip: int = 0,
        projection: Mapping[str, Any] | None = None,
    ) -> Document | None:
        """Return the first document that matches, or None.

        Raises:
            MinimongoError: If an argument is not understood, or does not fit a document.
        """
        found = self.find(selector, sort=sort, skip=skip, limit=1, projection=projection)
        return found[0] if found else None

    # Ids are what applications make them: any value.
    def insert(self, document: Mapping[str, Any]) -> Any:
        """Insert a document and return its ``_id``, which is drawn if it has none.

        Raises:
            LocalProtocolError: If a document with this ``_id`` is there.
            TypeError, ValueError: If a part of it is no value.
        """
        inserted: Document = normalize(document)
        if "_id" not in inserted:
            inserted = {"_id": self._new_id(), **inserted}
        return self._insert(inserted)

    def update(
        self, selector: Selector, modifier: Mapping[str, Any], *, multi: bool = False
    ) -> int:
        """Change the first document that matches, with ``multi`` all; return how many matched.

        Raises:
            MinimongoError: If an argument is not understood, or does not fit a document.
        """
        return self._update(selector, Modifier(dict(modifier)), multi=multi)

    def upsert(
        self, selector: Selector, modifier: Mapping[str, Any], *, multi: bool = False
    ) -> Any:
        """Update, or insert where nothing matches.

        Returns:
            The ``_id`` of the inserted document; None if one matched.

        Raises:
            MinimongoError: If an argument is not understood, or does not fit a document.
        """
        plain = _plain(selector)
        # Drawn as the server does: before it knows whether it needs it.
        has_id = "_id" in modifier or (not isinstance(plain, dict)) or "_id" in plain
        drawn = None if has_id else self._new_id()
        compiled = Modifier(dict(modifier))
        if self._update(selector, compiled, multi=multi):
            return None
        document = upsert_document(plain, compiled, now_ms=self._now_ms)
        if "_id" not in document:
            document = {"_id": drawn, **document}
        return self._insert(document)

    def remove(self, selector: Selector) -> int:
        """Remove all documents that match; return how many.

        Raises:
            MinimongoError: If the selector is not understood, or does not fit a document.
        """
        found = [(key, document["_id"]) for key, document, _ in self._matching(selector)]
        for key, document_id in found:
            self._page.write(key, document_id, None)
        return len(found)

    def _insert(self, document: Document) -> Any:
        document_id = document["_id"]
        key = key_of(document_id)
        if self._page.holds(key):
            raise LocalProtocolError("A document with this _id is there already.")
        self._page.write(key, document_id, document)
        return document_id

    def _update(self, selector: Selector, modifier: Modifier, *, multi: bool) -> int:
        found = self._matching(selector)
        if not multi:
            del found[1:]
        for key, document, indices in found:
            changed = modifier.apply(document, now_ms=self._now_ms, array_indices=indices)
            self._page.write(key, document["_id"], changed)
        return len(found)

    def _matching(self, selector: Selector) -> list[tuple[Key, Document, tuple[int, ...] | None]]:
        """Return those that match in the order of their arrival, with the indices of ``$``."""
        matcher = Matcher(_plain(selector))
        only_key = Selection(selector).only_key
        entries = sorted(self._page.entries(only_key), key=_arrival)
        matches = [(key, document, matcher.match(document)) for key, _, document in entries]
        return [(key, document, match.array_indices) for key, document, match in matches if match]

    def _new_id(self) -> str | ObjectId:
        return ObjectId(self._stream.hex(24)) if self._id_kind == "oid" else self._stream.id()


class Simulation:
    """The first argument of a stub.

    Attributes:
        random: The random streams of the call.
        user_id: Who calls; None where nobody is logged in.
    """

    __slots__ = ("_stubs", "_workspace", "random", "user_id")

    def __init__(
        self,
        workspace: Workspace,
        stubs: Mapping[str, Stub],
        seed: str,
        *,
        user_id: str | None = None,
    ) -> None:
        """Simulate one call.

        Args:
            workspace: Where all stubs of the call write.
            stubs: By name of their methods, for nested calls.
            seed: The call's random seed.
            user_id: Who calls.
        """
        self._workspace = workspace
        self._stubs = stubs
        self.random = SeededStreams(seed)
        self.user_id = user_id

    def collection(self, name: str, *, id: IdKind = "random") -> SimulatedCollection:
        """Return a collection as it is shown, to read and to write.

        Args:
            name: Its name.
            id: What ``_id`` an insert without one draws; the same as in the server.
        """
        stream = self.random.stream(f"/collection/{name}")
        return SimulatedCollection(name, self._workspace, stream, id)

    # Arguments and results are the application's: any values.
    def call(self, name: str, *args: Any) -> Any:
        """Simulate another method as a part of this one; return what its stub returns.

        Nothing is sent: the server's method makes its own call. Without a stub nothing happens.
        """
        self._workspace.count()
        stub = self._stubs.get(name)
        seed = self.random.stream(f"/rpc/{name}").hex(_NESTED_SEED_DIGITS)
        if stub is None:
            return None
        nested = Simulation(self._workspace, self._stubs, seed, user_id=self.user_id)
        return stub(nested, *normalize(args))


def _plain(selector: Selector) -> dict[str, Any] | str | ObjectId | None:
    return dict(selector) if isinstance(selector, Mapping) else selector


def _arrival(entry: tuple[Key, int, Document]) -> int:
    return entry[1]


def _nothing() -> None:
    """Nobody looks at a result that is read once."""
