"""The claim: what makes a call that is sent twice run once.

A call is claimed by a document in the store that is inserted together with the invocation's first
write, in one commit. So there is a claim exactly when there may be an effect, and of two nodes
that run the same call at once, one cannot write.
"""

import secrets
from collections.abc import Mapping
from typing import Any

from pymongo.errors import DuplicateKeyError

from bolide.core.errors import StateError
from bolide.server.stores.base import (
    FirstInsertFailed,
    Insert,
    Query,
    Receipt,
    Store,
    Transaction,
    WriteOperation,
)
from bolide.server.stores.own_collections import CALLS

__all__ = ["CallTaken", "Claim"]


class CallTaken(StateError):
    """Another run of the same call wrote first; this one must not write."""


class Claim:
    """The claim of one invocation and all that it calls.

    Attributes:
        is_taken: It is in the store, and ours.
        is_refused: Another run of the same call has it.
    """

    __slots__ = ("_document", "_is_uncertain", "_is_within", "_run", "is_refused", "is_taken")

    def __init__(self, document: Mapping[str, Any]) -> None:
        """Claim nothing yet.

        Args:
            document: What is inserted, with its ``_id``; ``run`` is added.
        """
        # An insert whose answer is lost can be told from another run's.
        self._run = secrets.token_hex(8)
        self._document = {**document, "run": self._run}
        self._is_uncertain = False
        self._is_within = False
        self.is_taken = False
        self.is_refused = False

    async def write(self, store: Store, operation: WriteOperation) -> Receipt:
        """Write, the first time together with the claim.

        Raises:
            CallTaken: If another run has the claim; nothing was written.
        """
        await self.find_out(store)
        if self.is_taken:
            return await store.write(operation)
        try:
            receipt = await store.write(operation, first=self._insert())
        except FirstInsertFailed:
            # Another run's, or that of a write of ours that goes on at the same time; if it was
            # forgotten meanwhile, neither has one.
            self._is_uncertain = True
            return await self.write(store, operation)
        except BaseException:
            self._is_uncertain = True
            raise
        self.is_taken = True
        return receipt

    async def write_within(self, transaction: Transaction, operation: WriteOperation) -> Receipt:
        """Write in a transaction, the first time after the claim.

        Raises:
            CallTaken: If another run has the claim; the transaction is aborted.
        """
        if not self.is_taken and not self._is_within:
            self._is_within = True
            try:
                await transaction.write(self._insert())
            except DuplicateKeyError as error:
                self.is_refused = True
                raise CallTaken("Another run of this call was first.") from error
        return await transaction.write(operation)

    def committed(self) -> None:
        """Learn that the transaction was committed."""
        self.is_taken = self.is_taken or self._is_within
        self._is_within = False

    def not_committed(self) -> None:
        """Learn that the transaction was aborted, or that nobody knows."""
        self._is_uncertain = self._is_uncertain or self._is_within
        self._is_within = False

    async def find_out(self, store: Store) -> None:
        """Make certain whose the claim is.

        Raises:
            CallTaken: If another run has it.
        """
        if self._is_uncertain:
            query = Query(collection=CALLS, selector={"_id": self._document["_id"]})
            found = (await store.read(query)).documents
            self._is_uncertain = False
            self.is_taken = bool(found) and found[0]["run"] == self._run
            self.is_refused = bool(found) and not self.is_taken
        if self.is_refused:
            raise CallTaken("Another run of this call was first.")

    def _insert(self) -> Insert:
        return Insert(collection=CALLS, documents=[self._document])
