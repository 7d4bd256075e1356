"""A write with an insert before it, the two in one commit."""

from pymongo.errors import DuplicateKeyError

from bolide.server.stores.base import FirstInsertFailed, Insert, Receipt
from bolide.server.stores.embedded.operations import Work, compile_operation
from bolide.server.stores.embedded.workspace import Workspace

__all__ = ["compile_first"]


def compile_first(first: Insert, then: Work, now_ms: int) -> Work:
    """Return what inserts one document and then does a write.

    If the insert is refused nothing is done. If the write fails, the insert stays exactly when
    the write left something too: a claim then tells of effects, or there are none.

    Args:
        first: Inserts one document.
        then: The write.
        now_ms: As for :func:`compile_operation`.

    Raises:
        ValueError: If ``first`` inserts none or several.
        WriteError: If BSON cannot hold its document.
    """
    if len(first.documents) != 1:
        raise ValueError("The insert before a write is of one document.")
    insert = compile_operation(first, now_ms)

    def run(workspace: Workspace) -> Receipt:
        try:
            insert(workspace)
        except DuplicateKeyError as error:
            raise FirstInsertFailed(error) from error
        inserted = len(workspace.entries)
        try:
            return then(workspace)
        except Exception:
            if len(workspace.entries) == inserted:
                workspace.take_back_insert()
            raise

    return run
