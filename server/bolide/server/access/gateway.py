"""The gateway: the one way from an app's collections to its store.

Whatever passes is checked against the running invocation's decision, joins the open transaction,
and what is written moves the invocation's fence.
"""

from collections.abc import AsyncGenerator, Generator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from contextvars import ContextVar
from typing import Any, ClassVar

from pymongo.errors import OperationFailure, PyMongoError

from bolide.core.errors import StateError
from bolide.core.values import Document
from bolide.server.access.invocation import current
from bolide.server.explained import Explained, NotRunning
from bolide.server.stores.base import (
    IndexSpec,
    Query,
    Receipt,
    Store,
    Transaction,
    WriteOperation,
)

__all__ = ["Gateway", "NotInTransaction"]


class NotInTransaction(Explained, StateError):
    """Something that cannot be part of a transaction."""

    code: ClassVar[str] = "not-in-transaction"

    def __init__(self, action: str) -> None:
        """Keep what was asked for.

        Args:
            action: Such as ``"distinct"``.
        """
        super().__init__(action)
        self.action = action

    def __str__(self) -> str:
        """Say where it works."""
        return f"{self.action} cannot be part of app.transaction(): use it before or after."


class Gateway:
    """The way to the store of one app."""

    def __init__(self) -> None:
        """Begin without a store."""
        self._store: Store | None = None
        self._transaction: ContextVar[Transaction | None] = ContextVar(
            "bolide_transaction", default=None
        )

    @property
    def store(self) -> Store:
        """The store.

        Raises:
            NotRunning: If none is attached.
        """
        if self._store is None:
            raise NotRunning
        return self._store

    def attach(self, store: Store) -> None:
        """Use a store from now on; the node opens and closes it.

        Raises:
            StateError: If there is one already.
        """
        if self._store is not None:
            raise StateError("The app runs already; one app is served by one node per process.")
        self._store = store

    def detach(self) -> None:
        """Use no store from now on."""
        self._store = None

    async def read(self, query: Query) -> Sequence[Document]:
        """Read documents; they are shared and must not be changed."""
        self._check("read", query.collection)
        transaction = self._transaction.get()
        if transaction is not None:
            return await transaction.read(query)
        return (await self.store.read(query)).documents

    async def count(self, query: Query) -> int:
        """Count the documents of a query."""
        self._check("counted", query.collection)
        transaction = self._transaction.get()
        if transaction is not None:
            return len(await transaction.read(query))
        return await self.store.count(query)

    async def distinct(self, collection: str, path: str, selector: Mapping[str, Any]) -> list[Any]:
        """Return the different values at a path.

        Raises:
            NotInTransaction: Inside ``app.transaction()``.
        """
        self._check("read", collection)
        self._check_no_transaction("distinct")
        return await self.store.distinct(collection, path, selector)

    async def write(self, operation: WriteOperation) -> Receipt:
        """Apply an operation, and move the fence of the running invocation."""
        self._check("wrote to", operation.collection)
        transaction, invocation = self._transaction.get(), current()
        claim = None if invocation is None else invocation.claim
        if transaction is not None:
            if claim is not None:
                return await claim.write_within(transaction, operation)
            return await transaction.write(operation)
        store = self.store
        if invocation is None:
            return await store.write(operation)
        try:
            if claim is None:
                receipt = await store.write(operation)
            else:
                receipt = await claim.write(store, operation)
        except OperationFailure:
            # Documents before the one that failed may be written, and no receipt says where. A
            # read sees them, so its position is not before theirs.
            with suppress(PyMongoError):
                snapshot = await store.read(Query(collection=operation.collection, limit=1))
                invocation.reached(operation.collection, snapshot.position)
            raise
        invocation.wrote(receipt)
        return receipt

    async def create_index(self, collection: str, index: IndexSpec) -> str:
        """Make sure that an index exists; returns its name."""
        self._check("made an index of", collection)
        self._check_no_transaction("create_index")
        return await self.store.create_index(collection, index)

    async def drop_index(self, collection: str, name: str) -> None:
        """Remove an index."""
        self._check("dropped an index of", collection)
        self._check_no_transaction("drop_index")
        await self.store.drop_index(collection, name)

    @asynccontextmanager
    async def transaction(self) -> AsyncGenerator[None]:
        """Let all reads and writes of the block commit together, or not at all.

        Raises:
            NotInTransaction: If one is open already.
        """
        self._check_no_transaction("app.transaction()")
        invocation, store = current(), self.store
        claim = None if invocation is None else invocation.claim
        if claim is not None:
            await claim.find_out(store)
        try:
            async with store.transaction() as transaction:
                with self._joined(transaction):
                    yield
        except BaseException:
            if claim is not None:
                claim.not_committed()
            raise
        if claim is not None:
            claim.committed()
        if invocation is not None and transaction.receipt is not None:
            invocation.wrote(transaction.receipt)

    @contextmanager
    def _joined(self, transaction: Transaction) -> Generator[None]:
        token = self._transaction.set(transaction)
        try:
            yield
        finally:
            self._transaction.reset(token)

    def _check(self, action: str, collection: str) -> None:
        invocation = current()
        if invocation is not None:
            invocation.check_exit(f"{action} {collection}")

    def _check_no_transaction(self, action: str) -> None:
        if self._transaction.get() is not None:
            raise NotInTransaction(action)
