"""A store that a test can slow down and let forget, within what the port allows."""

import asyncio
from collections import Counter, deque
from collections.abc import AsyncGenerator, Collection, Generator, Sequence
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from typing import Any

from tests.property.live_core.model import History

from bolide.core.errors import StateError
from bolide.core.values import Document
from bolide.server.stores.base import (
    Change,
    ChangeBatch,
    ChangeKind,
    FeedListener,
    Query,
    Receipt,
    SelectiveListener,
    Snapshot,
    Store,
    Transaction,
    WriteOperation,
)

__all__ = ["FaultyStore", "written"]

written: ContextVar[dict[str, int] | None] = ContextVar("written", default=None)
"""Where the position of a method's last write to each collection goes."""

_ANSWER_TURNS = 3  # an answer is on its way while other things happen


class FaultyStore:
    """A store between a node and the real one.

    The feed and the answers of reads can be held back; a batch of the feed can be replaced by the
    message that it was lost. An update that no listener wants is always left out.

    Attributes:
        store: The real one.
        reads: Query, as text -> how often it was read.
        losses: How often all queries had to be read again.
    """

    def __init__(self, store: Store, history: History) -> None:
        self.store = store
        self.reads: Counter[str] = Counter()
        self.losses = 0
        self.batches = 0
        self._history = history
        self._listeners: list[FeedListener] = []
        self._position: Any = None
        self._waiting: list[tuple[Any, asyncio.Future[None]]] = []
        self._batches: deque[ChangeBatch | int] = deque()
        self._holds_feed = self._holds_reads = False
        self._held_reads: list[asyncio.Future[None]] = []
        self._to_lose = 0
        self._writing = 0
        self._at_rest = asyncio.Event()
        self._at_rest.set()

    # What the port has beyond this goes straight through.
    def __getattr__(self, name: str) -> Any:
        return getattr(self.store, name)

    # Faults

    def hold_feed(self) -> None:
        """Tell of nothing more until told to."""
        self._holds_feed = True

    def hold_reads(self) -> None:
        """Answer no read until told to."""
        self._holds_reads = True

    def lose_next(self) -> None:
        """Let the next batch be lost."""
        self._to_lose += 1

    def deliver_one(self) -> None:
        """Tell of the oldest batch that is held."""
        if self._batches:
            self._deliver(self._batches.popleft())

    def answer_one(self, number: int) -> None:
        """Answer one of the reads that are held."""
        if self._held_reads:
            held = self._held_reads.pop(number % len(self._held_reads))
            if not held.done():  # who asked may have given up
                held.set_result(None)

    def release(self) -> None:
        """Hold nothing any more."""
        self._holds_feed = self._holds_reads = False
        while self._batches:
            self.deliver_one()
        while self._held_reads:
            self.answer_one(0)

    # The port

    async def open(self) -> None:
        await self.store.open()
        self._position = self.store.feed_position
        self.store.listen(self)

    async def close(self) -> None:
        self.release()
        await self.store.close()
        for _, future in self._waiting:
            if not future.done():
                future.set_exception(StateError("The store was closed."))

    async def read(self, query: Query, **options: Any) -> Snapshot:
        snapshot: Snapshot = await self.store.read(query, **options)
        self.reads[repr(query)] += 1
        if self._holds_reads:
            held = asyncio.get_running_loop().create_future()
            self._held_reads.append(held)
            await held
        for _ in range(_ANSWER_TURNS):
            await asyncio.sleep(0)
        return snapshot

    async def write(self, operation: WriteOperation, **options: Any) -> Receipt:
        with self._under_way():
            receipt: Receipt = await self.store.write(operation, **options)
            self._note(receipt)
            return receipt

    @asynccontextmanager
    async def transaction(self) -> AsyncGenerator[Transaction]:
        with self._under_way():
            async with self.store.transaction() as transaction:
                yield transaction
            if transaction.receipt is not None:
                self._note(transaction.receipt)

    @property
    def is_writing(self) -> bool:
        """Whether a write was begun whose receipt has not been noted down."""
        return not self._at_rest.is_set()

    async def at_rest(self) -> None:
        """Wait until nothing is being written: also nodes write, to each other."""
        await self._at_rest.wait()

    @property
    def feed_position(self) -> Any:
        return self._position

    def listen(self, listener: FeedListener) -> None:
        self._listeners.append(listener)

    def unlisten(self, listener: FeedListener) -> None:
        if listener in self._listeners:
            self._listeners.remove(listener)

    async def feed_reached(self, position: Any) -> None:
        await self.store.feed_reached(position)
        if not position <= self._position:
            future = asyncio.get_running_loop().create_future()
            self._waiting.append((position, future))
            await future

    # The listener of the real store

    def changes_received(self, batch: ChangeBatch) -> None:
        self._history.record(batch.changes)
        self._take(ChangeBatch(batch.position, self._wanted(batch.changes)))

    def history_lost(self, position: Any) -> None:
        self._take(position)

    def wants_update(self, collection: str, id: Any, paths: Collection[str]) -> bool:
        # Who has not been told of what is held cannot say.
        return bool(self._batches) or any(
            not isinstance(listener, SelectiveListener)
            or listener.wants_update(collection, id, paths)
            for listener in self._listeners
        )

    # Inside

    @contextmanager
    def _under_way(self) -> Generator[None]:
        self._writing += 1
        self._at_rest.clear()
        try:
            yield
        finally:
            self._writing -= 1
            if not self._writing:
                self._at_rest.set()

    def _wanted(self, changes: Sequence[Change]) -> Sequence[Change]:
        wanted: list[Change] = []
        # Nobody knows yet what the first changes of a batch are to them.
        told: set[Any] = set()
        for change in changes:
            key = (change.collection, repr(change.id))
            before, after = change.before, change.after
            if before is None or after is None or change.kind is not ChangeKind.UPDATE:
                told.add(key)
            elif key not in told:
                paths = [name for name in {**before, **after} if _differ(name, before, after)]
                if not self.wants_update(change.collection, change.id, paths):
                    continue
                told.add(key)
            wanted.append(change)
        return wanted

    def _note(self, receipt: Receipt) -> None:
        position = receipt.position
        if isinstance(position, int):
            self._history.ends.add(position)
            positions = written.get()
            if positions is not None:
                for collection in receipt.collections:
                    positions[collection] = position

    def _take(self, news: ChangeBatch | int) -> None:
        if self._to_lose and isinstance(news, ChangeBatch):
            self._to_lose -= 1
            assert isinstance(news.position, int)
            news = news.position
        if self._holds_feed:
            self._batches.append(news)
        else:
            self._deliver(news)

    def _deliver(self, news: ChangeBatch | int) -> None:
        for listener in tuple(self._listeners):
            if isinstance(news, int):
                listener.history_lost(news)
            else:
                listener.changes_received(news)
        if isinstance(news, int):
            self.losses += 1
            self._position = news
        else:
            self.batches += 1
            kinds = (change.kind for change in news.changes)
            self.losses += sum(kind is ChangeKind.COLLECTION_LOST for kind in kinds)
            self._position = news.position
        waiting, self._waiting = self._waiting, []
        for wanted, future in waiting:
            if not wanted <= self._position:
                self._waiting.append((wanted, future))
            elif not future.done():
                future.set_result(None)


def _differ(name: str, before: Document, after: Document) -> bool:
    return name not in before or name not in after or before[name] != after[name]
