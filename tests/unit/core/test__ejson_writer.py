"""Writing EJSON: values of every type and their subclasses, and types that are none."""

import math
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from enum import IntEnum, StrEnum
from typing import Any

import pytest
from bson import Binary

from bolide.core._ejson_writer import is_special, write
from bolide.core.errors import EJSONError
from bolide.core.values import (
    INVALID_DATE,
    UNDEFINED,
    DatetimeMS,
    Decimal128,
    Encrypted,
    Int64,
    ObjectId,
    Regex,
)


class Color(StrEnum):
    RED = "red"


class Level(IntEnum):
    HIGH = 3


class Real(float):
    pass


class Moment(datetime):
    pass


class Items(list[int]):
    pass


LONG = 2**53 + 1


@pytest.mark.parametrize(
    ("value", "json"),
    [
        (Color.RED, "red"),
        (Level.HIGH, 3),
        (Int64(5), 5),
        (Int64(LONG), {"$type": "long", "$value": str(LONG)}),
        (Real(1.5), 1.5),
        (Real(2.0), 2),
        (-0.0, 0),
        (1e300, 1e300),
        (Moment(1970, 1, 1, tzinfo=UTC), {"$date": 0}),
        (datetime(1970, 1, 1, 1, tzinfo=timezone(timedelta(hours=1))), {"$date": 0}),
        (DatetimeMS(2**60), {"$date": 2**60}),
        (Items([1]), [1]),
        (Binary(b"x", 4), {"$binary": "eA=="}),
        (Encrypted(b"x"), {"$type": "cse", "$value": "eA=="}),
        (Binary(b"x", 6), {"$type": "cse", "$value": "eA=="}),
        (Decimal128("1.0"), {"$type": "Decimal", "$value": "1.0"}),
        (ObjectId("5" * 24), {"$type": "oid", "$value": "5" * 24}),
        (Regex("a", "i"), {"$regexp": "a", "$flags": "i"}),
        (-math.inf, {"$InfNaN": -1}),
        (INVALID_DATE, {"$date": None}),
        (UNDEFINED, None),
    ],
)
def test_value_is_written(value: Any, json: Any) -> None:
    written = write(value, True)
    assert written == json
    assert type(written) is type(json)


def test_peer_without_our_extensions_gets_bytes_and_plain_numbers() -> None:
    assert write(Encrypted(b"x"), False) == {"$binary": "eA=="}
    number = write(Int64(LONG), False)
    assert number == LONG
    assert type(number) is int


@pytest.mark.parametrize("value", [{1}, Decimal(1), date(2024, 1, 1), object(), Color])
def test_other_types_are_refused_by_name(value: Any) -> None:
    with pytest.raises(EJSONError, match=r"A value of type '.*' cannot be sent; use the types of"):
        write({"a": [value]}, True)


def test_only_whole_objects_are_special() -> None:
    assert is_special({"$date": 1})
    assert is_special({"$type": 1, "$value": 2})
    assert is_special({"$flags": 1, "$regexp": 2})
    assert not is_special({})
    assert not is_special({"$type": 1, "$flags": 2})
    assert not is_special({"$date": 1, "a": 2})
