"""A transaction: reads and writes in one session, which the server aborts at the first refusal."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

from pymongo.errors import OperationFailure, WriteError

from bolide.core.values import Document
from bolide.server.stores.base import Query, Receipt, WriteOperation
from bolide.server.stores.mongo.codec import run_command
from bolide.server.stores.mongo.errors import refusals
from bolide.server.stores.mongo.reading.queries import BATCH, find_command
from bolide.server.stores.mongo.writing import Writer

__all__ = ["MongoTransaction"]

_NO_SUCH_TRANSACTION: Final = 251


class MongoTransaction:
    """See :class:`~bolide.server.stores.base.Transaction`.

    Args:
        writer: In a session with a transaction.

    Attributes:
        receipt: The position and collections of the whole, once committed.
        collections: Names of the collections that were changed.
    """

    def __init__(self, writer: Writer) -> None:
        """Begin without an operation."""
        self.receipt: Receipt | None = None
        self.collections: set[str] = set()
        self._writer = writer
        self._has_failed = False
        self._is_over = False

    async def read(self, query: Query) -> Sequence[Document]:
        """Read, own writes included."""
        self.check()
        try:
            with refusals(is_certain=True):
                cursor = await self._run(find_command(query))
                documents: list[Document] = cursor["firstBatch"]
                while cursor["id"]:
                    more = {
                        "getMore": cursor["id"],
                        "collection": query.collection,
                        "batchSize": BATCH,
                    }
                    cursor = await self._run(more)
                    documents += cursor["nextBatch"]
        except BaseException:
            self._has_failed = True
            raise
        return documents

    async def write(self, operation: WriteOperation) -> Receipt:
        """Write; seen by others after the commit."""
        self.check()
        try:
            # Nothing is done before the commit, so that what fails here is certain.
            with refusals(WriteError, is_certain=True):
                receipt = await self._writer.write(operation)
        except BaseException:
            self._has_failed = True
            raise
        self.collections |= receipt.collections
        return replace(receipt, position=None)

    def check(self) -> None:
        """Make sure that it goes on.

        Raises:
            OperationFailure: If an operation failed, or it is over.
        """
        if self._is_over or self._has_failed:
            raise OperationFailure(
                "The transaction is over: it ended, or one of its operations was refused.",
                _NO_SUCH_TRANSACTION,
            )

    def end(self, receipt: Receipt | None) -> None:
        """Let nothing more be done.

        Args:
            receipt: Of the whole; None if it was aborted.
        """
        self._is_over = True
        self.receipt = receipt

    async def _run(self, command: dict[str, Any]) -> dict[str, Any]:
        writer = self._writer
        reply = await run_command(writer.database, command, writer.session)
        cursor: dict[str, Any] = reply["cursor"]
        return cursor
