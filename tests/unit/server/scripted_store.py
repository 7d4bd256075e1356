"""A store that writes down what it is asked and answers what a test told it."""

from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from bolide.core.values import Document
from bolide.server.stores.base import (
    AccessFilter,
    FeedListener,
    IndexSpec,
    Insert,
    Position,
    Query,
    Receipt,
    Snapshot,
    Transaction,
    WriteOperation,
)


class ScriptedTransaction:
    """A transaction of a :class:`ScriptedStore`."""

    def __init__(self, store: "ScriptedStore") -> None:
        self.receipt: Receipt | None = None
        self._store = store

    async def read(self, query: Query) -> Sequence[Document]:
        self._store.asked.append(("transaction read", query))
        return self._store.documents

    async def write(self, operation: WriteOperation) -> Receipt:
        self._store.asked.append(("transaction write", operation))
        return self._store.receipt


class ScriptedStore:
    """A store port in the hands of a test.

    Attributes:
        asked: What was asked, in order.
        documents: What reads answer.
        position: Where reads answer from.
        receipt: What writes answer.
        values: What ``distinct`` answers.
        committed: The receipt of a transaction.
        access: The filter that ``distinct`` was given.
        write_error: What writes raise instead.
        read_error: What reads raise instead.
    """

    def __init__(self) -> None:
        self.asked: list[tuple[str, Any]] = []
        self.documents: list[Document] = []
        self.position: Any = 1
        self.receipt = Receipt()
        self.values: list[Any] = []
        self.committed: Receipt | None = None
        self.access: AccessFilter | None = None
        self.write_error: Exception | None = None
        self.read_error: Exception | None = None

    @property
    def last(self) -> Any:
        return self.asked[-1][1]

    async def open(self) -> None: ...

    async def close(self) -> None: ...

    async def read(self, query: Query, *, after: Position | None = None) -> Snapshot:
        self.asked.append(("read", query))
        if self.read_error is not None:
            raise self.read_error
        return Snapshot(self.position, self.documents)

    async def count(self, query: Query) -> int:
        self.asked.append(("count", query))
        return len(self.documents)

    async def distinct(
        self,
        collection: str,
        path: str,
        selector: Mapping[str, Any],
        *,
        access: AccessFilter | None = None,
    ) -> list[Any]:
        self.asked.append(("distinct", (collection, path, selector)))
        self.access = access
        return self.values

    async def write(self, operation: WriteOperation, *, first: Insert | None = None) -> Receipt:
        if first is not None:
            self.asked.append(("first", first))
        self.asked.append(("write", operation))
        if self.write_error is not None:
            raise self.write_error
        return self.receipt

    @asynccontextmanager
    async def transaction(self) -> AsyncGenerator[Transaction]:
        transaction = ScriptedTransaction(self)
        yield transaction
        transaction.receipt = self.committed

    async def create_index(self, collection: str, index: IndexSpec) -> str:
        self.asked.append(("create_index", (collection, index)))
        return "made"

    async def drop_index(self, collection: str, name: str) -> None:
        self.asked.append(("drop_index", (collection, name)))

    async def indexes(self, collection: str) -> Sequence[IndexSpec]:
        return ()

    async def drop_collection(self, collection: str) -> None: ...

    @property
    def feed_position(self) -> Position:
        position: Position = self.position
        return position

    async def latest_position(self) -> Position:
        return self.feed_position

    def declare(self, collections: Iterable[str]) -> None: ...

    def listen(self, listener: FeedListener) -> None: ...

    def unlisten(self, listener: FeedListener) -> None: ...

    async def feed_reached(self, position: Position) -> None: ...
