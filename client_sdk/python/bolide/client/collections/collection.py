"""Collections and queries as a program uses them."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Generator, Mapping
from contextlib import contextmanager
from typing import Any

from bolide.client.collections.changes import Change
from bolide.client.collections.difference import Row
from bolide.client.collections.local_collection import LocalCollection
from bolide.client.collections.observer import (
    EVERYTHING,
    ChangeReader,
    Observer,
    Selection,
    Selector,
    Sort,
)
from bolide.core.values import Document

__all__ = ["Collection", "Query"]


class Query:
    """One query over a local collection; made by :meth:`Collection.find`.

    Documents are shared between all readers and must not be altered.
    """

    __slots__ = ("_collection", "_selection")

    def __init__(self, collection: LocalCollection, selection: Selection) -> None:
        """Look at a collection through a compiled query."""
        self._collection = collection
        self._selection = selection

    def fetch(self) -> list[Document]:
        """Return the documents of now.

        Raises:
            MinimongoError: If the query does not fit a document.
        """
        return self._collection.fetch(self._selection)

    def count(self) -> int:
        """Return how many documents there are now, ``skip`` and ``limit`` included.

        Raises:
            MinimongoError: If the query does not fit a document.
        """
        return len(self.fetch())

    async def results(self) -> AsyncGenerator[list[Document], None]:
        """Yield the result of now, and the newest one after each change.

        Ends when the client has ended.

        Raises:
            MinimongoError: If the query does not fit a document.
        """
        wake = asyncio.Event()
        with self._observing(wake.set) as observer:
            shown: list[Row] | None = None
            while True:
                wake.clear()
                rows = observer.rows()
                if shown is None or not _is_same(shown, rows):
                    shown = rows
                    yield [row.document for row in rows]
                elif self._collection.is_closed:
                    return
                else:
                    await wake.wait()

    async def changes(self) -> AsyncGenerator[Change, None]:
        """Yield the result of now as additions, and then every change.

        A reader that is late gets the difference to what it saw. Ends when the client has ended.

        Raises:
            MinimongoError: If the query does not fit a document.
        """
        wake = asyncio.Event()
        with self._observing(wake.set) as observer:
            reader = ChangeReader(observer)
            while True:
                wake.clear()
                changes = reader.read()
                for change in changes:
                    yield change
                if changes:
                    continue
                if self._collection.is_closed:
                    return
                await wake.wait()

    @contextmanager
    def _observing(self, on_change: Callable[[], None]) -> Generator[Observer]:
        observer = self._collection.observe(self._selection, on_change)
        try:
            yield observer
        finally:
            self._collection.stop(observer)


class Collection:
    """What all subscriptions brought of one collection; made by :meth:`Client.collection`."""

    __slots__ = ("_local",)

    def __init__(self, local: LocalCollection) -> None:
        """Show a local collection."""
        self._local = local

    @property
    def name(self) -> str:
        """Its name."""
        return self._local.name

    def find(
        self,
        selector: Selector = EVERYTHING,
        *,
        sort: Sort = None,
        skip: int = 0,
        limit: int | None = None,
        projection: Mapping[str, Any] | None = None,
    ) -> Query:
        """Return a query; nothing is computed yet.

        Args:
            selector: MongoDB selector, or an id; all documents where it is left out. None selects
                nothing: it is more often a missing id than the wish for everything.
            sort: ``[("bed", 1), ("name", -1)]`` or ``{"bed": 1}``; equal ones, and all without
                it, keep the order of arrival.
            skip: How many at the beginning are left out.
            limit: How many at most; None for all.
            projection: Which fields are shown, ``{"name": 1}`` or ``{"notes": 0}``.

        Raises:
            MinimongoError: If one of them is not understood.
        """
        selection = Selection(selector, sort=sort, skip=skip, limit=limit, projection=projection)
        return Query(self._local, selection)

    def find_one(
        self,
        selector: Selector = EVERYTHING,
        *,
        sort: Sort = None,
        skip: int = 0,
        projection: Mapping[str, Any] | None = None,
    ) -> Document | None:
        """Return the first document of a query, or None.

        Args:
            selector: As in :meth:`find`.
            sort: As in :meth:`find`.
            skip: As in :meth:`find`.
            projection: As in :meth:`find`.

        Raises:
            MinimongoError: If one of them is not understood, or does not fit a document.
        """
        found = self.find(selector, sort=sort, skip=skip, limit=1, projection=projection).fetch()
        return found[0] if found else None


def _is_same(before: list[Row], after: list[Row]) -> bool:
    return len(before) == len(after) and all(a is b for a, b in zip(before, after, strict=True))
