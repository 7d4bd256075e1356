"""A collection as a stub sees it, to read and to write."""

from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

from bolide.client.collections.observer import EVERYTHING, Observer, Selection, Selector, Sort
from bolide.client.stubs.workspace import Workspace
from bolide.core.ddp.random import RandomStream
from bolide.core.errors import LocalProtocolError
from bolide.core.keys import Key, key_of
from bolide.core.minimongo.matcher import Matcher
from bolide.core.minimongo.modifier import Modifier, upsert_document
from bolide.core.values import Document, ObjectId, normalize

__all__ = ["IdKind", "SimulatedCollection"]

IdKind: TypeAlias = Literal["random", "oid"]
"""The kind of ``_id`` that a collection draws, as in the server's ``app.collection(id=)``."""


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


def _plain(selector: Selector) -> dict[str, Any] | str | ObjectId | None:
    return dict(selector) if isinstance(selector, Mapping) else selector


def _arrival(entry: tuple[Key, int, Document]) -> int:
    return entry[1]


def _nothing() -> None:
    """Nobody looks at a result that is read once."""
