"""Polling: live queries that are read again because nobody can match changes for them."""

from collections.abc import Iterable, Sequence
from typing import Final, Protocol

__all__ = ["POLL_PAUSE_S", "Pollable", "Polled"]

POLL_PAUSE_S: Final = 0.05
"""Least time from the beginning of one reading of a polled query to that of the next, seconds."""


class Pollable(Protocol):
    """A live query that is polled."""

    def poll(self, because: str) -> None:
        """Read it again, soon and once for all who ask meanwhile.

        Args:
            because: Who asks, in a word; no value.
        """
        ...


class Polled:
    """The polled queries of a node, by the collections that they read."""

    def __init__(self) -> None:
        """Begin without any."""
        self._by_collection: dict[str, dict[Pollable, None]] = {}

    def add(self, query: Pollable, collections: Iterable[str]) -> None:
        """Let a query be found by the collections that it reads; harmless a second time."""
        for collection in collections:
            self._by_collection.setdefault(collection, {})[query] = None

    def remove(self, query: Pollable) -> None:
        """Let it be found no more; harmless if it is not there."""
        for collection, queries in tuple(self._by_collection.items()):
            queries.pop(query, None)
            if not queries:
                del self._by_collection[collection]

    def reading(self, collection: str) -> Sequence[Pollable]:
        """Return the queries that read a collection."""
        return tuple(self._by_collection.get(collection, ()))
