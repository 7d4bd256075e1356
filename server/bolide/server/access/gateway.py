"""The gateway: the one way from an app's collections to its store.

Whatever passes is checked against the running invocation's decision, joins the open transaction,
and what is written moves the invocation's fence.

A collection with access scopes asks with a filter in which no scope is open. Here, and nowhere
else, it becomes the invocation's own filter, or none for trusted code: what misses this gate finds
nothing.
"""

from collections.abc import AsyncGenerator, Generator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from contextvars import ContextVar
from dataclasses import replace
from typing import Any, ClassVar, TypeVar

from pymongo.errors import OperationFailure, PyMongoError

from bolide.core.errors import AuthError, StateError
from bolide.core.values import Document
from bolide.server.access.invocation import current
from bolide.server.logging.explained import Explained, NotRunning
from bolide.server.stores.access import AccessRefused
from bolide.server.stores.base import (
    IndexSpec,
    Query,
    Receipt,
    Store,
    Transaction,
    WriteOperation,
    WriteOutcomeUnknown,
)

__all__ = ["Gateway", "NotInTransaction", "TrustedOnly"]

_Asked = TypeVar("_Asked", bound=Query | WriteOperation)


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


class TrustedOnly(Explained, StateError):
    """A handler did to a collection with access scopes what concerns all its documents."""

    code: ClassVar[str] = "trusted-only"

    def __init__(self, handler: str, action: str) -> None:
        """Keep what happened.

        Args:
            handler: Kind and name.
            action: What it did, in the past tense.
        """
        super().__init__(handler, action)
        self.handler = handler
        self.action = action

    def __str__(self) -> str:
        """Say where it works."""
        return (
            f"The {self.handler} {self.action}, which has access=:"
            " that concerns documents of all access scopes, so do it in @app.on_startup."
        )


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

    def admitted(self, asked: _Asked, action: str) -> _Asked:
        """Return a query or operation with the access filter of the running invocation.

        Args:
            asked: As a collection made it.
            action: What is done with it, in the past tense, for the error.

        Raises:
            UndecidedAccess: If nobody decided.
            UnopenedAccess: If the collection has access scopes and none is open.
        """
        invocation, closed = current(), asked.access
        if invocation is None:
            return asked if closed is None else replace(asked, access=None)
        what = f"{action} {asked.collection}"
        if closed is None:
            invocation.check_exit(what)
            return asked
        return replace(asked, access=replace(closed, scopes=invocation.open_scopes(what)))

    async def read(self, query: Query) -> Sequence[Document]:
        """Read documents; they are shared and must not be changed."""
        query = self.admitted(query, "read")
        transaction = self._transaction.get()
        if transaction is not None:
            return await transaction.read(query)
        return (await self.store.read(query)).documents

    async def count(self, query: Query) -> int:
        """Count the documents of a query."""
        query = self.admitted(query, "counted")
        transaction = self._transaction.get()
        if transaction is not None:
            return len(await transaction.read(query))
        return await self.store.count(query)

    async def distinct(self, query: Query, path: str) -> list[Any]:
        """Return the different values at a path.

        Raises:
            NotInTransaction: Inside ``app.transaction()``.
        """
        query = self.admitted(query, "read")
        self._check_no_transaction("distinct")
        return await self.store.distinct(
            query.collection, path, query.selector, access=query.access
        )

    async def write(self, operation: WriteOperation) -> Receipt:
        """Apply an operation, and move the fence of the running invocation.

        Raises:
            AuthError: If it would leave the open access scopes.
        """
        operation = self.admitted(operation, "wrote to")
        try:
            return await self._write(operation)
        except AccessRefused as refusal:
            raise AuthError from refusal

    async def _write(self, operation: WriteOperation) -> Receipt:
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
                invocation.fence.reached(operation.collection, snapshot.position)
            raise
        except WriteOutcomeUnknown as unknown:
            invocation.may_have_written(unknown)
            raise
        invocation.wrote(receipt)
        return receipt

    async def create_index(self, query: Query, index: IndexSpec) -> str:
        """Make sure that an index exists; returns its name.

        Args:
            query: Of the collection.
            index: The index.

        Raises:
            TrustedOnly: If the collection has access scopes and a handler asks.
        """
        self.check_whole(query, "made an index of")
        self._check_no_transaction("create_index")
        return await self.store.create_index(query.collection, index)

    async def drop_index(self, query: Query, name: str) -> None:
        """Remove an index; as :meth:`create_index`."""
        self.check_whole(query, "dropped an index of")
        self._check_no_transaction("drop_index")
        await self.store.drop_index(query.collection, name)

    def check_whole(self, query: Query, action: str) -> None:
        """Make sure that a collection may be used as a whole.

        Args:
            query: Of the collection.
            action: What is done with it, in the past tense, for the error.

        Raises:
            UndecidedAccess: If nobody decided.
            TrustedOnly: If it has access scopes and a handler asks.
        """
        invocation = current()
        if invocation is None:
            return
        what = f"{action} {query.collection}"
        invocation.check_exit(what)
        if query.access is not None:
            raise TrustedOnly(invocation.handler, what)

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
        except BaseException as error:
            if claim is not None:
                claim.not_committed()
            if invocation is not None and isinstance(error, WriteOutcomeUnknown):
                invocation.may_have_written(error)
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

    def _check_no_transaction(self, action: str) -> None:
        if self._transaction.get() is not None:
            raise NotInTransaction(action)
