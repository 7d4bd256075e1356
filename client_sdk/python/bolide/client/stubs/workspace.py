"""What the stubs of one call wrote, before it is handed on.

Sans-I/O. A stub reads what the client shows and writes into a workspace of its own; only when it
has ended is what it wrote handed on, all of it.
"""

from collections.abc import Callable, Iterator
from typing import Any

from bolide.client.collections.local_collection import LocalCollection
from bolide.client.documents.replica import is_same
from bolide.client.events import DocumentChange
from bolide.core.errors import LocalProtocolError
from bolide.core.keys import Key
from bolide.core.values import Document

__all__ = ["Page", "Workspace"]


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
        self._pages: dict[str, Page] = {}

    def page(self, name: str) -> "Page":
        """Return the workspace of one collection."""
        page = self._pages.get(name)
        if page is None:
            page = self._pages[name] = Page(self._local(name), self.count)
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


class Page:
    """One collection as it is shown, with the changes of a stub."""

    __slots__ = ("_count", "_last_arrival", "_local", "_written")

    def __init__(self, local: LocalCollection, count: Callable[[], None]) -> None:
        """Begin without any change.

        Args:
            local: The collection as it is shown.
            count: Called before each write; raises if it is one too many.
        """
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
