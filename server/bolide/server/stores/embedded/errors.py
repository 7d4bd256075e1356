"""PyMongo's errors as the embedded stores raise them: the text names, it never quotes values.

PyMongo puts ``details``, documents included, into the text of an error, from where it would
get into logs. Here ``details`` has the same shape and is not part of the text.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from pymongo.errors import BulkWriteError, DuplicateKeyError, WriteError

from bolide.core.values import Document

__all__ = [
    "BAD_VALUE",
    "CANNOT_INDEX_PARALLEL_ARRAYS",
    "DOCUMENT_TOO_LARGE",
    "DUPLICATE_KEY",
    "EXCEEDED_MEMORY_LIMIT",
    "EXCEEDED_TIME_LIMIT",
    "FAILED_TO_PARSE",
    "INDEX_NOT_FOUND",
    "INDEX_OPTIONS_CONFLICT",
    "INVALID_ID_FIELD",
    "NO_SUCH_TRANSACTION",
    "OUT_OF_DISK_SPACE",
    "TRANSACTION_EXCEEDED_LIFETIME",
    "UNKNOWN_ERROR",
    "bulk_write_error",
    "duplicate_key_error",
    "too_much_data_error",
]

# MongoDB's numbers.
BAD_VALUE: Final = 2
UNKNOWN_ERROR: Final = 8
FAILED_TO_PARSE: Final = 9
INDEX_NOT_FOUND: Final = 27
INVALID_ID_FIELD: Final = 53
INDEX_OPTIONS_CONFLICT: Final = 85
EXCEEDED_MEMORY_LIMIT: Final = 146
EXCEEDED_TIME_LIMIT: Final = 262
CANNOT_INDEX_PARALLEL_ARRAYS: Final = 171
NO_SUCH_TRANSACTION: Final = 251
TRANSACTION_EXCEEDED_LIFETIME: Final = 290
DOCUMENT_TOO_LARGE: Final = 10334
DUPLICATE_KEY: Final = 11000
OUT_OF_DISK_SPACE: Final = 14031


def duplicate_key_error(
    collection: str, index: str, pattern: Mapping[str, int], value: Document
) -> DuplicateKeyError:
    """Say that a unique index has the key of a document already.

    Args:
        collection: Name of the collection.
        index: Name of the index.
        pattern: Paths of the index with 1 or -1.
        value: The values at these paths; they go into ``details`` only.
    """
    text = f"E11000 duplicate key error collection: {collection} index: {index}"
    details = {
        "index": 0,
        "code": DUPLICATE_KEY,
        "errmsg": text,
        "keyPattern": dict(pattern),
        "keyValue": value,
    }
    error = DuplicateKeyError(text, DUPLICATE_KEY, details)
    error.args = (text,)
    return error


def too_much_data_error(size: int, max_size: int) -> WriteError:
    """Say that a write would make the documents larger than this process may hold.

    Args:
        size: Bytes of all documents as they are.
        max_size: The most there may be.
    """
    return WriteError(
        f"Nothing was written, because the documents would be larger than store_max_bytes: they"
        f" have {size} bytes of {max_size}. Delete some, raise the limit if every node has five"
        " times as much memory, or use MongoDB.",
        EXCEEDED_MEMORY_LIMIT,
    )


def bulk_write_error(
    failures: Sequence[tuple[int, Document, WriteError]], inserted: int
) -> BulkWriteError:
    """Say which documents of an insert were refused.

    Args:
        failures: Index and document of each, with why.
        inserted: How many documents were inserted.
    """
    error = BulkWriteError(
        {
            "writeErrors": [
                {**_write_error(failure), "index": index, "op": document}
                for index, document, failure in failures
            ],
            "writeConcernErrors": [],
            "nInserted": inserted,
            "nUpserted": 0,
            "nMatched": 0,
            "nModified": 0,
            "nRemoved": 0,
            "upserted": [],
        }
    )
    index, _, first = failures[0]
    error.args = (f"batch op errors occurred, the first at index {index}: {first}",)
    return error


def _write_error(failure: WriteError) -> dict[str, Any]:
    return dict(failure.details or {"code": failure.code, "errmsg": str(failure)})
