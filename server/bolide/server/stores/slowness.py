"""Readings that a database gave up because of what was asked: they are not tried again."""

from collections.abc import Mapping
from typing import Final, cast

from pymongo.errors import OperationFailure

from bolide.core.values import Regex

__all__ = ["is_too_slow"]

_TIME_LIMIT: Final = 50
"""MongoDB's number for a command that took its ``maxTimeMS``."""


def is_too_slow(error: Exception, asked: object) -> bool:
    """Tell whether what was asked is to blame for a reading that took too long.

    That is taken for certain if it has a regular expression. It may be a client's, who asks again
    and again for what keeps the database busy.

    Args:
        error: What the reading raised.
        asked: The selector, pipeline or command.
    """
    return isinstance(error, OperationFailure) and error.code == _TIME_LIMIT and _has_regex(asked)


def _has_regex(value: object) -> bool:
    if isinstance(value, Mapping):
        fields = cast("Mapping[str, object]", value)
        return "$regex" in fields or any(map(_has_regex, fields.values()))
    if isinstance(value, (list, tuple)):
        return any(map(_has_regex, cast("list[object]", value)))
    return isinstance(value, Regex)
