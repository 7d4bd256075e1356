"""Polling: live queries that are read again because nobody can match changes for them."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import Final, Protocol

from bolide.server.clock import Clock, Timer
from bolide.server.stores.base import Position

__all__ = ["POLL_INTERVAL_S", "POLL_PAUSE_S", "Pace", "Pollable", "Polled"]

POLL_PAUSE_S: Final = 0.05
"""Least time from the beginning of one reading of a polled query to that of the next, seconds."""

POLL_INTERVAL_S: Final = 10.0
"""Most time between them, if nothing is heard of changes and the database answers, seconds."""


class Pollable(Protocol):
    """A live query that is polled."""

    def poll(self, because: str) -> None:
        """Read it again, soon and once for all who ask meanwhile.

        Args:
            because: Who asks, in a word; no value.
        """
        ...

    def joined_changed(self, collection: str, position: Position) -> None:
        """Learn of a change of a collection that it reads beside its own.

        Args:
            collection: Which one; may be its own.
            position: Of the change.
        """
        ...


class Polled:
    """The polled queries of a node, by the collections that they read."""

    def __init__(self) -> None:
        """Begin without any."""
        self._by_collection: dict[str, dict[Pollable, None]] = {}

    def __bool__(self) -> bool:
        return bool(self._by_collection)

    def add(self, query: Pollable, collections: Iterable[str]) -> None:
        """Let a query be found by the collections that it reads; harmless a second time."""
        for collection in collections:
            self._by_collection.setdefault(collection, {})[query] = None

    def remove(self, query: Pollable, collections: Iterable[str]) -> None:
        """Let it be found by these collections no more; harmless if it is not."""
        for collection in collections:
            queries = self._by_collection.get(collection, {})
            queries.pop(query, None)
            if not queries:
                self._by_collection.pop(collection, None)

    def reading(self, collection: str) -> Sequence[Pollable]:
        """Return the queries that read a collection."""
        return tuple(self._by_collection.get(collection, ()))


class Pace:
    """When a polled query is read: as soon as somebody asks, but not too often; and now and again.

    Args:
        clock: The time.
        interval_s: When it is read at the latest, seconds after the last reading began.
        due: Called then.
    """

    def __init__(self, clock: Clock, interval_s: float, due: Callable[[], object]) -> None:
        """Begin before the first reading."""
        self._clock = clock
        self._interval_s = interval_s
        self._due = due
        self._next = clock.now()
        self._timer: Timer | None = None

    async def wait(self) -> None:
        """Wait until it may be read."""
        if self._clock.now() < self._next:
            over = asyncio.Event()
            timer = self._clock.call_at(self._next, over.set)
            try:
                await over.wait()
            finally:
                timer.cancel()

    def begin(self) -> None:
        """Take this as the beginning of a reading."""
        self.stop()
        now = self._clock.now()
        self._next = now + POLL_PAUSE_S
        self._timer = self._clock.call_at(now + self._interval_s, self._due)

    def stop(self) -> None:
        """Call nobody any more; harmless a second time."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
