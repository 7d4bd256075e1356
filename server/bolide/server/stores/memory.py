"""The memory store: for tests of apps, and for what need not outlive the process."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

from bolide.core.errors import StateError
from bolide.server.clock import Clock
from bolide.server.limits import STORE_MAX_BYTES
from bolide.server.stores.base import Change, ChangeBatch, Transaction
from bolide.server.stores.embedded.database import Database
from bolide.server.stores.embedded.store import EmbeddedStore, EmbeddedTransaction
from bolide.server.stores.embedded.transaction import TRANSACTION_LIFETIME_S, OpenTransaction
from bolide.server.stores.embedded.workspace import Workspace
from bolide.server.stores.feed import Feed

__all__ = ["MemoryStore"]

_Result = TypeVar("_Result")


class MemoryStore(EmbeddedStore):
    """Documents in memory, gone with the store.

    While a transaction is open all other writes wait; reads see what is committed. The feed tells
    in one batch what was written in one turn of the event loop.
    """

    def __init__(
        self,
        *,
        clock: Clock | None = None,
        transaction_lifetime_s: float = TRANSACTION_LIFETIME_S,
        store_max_bytes: int = STORE_MAX_BYTES,
    ) -> None:
        """Make an empty store.

        Args:
            clock: Ends transactions that take too long; None is the system's clock.
            transaction_lifetime_s: Longest life of a transaction, seconds.
            store_max_bytes: Most bytes of BSON of all documents together.
        """
        super().__init__(clock, store_max_bytes)
        self._transaction_lifetime_s = transaction_lifetime_s
        self._database = Database(max_size=store_max_bytes)
        self._writer = asyncio.Lock()
        self._untold: list[Change] = []
        self._is_telling = False

    async def open(self) -> None:
        """Start the feed."""
        if self._feed is not None:
            raise StateError("The store is open already.")
        self._feed = Feed(self._database.position)

    async def close(self) -> None:
        """End the feed, after all that was written."""
        if self._feed is not None:
            self._tell()
            self._feed.close()
            self._feed = None

    @property
    def document_bytes(self) -> int:
        """Bytes of BSON of all documents."""
        return self._database.size

    @asynccontextmanager
    async def transaction(self) -> AsyncGenerator[Transaction]:
        """Group reads and writes; commits on leaving the block."""
        self._open_feed()
        await self._writer.acquire()
        opened = OpenTransaction(Workspace(self._database), self._writer.release)
        timer = self._clock.call_at(
            self._clock.now() + self._transaction_lifetime_s,
            lambda: opened.expire(self._transaction_lifetime_s),
        )

        async def run(work: Callable[[Workspace], _Result]) -> _Result:
            return opened.run(work)

        transaction = EmbeddedTransaction(run, self._clock)
        try:
            yield transaction
            opened.check()
            position = opened.workspace.position if opened.workspace.entries else None
            self._commit(opened.workspace)
            transaction.committed(position)
        finally:
            timer.cancel()
            opened.end()

    async def _reading(self, work: Callable[[Database], _Result]) -> _Result:
        self._open_feed()
        return work(self._database)

    async def _writing(self, work: Callable[[Workspace], _Result]) -> _Result:
        self._open_feed()
        async with self._writer:
            workspace = Workspace(self._database)
            try:
                return work(workspace)
            finally:
                self._commit(workspace)

    def _commit(self, workspace: Workspace) -> None:
        for entry in workspace.entries:
            change = self._database.apply(entry)
            if change is not None:
                self._untold.append(change)
        if workspace.entries:
            self._watch_size()
        if workspace.entries and not self._is_telling:
            self._is_telling = True
            asyncio.get_running_loop().call_soon(self._tell)

    def _tell(self) -> None:
        self._is_telling = False
        changes, self._untold = self._untold, []
        if self._feed is not None and self._feed.position < self._database.position:
            self._feed.deliver(ChangeBatch(self._database.position, changes))
