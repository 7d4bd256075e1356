"""Write operations of the embedded stores: compiled once, then applied to a workspace."""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any, Final, TypeAlias, assert_never

from bson import ObjectId
from pymongo.errors import OperationFailure, WriteError

from bolide.core.minimongo.errors import MinimongoError
from bolide.core.minimongo.modifier import Modifier, upsert_document
from bolide.core.values import Document, Regex
from bolide.server.stores.access import AccessRefused, effective_selector, is_refused
from bolide.server.stores.base import (
    ChangeKind,
    Delete,
    FindAndModify,
    Insert,
    Receipt,
    Update,
    WriteOperation,
)
from bolide.server.stores.bson_documents import encode, storable
from bolide.server.stores.embedded.errors import (
    BAD_VALUE,
    FAILED_TO_PARSE,
    INVALID_ID_FIELD,
    bulk_write_error,
)
from bolide.server.stores.embedded.queries import Selection, compile_projection, query_errors
from bolide.server.stores.embedded.workspace import Workspace

__all__ = ["Work", "compile_operation"]

Work: TypeAlias = Callable[[Workspace], Receipt]
"""Applies an operation; run again after a failed commit, it does the same again."""

_UNSTORABLE_IDS: Final = (list, Regex)


def compile_operation(operation: WriteOperation, now_ms: int) -> Work:
    """Return what applies an operation.

    Args:
        operation: The operation.
        now_ms: The time for ``$currentDate``, UTC milliseconds.

    Raises:
        OperationFailure: If its selector, modifier, sort or projection does not compile.
        WriteError: If BSON cannot hold its values.
    """
    if is_refused(operation):
        return _refuse
    match operation:
        case Insert():
            return _compile_insert(operation)
        case Update():
            return _compile_update(operation, now_ms)
        case Delete():
            return _compile_delete(operation)
        case FindAndModify():
            return _compile_find_and_modify(operation, now_ms)
        case _:
            assert_never(operation)


def _refuse(workspace: Workspace) -> Receipt:
    """Refuse in the operation's place, so that a transaction is aborted by it."""
    del workspace
    raise AccessRefused


def _compile_insert(operation: Insert) -> Work:
    name = operation.collection
    documents = [_with_id_first(storable(document)) for document in operation.documents]
    bodies = [encode(document) for document in documents]

    def insert(workspace: Workspace) -> Receipt:
        failures: list[tuple[int, Document, WriteError]] = []
        inserted: list[Any] = []
        for index, (document, body) in enumerate(zip(documents, bodies, strict=True)):
            try:
                workspace.insert(name, document, body)
            except WriteError as error:
                failures.append((index, document, error))
                if operation.ordered:
                    break
            else:
                inserted.append(document["_id"])
        if failures and len(documents) == 1:
            raise failures[0][2]
        if failures:
            raise bulk_write_error(failures, len(inserted))
        return _receipt(workspace, name, bool(inserted), inserted_ids=tuple(inserted))

    return insert


def _compile_delete(operation: Delete) -> Work:
    name = operation.collection
    selection = Selection(name, effective_selector(operation))

    def delete(workspace: Workspace) -> Receipt:
        found = selection.run(workspace, limit=0 if operation.many else 1)
        for document in found:
            workspace.delete(name, document)
        return _receipt(workspace, name, bool(found), deleted=len(found))

    return delete


def _compile_update(operation: Update, now_ms: int) -> Work:
    name = operation.collection
    if operation.array_filters is not None:
        raise OperationFailure(
            "This store has no arrayFilters: use MongoDB, or $ with a selector.", FAILED_TO_PARSE
        )
    change = _Modification(operation, now_ms)
    if operation.many and change.kind is ChangeKind.REPLACE:
        raise OperationFailure(
            "An update of many documents needs a modifier such as $set, not a replacement.",
            FAILED_TO_PARSE,
        )
    selection = Selection(name, effective_selector(operation))

    def update(workspace: Workspace) -> Receipt:
        found = selection.run(workspace, limit=0 if operation.many else 1)
        if not found and operation.upsert:
            document = change.insert(workspace)
            return _receipt(workspace, name, True, upserted_id=document["_id"])
        after = [change.apply(workspace, selection, document) for document in found]
        modified = sum(new is not old for new, old in zip(after, found, strict=True))
        return _receipt(workspace, name, modified > 0, matched=len(found), modified=modified)

    return update


def _compile_find_and_modify(operation: FindAndModify, now_ms: int) -> Work:
    name = operation.collection
    change = None if operation.modifier is None else _Modification(operation, now_ms)
    selection = Selection(name, effective_selector(operation), operation.sort)
    projection = compile_projection(operation.projection or {})

    def find_and_modify(workspace: Workspace) -> Receipt:
        found = selection.run(workspace, limit=1)
        if found:
            [before] = found
            if change is None:
                workspace.delete(name, before)
                shown = projection.apply(before)
                return _receipt(workspace, name, True, matched=1, deleted=1, document=shown)
            after = change.apply(workspace, selection, before)
            shown = projection.apply(after if operation.return_after else before)
            modified = int(after is not before)
            return _receipt(
                workspace, name, modified > 0, matched=1, modified=modified, document=shown
            )
        if change is None or not operation.upsert:
            return Receipt()
        inserted = change.insert(workspace)
        document = projection.apply(inserted) if operation.return_after else None
        return _receipt(workspace, name, True, upserted_id=inserted["_id"], document=document)

    return find_and_modify


class _Modification:
    """What an update does to a document, or instead of one.

    Attributes:
        kind: ``UPDATE``, or ``REPLACE`` if the whole document is given.
    """

    __slots__ = (
        "_access",
        "_collection",
        "_modifier",
        "_now_ms",
        "_selector",
        "_upsert_id",
        "kind",
    )

    def __init__(self, operation: Update | FindAndModify, now_ms: int) -> None:
        """Compile it; the operation has a modifier.

        Raises:
            OperationFailure: If the modifier does not compile.
            WriteError: If it holds a value that BSON cannot hold.
        """
        self._collection = operation.collection
        self._selector = operation.selector
        self._access = operation.access
        self._now_ms = now_ms
        # Made once: a write that runs again makes the same document.
        self._upsert_id = ObjectId() if operation.upsert_id is None else operation.upsert_id
        modifier = storable(operation.modifier or {})
        with query_errors():
            self._modifier = Modifier(modifier)
        replaces = self._modifier.is_replacement
        self.kind = ChangeKind.REPLACE if replaces else ChangeKind.UPDATE

    def apply(self, workspace: Workspace, selection: Selection, before: Document) -> Document:
        """Change a document that matches; returns what it is now, itself if nothing changed.

        Raises:
            WriteError: If the modifier does not fit the document, or a unique index refuses it.
        """
        with _write_errors():
            indices = selection.matcher.match(before).array_indices
            after = self._modifier.apply(before, now_ms=self._now_ms, array_indices=indices)
        if after is not before:
            workspace.change(self._collection, before, after, encode(after), self.kind)
        return after

    def insert(self, workspace: Workspace) -> Document:
        """Insert what the selector and the modifier make together.

        Raises:
            WriteError: If they make no document, or a unique index refuses it.
            AccessRefused: If it would be outside the open access scopes.
        """
        with _write_errors():
            made = upsert_document(self._selector, self._modifier, now_ms=self._now_ms)
        document = _with_id_first(storable({"_id": self._upsert_id, **made}))
        if self._access is not None and not self._access.admits(document):
            raise AccessRefused
        workspace.insert(self._collection, document, encode(document))
        return document


@contextmanager
def _write_errors() -> Generator[None]:
    """Turn what minimongo says about a document into a write error."""
    try:
        yield
    except MinimongoError as error:
        raise WriteError(str(error), BAD_VALUE) from error


def _with_id_first(document: Document) -> Document:
    """Return the document with its ``_id`` first, as MongoDB stores it.

    Raises:
        WriteError: If it has none, or one that cannot be an ``_id``.
    """
    if "_id" not in document:
        raise WriteError("The document has no _id.", INVALID_ID_FIELD)
    if isinstance(document["_id"], _UNSTORABLE_IDS):
        kind = "an array" if isinstance(document["_id"], list) else "a regular expression"
        raise WriteError(f"The _id of a document cannot be {kind}.", INVALID_ID_FIELD)
    return {"_id": document["_id"], **document}


def _receipt(workspace: Workspace, collection: str, changed: bool, **results: Any) -> Receipt:
    """Make the receipt of an operation that has just been applied."""
    if not changed:
        return Receipt(**results)
    return Receipt(position=workspace.position, collections=frozenset({collection}), **results)
