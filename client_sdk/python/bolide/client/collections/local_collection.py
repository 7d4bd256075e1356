"""The local copy of one collection.

Sans-I/O: documents in, results of queries out.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from bolide.client.collections.observer import Observer, Selection
from bolide.core.keys import Key, key_of
from bolide.core.values import Document

__all__ = ["LocalCollection"]


class LocalCollection:
    """Documents in the order of their arrival, and the observers that look at them.

    Attributes:
        name: Name of the collection.
        is_closed: No more changes will come.
    """

    __slots__ = ("_documents", "_last_arrival", "_observers", "is_closed", "name")

    def __init__(self, name: str) -> None:
        """Begin empty."""
        self.name = name
        self.is_closed = False
        self._documents: dict[Key, tuple[int, Document]] = {}
        self._observers: dict[Observer, Callable[[], None]] = {}
        self._last_arrival = 0

    @property
    def last_arrival(self) -> int:
        """The highest arrival that was given to a document."""
        return self._last_arrival

    def entry(self, key: Key) -> tuple[int, Document] | None:
        """Return arrival and document, or None."""
        return self._documents.get(key)

    def entries(self) -> Iterator[tuple[Key, int, Document]]:
        """Yield key, arrival and document of each."""
        for key, (arrival, document) in self._documents.items():
            yield key, arrival, document

    # An ``_id`` is what the application made it: mostly str or ObjectId.
    def put(self, document_id: Any, document: Document | None) -> None:
        """Take one document as it is now; it is not copied.

        Args:
            document_id: Its ``_id``.
            document: The whole document; None if it is gone.
        """
        key = key_of(document_id)
        known = self._documents.get(key)
        if known is None:
            self._last_arrival += 1
        arrival = self._last_arrival if known is None else known[0]
        if document is not None:
            self._documents[key] = (arrival, document)
        elif known is not None:
            del self._documents[key]
        for observer in list(self._observers):
            observer.document_changed(key, arrival, document)

    def observe(self, selection: Selection, on_change: Callable[[], None]) -> Observer:
        """Compute a result and keep it current until :meth:`stop`.

        Args:
            selection: The query.
            on_change: Called when the result may have changed, and when the collection is closed.

        Raises:
            MinimongoError: If the query does not fit a document.
        """
        observer = Observer(selection, self._candidates(selection), on_change)
        self._observers[observer] = on_change
        return observer

    def stop(self, observer: Observer) -> None:
        """Let an observer go."""
        del self._observers[observer]

    def fetch(self, selection: Selection) -> list[Document]:
        """Return what a query shows now.

        Raises:
            MinimongoError: If the query does not fit a document.
        """
        observer = Observer(selection, self._candidates(selection), lambda: None)
        return [row.document for row in observer.rows()]

    def close(self) -> None:
        """End all observers; they keep their last result."""
        self.is_closed = True
        for on_change in list(self._observers.values()):
            on_change()

    def _candidates(self, selection: Selection) -> Iterable[tuple[Key, int, Document]]:
        if selection.only_key is None:
            return self.entries()
        known = self._documents.get(selection.only_key)
        return [] if known is None else [(selection.only_key, *known)]
