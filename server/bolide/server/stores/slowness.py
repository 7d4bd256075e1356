"""Readings that a database gave up because of what was asked: they are not tried again."""

from collections.abc import Mapping
from typing import Any, Final, cast

from pymongo.errors import OperationFailure

from bolide.core.values import Regex

__all__ = ["QueryTooSlow", "is_too_slow"]

_TIME_LIMIT: Final = 50
"""MongoDB's number for a command that took its ``maxTimeMS``."""

_WAS_RUNNING: Final = "xecutor error"
"""In MongoDB's text if the time went while it looked for documents, and not while it waited for a
majority, as after a failover."""


class QueryTooSlow(OperationFailure):
    """A database took too long to look for what was asked."""

    def __init__(self) -> None:
        """Say nothing of what was asked."""
        super().__init__("The database took too long to look for it.", _TIME_LIMIT)


def is_too_slow(error: Exception, asked: object) -> bool:
    """Tell whether what was asked is to blame for a reading that took too long.

    That is taken for certain if it has a regular expression, and the time went by looking for it.
    The selector may be a client's, who asks again and again for what keeps the database busy.

    Args:
        error: What the driver raised.
        asked: The command.
    """
    if not isinstance(error, OperationFailure) or error.code != _TIME_LIMIT:
        return False
    details: Mapping[str, Any] = error.details or {}
    return _WAS_RUNNING in details.get("errmsg", "") and _has_regex(asked)


def _has_regex(value: object) -> bool:
    if isinstance(value, Mapping):
        fields = cast("Mapping[str, object]", value)
        return "$regex" in fields or any(map(_has_regex, fields.values()))
    if isinstance(value, (list, tuple)):
        return any(map(_has_regex, cast("list[object]", value)))
    return isinstance(value, Regex)
