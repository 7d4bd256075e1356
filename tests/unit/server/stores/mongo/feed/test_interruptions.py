"""What ends a change stream, by its name; real servers show the same in tests/faults."""

import pytest
from bson.errors import InvalidBSON
from pymongo.errors import (
    AutoReconnect,
    NetworkTimeout,
    NotPrimaryError,
    OperationFailure,
    PyMongoError,
    ServerSelectionTimeoutError,
)

from bolide.server.stores.mongo.feed.interruptions import (
    FeedTooFarBehind,
    Gap,
    Interruption,
    Loss,
    interruption_of,
    loss_of,
    words,
)

FATAL = {"errorLabels": ["NonResumableChangeStreamError"]}


def gap(cause: Exception) -> Gap:
    error = Gap()
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (AutoReconnect("closed"), Interruption.CONNECTION_LOST),
        (ConnectionResetError(), Interruption.CONNECTION_LOST),
        (TimeoutError(), Interruption.NO_ANSWER),
        (NetworkTimeout("slow"), Interruption.NO_ANSWER),
        (ServerSelectionTimeoutError("none"), Interruption.NO_PRIMARY),
        (NotPrimaryError("moved"), Interruption.PRIMARY_CHANGED),
        (OperationFailure("", 43), Interruption.PRIMARY_CHANGED),
        (OperationFailure("", 11602), Interruption.PRIMARY_CHANGED),
        (OperationFailure("", 13), Interruption.USER_REFUSED),
        (OperationFailure("", 18), Interruption.USER_REFUSED),
        (OperationFailure("", 391), Interruption.USER_REFUSED),
        (OperationFailure("", 1), Interruption.SERVER_ERROR),
        (PyMongoError("?"), Interruption.SERVER_ERROR),
    ],
)
def test_a_stream_goes_on_after(error: Exception, expected: Interruption) -> None:
    assert interruption_of(error) is expected
    assert loss_of(error) is None
    assert words(expected)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (OperationFailure("", 286), Loss.OPLOG_TOO_SHORT),
        (OperationFailure("", 136), Loss.OVERTAKEN),
        (OperationFailure("", 280), Loss.NOT_RESUMABLE),
        (OperationFailure("", 260), Loss.TOKEN_REFUSED),
        (OperationFailure("", 47), Loss.IMAGE_MISSING),
        (OperationFailure("", 10334), Loss.EVENT_TOO_LARGE),
        (OperationFailure("", 239), Loss.SNAPSHOT_TOO_OLD),
        (OperationFailure("", 9999, FATAL), Loss.NOT_RESUMABLE),
        (InvalidBSON("bad"), Loss.UNDECODABLE),
        (gap(OperationFailure("", 239)), Loss.SNAPSHOT_TOO_OLD),
        (gap(OperationFailure("", 2)), Loss.NOT_READABLE),
        (FeedTooFarBehind(), Loss.TOO_FAR_BEHIND),
    ],
)
def test_a_stream_begins_anew_after(error: Exception, expected: Loss) -> None:
    assert loss_of(error) is expected
    assert interruption_of(error) is Interruption.HISTORY_LOST


def test_nobody_waits_because_a_database_was_dropped() -> None:
    assert words(Interruption.DATABASE_DROPPED) == ""
