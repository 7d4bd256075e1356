"""What MongoDB's refusals become: the same classes, without the values that their texts quote."""

from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

from bson.errors import InvalidDocument
from pymongo.errors import (
    BulkWriteError,
    ConnectionFailure,
    DocumentTooLarge,
    DuplicateKeyError,
    OperationFailure,
    PyMongoError,
    ServerSelectionTimeoutError,
    WriteConcernError,
    WriteError,
)

from bolide.server.stores.base import TransactionConflict, WriteOutcomeUnknown
from bolide.server.stores.embedded.errors import BAD_VALUE, DOCUMENT_TOO_LARGE, DUPLICATE_KEY

__all__ = ["UNKNOWN_COMMIT", "refusals", "transient"]

# Timed out or interrupted while the write waited for the majority.
_INTERRUPTED: Final = frozenset({50, 64, 89, 91, 262, 11600, 11601, 11602})
_TOO_LARGE: Final = frozenset({10334, 17419, 17420})
_TRANSIENT: Final = "TransientTransactionError"
UNKNOWN_COMMIT: Final = "UnknownTransactionCommitResult"
"""Label of an error after which a commit may be repeated, because nobody knows whether it was."""

# What is kept of the details of an error. A key is that of the document that was to be written; as
# in all stores it is no part of the text.
_DETAILS: Final = ("code", "codeName", "index", "keyPattern", "keyValue")


@contextmanager
def refusals(
    kind: type[OperationFailure] = OperationFailure, *, is_certain: bool = False
) -> Generator[None]:
    """Raise what the driver raises in the form that the store port promises.

    Args:
        kind: Of what was refused; ``WriteError`` for all ways to write.
        is_certain: What failed did not change anything: a reading, or a part of a transaction.

    Raises:
        WriteOutcomeUnknown: If nobody knows whether it did.
        PyMongoError: Whatever else it was, quoting nothing.
    """
    try:
        yield
    except BulkWriteError as error:
        if error.details.get("writeConcernErrors"):
            raise WriteOutcomeUnknown from error
        raise _bulk_write_error(error.details) from error
    except DocumentTooLarge as error:
        raise WriteError("The document is larger than 16 MB.", DOCUMENT_TOO_LARGE) from error
    except InvalidDocument as error:
        raise WriteError("BSON cannot hold a value of the document.", BAD_VALUE) from error
    except PyMongoError as error:
        if transient(error):
            raise TransactionConflict from error
        if not is_certain and _is_unknown(error):
            raise WriteOutcomeUnknown from error
        if isinstance(error, OperationFailure) and error.details is not None:
            raise _plain(error, kind) from error
        raise  # one of ours, or none that quotes


def transient(error: PyMongoError) -> bool:
    """Tell whether a transaction was aborted because of another one, and may be tried again."""
    return error.has_error_label(_TRANSIENT) and not error.has_error_label(UNKNOWN_COMMIT)


def _is_unknown(error: PyMongoError) -> bool:
    """Tell whether a write that failed may have been done all the same.

    The driver has tried it twice by then, an update or delete of many documents once.
    """
    if isinstance(error, ServerSelectionTimeoutError):
        return False  # nothing was sent
    if error.has_error_label("NoWritesPerformed"):
        return False
    if isinstance(error, (ConnectionFailure, WriteConcernError)) or error.timeout:
        return True
    if error.has_error_label(UNKNOWN_COMMIT) or error.has_error_label("RetryableWriteError"):
        return True
    if not isinstance(error, OperationFailure):
        return False
    details = error.details or {}
    return bool(details.get("writeConcernError")) or error.code in _INTERRUPTED


def _plain(error: OperationFailure, kind: type[OperationFailure]) -> OperationFailure:
    details = dict(error.details or {})
    if error.code == DUPLICATE_KEY or isinstance(error, DuplicateKeyError):
        return _duplicate_key_error(details)
    if error.code in _TOO_LARGE:
        return WriteError("The document would be larger than 16 MB.", DOCUMENT_TOO_LARGE)
    text = _text(details, error.code)
    made = WriteError if isinstance(error, WriteError) else kind
    refusal = made(text, error.code, _kept(details))
    refusal.args = (text,)
    return refusal


def _duplicate_key_error(details: Mapping[str, Any]) -> DuplicateKeyError:
    pattern: Mapping[str, Any] = details.get("keyPattern") or {}
    text = f"E11000 duplicate key error, index on: {', '.join(pattern) or 'unknown'}"
    error = DuplicateKeyError(text, DUPLICATE_KEY, _kept(details))
    error.args = (text,)
    return error


def _bulk_write_error(details: Mapping[str, Any]) -> BulkWriteError:
    failures: Sequence[Mapping[str, Any]] = details["writeErrors"]
    told = {**details, "writeErrors": [_kept(failure) for failure in failures]}
    error = BulkWriteError(told)
    index, text = failures[0]["index"], _text(failures[0], failures[0].get("code"))
    error.args = (f"batch op errors occurred, the first at index {index}: {text}",)
    return error


def _text(details: Mapping[str, Any], code: int | None) -> str:
    if code == DUPLICATE_KEY:
        return "E11000 duplicate key error"
    name = details.get("codeName") or ""
    return f"MongoDB refused it: {name or 'error'} ({code})."


def _kept(details: Mapping[str, Any]) -> dict[str, Any]:
    return {name: details[name] for name in _DETAILS if name in details}
