"""The open transaction of an embedded store."""

from collections.abc import Callable
from typing import Final, TypeVar

from pymongo.errors import OperationFailure, PyMongoError

from bolide.server.stores.embedded.errors import NO_SUCH_TRANSACTION, TRANSACTION_EXCEEDED_LIFETIME
from bolide.server.stores.embedded.workspace import Workspace

__all__ = ["TRANSACTION_LIFETIME_S", "OpenTransaction"]

TRANSACTION_LIFETIME_S: Final = 10.0
"""Longest life of a transaction, seconds. MongoDB allows 60, but here all other writes wait."""

_Result = TypeVar("_Result")


class OpenTransaction:
    """The changes of one transaction, and whether it can still commit.

    As in MongoDB an operation that fails aborts it: catching the error does not help.

    Attributes:
        workspace: What it changed.
    """

    __slots__ = ("_on_end", "_why_ended", "workspace")

    def __init__(self, workspace: Workspace, on_end: Callable[[], object]) -> None:
        """Begin.

        Args:
            workspace: Where its changes go.
            on_end: Called once, when nothing more can be done with it: lets others write.
        """
        self.workspace = workspace
        self._on_end = on_end
        self._why_ended: OperationFailure | None = None

    def run(self, work: Callable[[Workspace], _Result]) -> _Result:
        """Read or write in it.

        Raises:
            PyMongoError: What ``work`` raises, which aborts it; or why it is not open any more.
        """
        self.check()
        try:
            return work(self.workspace)
        except PyMongoError:
            self.end()
            raise

    def check(self) -> None:
        """Raise why it is not open, if it is not."""
        if self._why_ended is not None:
            raise self._why_ended

    def end(self) -> None:
        """Let nothing more be done with it; it was committed, or its changes are dropped."""
        self._end(
            OperationFailure(
                "The transaction has ended or was aborted by an error; begin a new one.",
                NO_SUCH_TRANSACTION,
            )
        )

    def expire(self, lifetime_s: float) -> None:
        """Abort it because it took too long.

        Args:
            lifetime_s: How long it was allowed to take, seconds.
        """
        self._end(
            OperationFailure(
                f"The transaction was aborted because it took longer than {lifetime_s:g} s.",
                TRANSACTION_EXCEEDED_LIFETIME,
            )
        )

    def _end(self, why: OperationFailure) -> None:
        if self._why_ended is None:
            self._why_ended = why
            self._on_end()
