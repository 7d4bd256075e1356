"""What ends a change stream: whether it can go on at its last token, and what that is called.

The names are labels of metrics and words of the log, so there are few of them. What a node sees is
told apart, not what happened: a frozen primary and a network that swallows everything are both
``no answer``.
"""

from enum import StrEnum
from typing import Final

from pymongo.errors import (
    ConnectionFailure,
    NetworkTimeout,
    NotPrimaryError,
    OperationFailure,
    PyMongoError,
    ServerSelectionTimeoutError,
)

__all__ = ["FeedTooFarBehind", "Gap", "Interruption", "Loss", "interruption_of", "loss_of", "words"]


class Interruption(StrEnum):
    """Why a stream was opened again."""

    CONNECTION_LOST = "connection lost"
    PRIMARY_CHANGED = "primary changed"
    NO_ANSWER = "no answer"
    NO_PRIMARY = "no primary"
    USER_REFUSED = "user refused"
    DATABASE_DROPPED = "database dropped"
    HISTORY_LOST = "history lost"
    SERVER_ERROR = "server error"


class Loss(StrEnum):
    """Why a stream cannot go on at its last token."""

    OPLOG_TOO_SHORT = "oplog too short"
    OVERTAKEN = "overtaken by the oplog"
    TOKEN_REFUSED = "token refused"
    IMAGE_MISSING = "image missing"
    EVENT_TOO_LARGE = "event too large"
    SNAPSHOT_TOO_OLD = "snapshot too old"
    NOT_RESUMABLE = "not resumable"
    UNDECODABLE = "undecodable"
    NOT_READABLE = "document not readable"
    TOO_FAR_BEHIND = "too far behind"
    REPEATED_ERROR = "repeated error"


class FeedTooFarBehind(Exception):
    """The stream is further behind than it may be."""


class Gap(Exception):
    """A change cannot be told of, because its document cannot be read, and will not come again."""


_WORDS: Final = {
    Interruption.CONNECTION_LOST: "the connection to the database was lost",
    Interruption.PRIMARY_CHANGED: "the database changes its primary",
    Interruption.NO_ANSWER: "the database does not answer",
    Interruption.NO_PRIMARY: "the database has no primary that can be reached",
    Interruption.USER_REFUSED: "the database does not let this node in",
    Interruption.HISTORY_LOST: "changes were missed",
    Interruption.SERVER_ERROR: "the change stream failed",
}

# MongoDB's numbers.
_LOSSES: Final = {
    286: Loss.OPLOG_TOO_SHORT,  # change stream history lost
    136: Loss.OVERTAKEN,  # capped position lost
    280: Loss.NOT_RESUMABLE,  # change stream fatal error
    260: Loss.TOKEN_REFUSED,  # invalid resume token
    47: Loss.IMAGE_MISSING,  # no matching document
    10334: Loss.EVENT_TOO_LARGE,  # BSON object too large
    239: Loss.SNAPSHOT_TOO_OLD,
}
# Unauthorized, authentication failed, reauthentication required.
_REFUSALS: Final = frozenset({13, 18, 391})
# Cursor not found (it is on another member), shutdown in progress, primary stepped down, stale
# terms, not primary, not primary or secondary, interrupted by shutdown or change of state.
_CHANGES: Final = frozenset({43, 91, 189, 10107, 11600, 11602, 13435, 13436})


def loss_of(error: Exception) -> Loss | None:
    """Tell why a stream cannot go on at the last token; None if it can."""
    if isinstance(error, FeedTooFarBehind):
        return Loss.TOO_FAR_BEHIND
    if isinstance(error, Gap):
        cause = error.__cause__
        too_old = isinstance(cause, OperationFailure) and cause.code == 239
        return Loss.SNAPSHOT_TOO_OLD if too_old else Loss.NOT_READABLE
    if isinstance(error, OperationFailure):
        if error.code in _LOSSES:
            return _LOSSES[error.code]
        fatal = error.has_error_label("NonResumableChangeStreamError")
        return Loss.NOT_RESUMABLE if fatal else None
    if isinstance(error, (PyMongoError, OSError)):
        return None
    # What cannot be decoded would come again; what is no error of the network is not known.
    return Loss.UNDECODABLE


def interruption_of(error: Exception) -> Interruption:
    """Tell what ended a stream."""
    if loss_of(error) is not None:
        return Interruption.HISTORY_LOST
    if isinstance(error, ServerSelectionTimeoutError):
        return Interruption.NO_PRIMARY
    code = getattr(error, "code", None)
    if isinstance(error, NotPrimaryError) or code in _CHANGES:
        return Interruption.PRIMARY_CHANGED
    if code in _REFUSALS:
        return Interruption.USER_REFUSED
    if isinstance(error, (NetworkTimeout, TimeoutError)):
        return Interruption.NO_ANSWER
    if isinstance(error, (ConnectionFailure, OSError)):
        return Interruption.CONNECTION_LOST
    return Interruption.SERVER_ERROR


def words(interruption: Interruption) -> str:
    """Return what people are told while the stream is not open again."""
    return _WORDS.get(interruption, "")
