"""The fence of an invocation: how far live queries must be before ``updated`` is sent."""

import asyncio
from collections.abc import Awaitable, Iterable

from bolide.server.stores.base import Position

__all__ = ["Fence"]


class Fence(dict[str, Position]):
    """Collection -> position of the last write to it; of some it is not known yet."""

    def __init__(self) -> None:
        """Begin without a write."""
        super().__init__()
        self._unknown: list[tuple[frozenset[str], Awaitable[Position]]] = []

    def __bool__(self) -> bool:
        """Tell whether there is anything to wait for."""
        return len(self) > 0 or bool(self._unknown)

    def reached(self, collection: str, position: Position) -> None:
        """Move forward for one collection, never back.

        Args:
            collection: Name of the collection.
            position: Of a write, or of a read that saw it.
        """
        before = self.get(collection)
        if before is None or before < position:
            self[collection] = position

    def will_reach(self, collections: Iterable[str], position: Awaitable[Position]) -> None:
        """Move forward as soon as it is known how far.

        Args:
            collections: Where it may have been written.
            position: Ends with a position; may be awaited several times.
        """
        self._unknown.append((frozenset(collections), position))

    async def known(self) -> None:
        """Wait until all positions are known.

        Raises:
            StateError: If the store was closed before.
        """
        while self._unknown:
            each = self._unknown[0]
            collections, awaited = each
            try:
                position = await asyncio.shield(awaited)
            finally:
                if each in self._unknown:
                    self._unknown.remove(each)
            for collection in collections:
                self.reached(collection, position)
