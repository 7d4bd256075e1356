"""A window on ordered documents that is kept up to date without reading all of them.

Of the documents in an order, a window publishes some: after the first ``skip``, the next ``limit``.
It holds all up to there and a buffer beyond, and knows its *boundary*: whatever it does not hold
comes after it. So a document that enters, leaves or moves is placed by bisection, the next one
moves up from the buffer, and only when the buffer has run dry somebody must read again. What is
published is at each moment what a query would return, or :attr:`Window.must_be_read` is set.
"""

from bisect import bisect_left
from collections.abc import Iterable, Sequence

# Keys made by cmp_to_key() have no name to declare.
from typing import Any

from bolide.core.keys import Key
from bolide.core.minimongo.sorter import Sorter
from bolide.core.values import Document

__all__ = ["Window"]


class Window:
    """The documents of one window, and those held around it.

    Args:
        sorter: The order; one without ties, so ``_id`` is in it.
        skip: Documents left out at the start.
        limit: Most documents published; 0 is no limit.
        buffer: Documents held beyond these after a reading; twice as many before they are cut.

    Attributes:
        published: Key of the ``_id`` -> document, in no particular order.
        must_be_read: What is published is not known any more, until :meth:`load`.
    """

    __slots__ = (
        "_boundary",
        "_buffer",
        "_end",
        "_held",
        "_ids",
        "_is_ordered",
        "_keys",
        "_skip",
        "_sorter",
        "_touched",
        "must_be_read",
        "published",
    )

    def __init__(self, sorter: Sorter, *, skip: int = 0, limit: int = 0, buffer: int = 0) -> None:
        """Begin without documents; there are none elsewhere."""
        self.published: dict[Key, Document] = {}
        self.must_be_read = False
        self._sorter = sorter
        self._skip = skip
        self._end = skip + limit if limit else None
        self._buffer = buffer
        # Sort keys in order, the ids beside them, and both with the document by id.
        self._keys: list[Any] = []
        self._ids: list[Key] = []
        self._held: dict[Key, tuple[Any, Document]] = {}
        # Key and id of the last document before those that are not held; None: all are held.
        self._boundary: tuple[Any, Key] | None = None
        self._is_ordered = True
        self._touched: dict[Key, None] = {}

    @property
    def capacity(self) -> int:
        """How many documents a reading is to return, from the first on; 0 is all."""
        return 0 if self._end is None else self._end + self._buffer

    def __len__(self) -> int:
        return len(self._ids)

    def __contains__(self, id: object) -> bool:
        return id in self._held

    def load(self, documents: Sequence[tuple[Key, Document]]) -> None:
        """Take the result of a reading.

        Args:
            documents: Key of the ``_id`` and document, in order, without skipping; fewer than
                :attr:`capacity` are all that there are.
        """
        self._touch(self._held)
        self._keys = [self._sorter.key(document) for _, document in documents]
        self._ids = [id for id, _ in documents]
        self._held = {
            id: (key, document) for key, (id, document) in zip(self._keys, documents, strict=True)
        }
        self._touch(self._held)
        self.published = dict(documents[self._skip : self._end])
        is_complete = self._end is None or len(documents) < self.capacity
        self._boundary = None if is_complete else (self._keys[-1], self._ids[-1])
        # A database may break ties in its own way, where two ids are equal in our order.
        self._is_ordered = all(
            self._keys[index] < self._keys[index + 1] for index in range(len(self._keys) - 1)
        )
        self.must_be_read = False

    def put(self, id: Key, document: Document) -> None:
        """Take a document that matches, new or changed.

        Args:
            id: Key of its ``_id``.
            document: All of it; shared, never to be changed.

        Raises:
            MinimongoError: If it has no place in the order.
        """
        key = self._sorter.key(document)
        held = self._held.get(id)
        if held is not None:
            if held[0] == key:
                self._replace(id, key, document)
                return
            self._remove(id, held[0])
        if self._boundary is None or key <= self._boundary[0]:
            self._place(id, key, document)
        self._look_for_shortage()

    def discard(self, id: Key) -> None:
        """Take away a document that matches no longer; harmless if it is not held."""
        held = self._held.get(id)
        if held is not None:
            self._remove(id, held[0])
            self._look_for_shortage()

    def take_touched(self) -> list[Key]:
        """Return the ids of documents that may have entered, left or changed since the last call.

        They are those of documents held or published, before or now.
        """
        touched = list(self._touched)
        self._touched.clear()
        return touched

    # Inside

    def _touch(self, ids: Iterable[Key]) -> None:
        self._touched.update(dict.fromkeys(ids))

    def _replace(self, id: Key, key: Any, document: Document) -> None:
        """Change a document that keeps its place."""
        self._held[id] = (key, document)
        self._touched[id] = None
        if id in self.published:
            self.published[id] = document

    def _remove(self, id: Key, key: Any) -> None:
        if not self._is_ordered:
            self.must_be_read = True
            return
        index = bisect_left(self._keys, key)
        del self._keys[index], self._ids[index], self._held[id]
        self._touched[id] = None
        if self._end is None or index < self._end:
            self._move_up(index, id)

    def _place(self, id: Key, key: Any, document: Document) -> None:
        """Put a document where it belongs; only a reading can tell which of a tie comes first."""
        index = bisect_left(self._keys, key)
        is_tie = index < len(self._keys) and self._keys[index] == key
        if self._boundary is not None and key == self._boundary[0]:
            is_tie = is_tie or id != self._boundary[1]
        if is_tie or not self._is_ordered:
            self.must_be_read = True
            return
        self._insert(index, id, key, document)
        self._cut()

    def _insert(self, index: int, id: Key, key: Any, document: Document) -> None:
        self._keys.insert(index, key)
        self._ids.insert(index, id)
        self._held[id] = (key, document)
        self._touched[id] = None
        end = self._end
        if end is not None and index >= end:
            return
        if index >= self._skip:
            self.published[id] = document
        elif len(self._ids) > self._skip:
            self._publish(self._ids[self._skip])
        if end is not None and len(self._ids) > end:
            self._withdraw(self._ids[end])

    def _move_up(self, index: int, id: Key) -> None:
        """Publish what follows, after a document before the end was taken away."""
        if index >= self._skip:
            del self.published[id]
        elif len(self._ids) >= self._skip:
            self._withdraw(self._ids[self._skip - 1])
        if self._end is not None and len(self._ids) >= self._end:
            self._publish(self._ids[self._end - 1])

    def _publish(self, id: Key) -> None:
        self.published[id] = self._held[id][1]
        self._touched[id] = None

    def _withdraw(self, id: Key) -> None:
        del self.published[id]
        self._touched[id] = None

    def _cut(self) -> None:
        """Let go of the far end of a buffer that has grown to twice its size."""
        if self._end is None or len(self._ids) <= self._end + 2 * self._buffer:
            return
        for id in self._ids[self.capacity :]:
            del self._held[id]
            self._touched[id] = None
        del self._keys[self.capacity :], self._ids[self.capacity :]
        self._boundary = (self._keys[-1], self._ids[-1])

    def _look_for_shortage(self) -> None:
        if self._boundary is not None and self._end is not None and len(self._ids) < self._end:
            self.must_be_read = True
