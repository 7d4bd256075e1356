"""Cluster times as positions: integers, seconds above and the counter within a second below.

A resume token begins with a cluster time (``_data``: hexadecimal ``82``, four bytes of seconds,
four of the counter). MongoDB does not document that, so nothing but the position is taken from it.
"""

from collections.abc import Mapping
from typing import Any, Final

from bson.timestamp import Timestamp

__all__ = [
    "first_position",
    "last_write",
    "position_of",
    "seconds_between",
    "time_of",
    "token_position",
]

_TIME: Final = "82"
_HIGH_WATER_MARK: Final = "29"
_INCREMENT_BITS: Final = 32


def position_of(time: Timestamp) -> int:
    """Return a cluster time as a position."""
    return time.time << _INCREMENT_BITS | time.inc


def time_of(position: int) -> Timestamp:
    """Return a position as a cluster time."""
    return Timestamp(position >> _INCREMENT_BITS, position & 0xFFFFFFFF)


def seconds_between(position: int, time: Timestamp) -> int:
    """Return how far a position is before a cluster time, whole seconds; 0 if it is not."""
    return max(0, time.time - (position >> _INCREMENT_BITS))


def token_position(token: Mapping[str, Any]) -> int:
    """Return the position in a resume token.

    Raises:
        ValueError: If it is none as this was written for.
    """
    data = token.get("_data")
    if not isinstance(data, str) or data[:2] != _TIME or len(data) < 18:
        raise ValueError("This server's resume tokens are of a kind that is not known.")
    return int(data[2:18], 16)


def first_position(token: Mapping[str, Any]) -> int:
    """Return the position of the first answer of a stream that begins now.

    A token that stands for a time, and not for an event at it, leaves open whether an event at
    that time comes later.

    Raises:
        ValueError: As :func:`token_position`.
    """
    position = token_position(token)
    return position - 1 if token["_data"][22:24] == _HIGH_WATER_MARK else position


def last_write(hello: Mapping[str, Any], which: str) -> int:
    """Return the position of the last write that a server's ``hello`` tells of.

    Args:
        hello: The answer. A mongos tells of none: then it is the time of the answer.
        which: ``opTime``, or ``majorityOpTime``: of those that a majority has.
    """
    told = hello.get("lastWrite")
    return position_of(told[which]["ts"] if told else hello["operationTime"])
