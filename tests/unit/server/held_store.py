"""A memory store that counts its reads, and holds their answers back when a test says so."""

import asyncio

from bolide.server.stores.base import Position, Query, Snapshot
from bolide.server.stores.memory import MemoryStore


class HeldStore(MemoryStore):
    """A store in the hands of a test.

    Attributes:
        reads: What was read, in order.
        error: What reads raise instead of answering.
    """

    def __init__(self) -> None:
        super().__init__()
        self.reads: list[Query] = []
        self.error: Exception | None = None
        self._held: set[str] = set()
        self._is_reading = asyncio.Event()
        self._released = asyncio.Event()

    def hold(self, collection: str) -> None:
        """Let reads of a collection wait from now on."""
        self._held.add(collection)
        self._is_reading.clear()
        self._released.clear()

    def release(self) -> None:
        """Let all reads go on."""
        self._held.clear()
        self._released.set()

    async def held(self) -> None:
        """Wait until a read waits."""
        await self._is_reading.wait()

    async def read(self, query: Query, *, after: Position | None = None) -> Snapshot:
        self.reads.append(query)
        snapshot = await super().read(query, after=after)
        if query.collection in self._held:
            self._is_reading.set()
            await self._released.wait()
        if self.error is not None:
            raise self.error
        return snapshot
