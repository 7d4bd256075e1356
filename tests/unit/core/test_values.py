"""Values: equality as clients see it, and what may become a value at all."""

import math
import re
from datetime import UTC, date, datetime, timedelta, timezone
from enum import IntEnum, StrEnum
from types import MappingProxyType
from typing import Any

import pytest
from bson import Binary
from bson import Regex as BSONRegex

from bolide.core.values import (
    INVALID_DATE,
    MAX_DEPTH,
    UNDEFINED,
    DatetimeMS,
    Decimal128,
    EJSONValue,
    Encrypted,
    Int64,
    ObjectId,
    Regex,
    Undefined,
    date_from_millis,
    date_to_millis,
    equals,
    is_encrypted,
    normalize,
)

OID = ObjectId("507f1f77bcf86cd799439011")
DATE = datetime(2024, 2, 29, 12, 30, 15, 123000, UTC)


class Point:
    """A custom type of an application."""

    def __init__(self, x: int, name: str = "point") -> None:
        self.x = x
        self.name = name

    def type_name(self) -> str:
        return self.name

    def to_json_value(self) -> EJSONValue:
        return {"x": self.x}


class Color(StrEnum):
    RED = "red"


class Level(IntEnum):
    HIGH = 3


@pytest.mark.parametrize(
    ("a", "b"),
    [
        (1, 1.0),
        (Int64(1), 1),
        (math.nan, math.nan),
        (0.0, -0.0),
        ("a", Color.RED.replace("red", "a")),
        (Color.RED, "red"),
        ([1, [2]], [1.0, [2]]),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
        (b"x", Binary(b"x", 0)),
        (b"x", Binary(b"x", 4)),
        (Encrypted(b"x"), Binary(b"x", 6)),
        (DATE, DatetimeMS(date_to_millis(DATE))),
        (datetime(2024, 1, 1), datetime(2024, 1, 1, tzinfo=UTC)),
        (OID, ObjectId(str(OID))),
        (Regex("a", "i"), Regex("a", "i")),
        (Point(1), Point(1)),
        (UNDEFINED, UNDEFINED),
        (INVALID_DATE, INVALID_DATE),
    ],
)
def test_values_that_look_the_same_to_a_client_are_equal(
    a: EJSONValue | Undefined, b: EJSONValue | Undefined
) -> None:
    assert equals(a, b)
    assert equals(b, a)


@pytest.mark.parametrize(
    ("a", "b"),
    [
        (1, True),
        (0, False),
        (1, "1"),
        (None, UNDEFINED),
        (math.nan, 1.0),
        ([1], [1, 2]),
        ([1], {"0": 1}),
        ({"a": 1}, {"a": 1, "b": 2}),
        ({"a": 1}, {"b": 1}),
        (b"x", "x"),
        (b"x", Encrypted(b"x")),
        (b"x", b"y"),
        (Decimal128("1.0"), Decimal128("1.00")),
        (DATE, date_to_millis(DATE)),
        (Regex("a"), Regex("a", "i")),
        (Point(1), Point(2)),
        (Point(1), Point(1, "other")),
        (Point(1), {"x": 1}),
        (INVALID_DATE, DATE),
    ],
)
def test_values_that_differ_for_a_client_are_not_equal(
    a: EJSONValue | Undefined, b: EJSONValue | Undefined
) -> None:
    assert not equals(a, b)
    assert not equals(b, a)


def test_order_of_keys_counts_where_it_is_asked_for() -> None:
    assert not equals({"a": 1, "b": 2}, {"b": 2, "a": 1}, key_order=True)
    assert not equals([{"a": 1, "b": 2}], [{"b": 2, "a": 1}], key_order=True)
    assert equals({"a": 1, "b": 2}, {"a": 1, "b": 2.0}, key_order=True)


@pytest.mark.parametrize("millis", [0, -1, 1709209815123, -62135596800000, 253402300799999])
def test_dates_survive_as_milliseconds(millis: int) -> None:
    date = date_from_millis(millis)
    assert isinstance(date, datetime)
    assert date_to_millis(date) == millis


def test_dates_beyond_the_calendar_of_python_are_kept() -> None:
    for millis in (253402300800000, -62135596800001, 2**63 - 1):
        assert date_from_millis(millis) == DatetimeMS(millis)
        assert date_to_millis(DatetimeMS(millis)) == millis


def test_microseconds_are_cut_towards_the_past() -> None:
    assert date_to_millis(datetime(1970, 1, 1, 0, 0, 0, 1999, UTC)) == 1
    assert date_to_millis(datetime(1969, 12, 31, 23, 59, 59, 999999, UTC)) == -1


def test_only_subtype_6_is_encrypted() -> None:
    assert is_encrypted(Encrypted(b""))
    assert is_encrypted(Binary(b"", 6))
    assert not is_encrypted(Binary(b"", 0))
    assert not is_encrypted(b"")


CEST = timezone(timedelta(hours=2))


@pytest.mark.parametrize(
    ("given", "value"),
    [
        ("é", "é"),
        (Color.RED, "red"),
        (Level.HIGH, 3),
        (True, True),
        (None, None),
        (1.0, 1.0),
        (UNDEFINED, None),
        ((1, UNDEFINED), [1, None]),
        ({"a": UNDEFINED, "b": (1, 2)}, {"b": [1, 2]}),
        (MappingProxyType({"a": {"b": 1}}), {"a": {"b": 1}}),
        (datetime(2024, 1, 1, 0, 0, 0, 1999), datetime(2024, 1, 1, 0, 0, 0, 1000, UTC)),
        (datetime(2024, 1, 1, 2, tzinfo=CEST), datetime(2024, 1, 1, tzinfo=UTC)),
        (DatetimeMS(0), datetime(1970, 1, 1, tzinfo=UTC)),
        (DatetimeMS(2**60), DatetimeMS(2**60)),
        (Binary(b"x", 0), b"x"),
        (bytearray(b"x"), b"x"),
        (Binary(b"x", 6), Encrypted(b"x")),
        (Binary(b"x", 4), Binary(b"x", 4)),
        (re.compile("a.*"), Regex("a.*")),
        (re.compile("a", re.IGNORECASE | re.DOTALL), Regex("a", "is")),
        (re.compile(b"a", re.VERBOSE), Regex("a", "x")),
        (BSONRegex("a", "mu"), Regex("a", "mu")),
        (Regex("a", "g"), Regex("a", "g")),
        (OID, OID),
        (Int64(5), Int64(5)),
        (INVALID_DATE, INVALID_DATE),
    ],
)
def test_what_is_handed_in_becomes_a_value(given: object, value: object) -> None:
    made = normalize(given)
    assert made == value
    assert type(made) is type(value)
    assert getattr(made, "tzinfo", None) is getattr(value, "tzinfo", None)


def test_subclasses_of_plain_types_become_plain() -> None:
    class Data(bytes): ...

    class Real(float): ...

    class Moment(datetime): ...

    class Items(list[int]): ...

    class Pair(tuple[int, int]): ...

    given: list[Any] = [Data(b"x"), Real(1.5), Moment(2024, 1, 1, tzinfo=UTC), Items([1]), Pair()]
    made = normalize(given)
    assert [type(item) for item in made] == [bytes, float, datetime, list, list]
    assert type(normalize(Int64(1))) is Int64


def test_custom_value_stays_the_object_it_is() -> None:
    point = Point(1)
    assert normalize([point])[0] is point


def test_later_changes_of_the_callers_object_do_no_harm() -> None:
    given: dict[str, Any] = {"a": {"b": [1]}}
    made = normalize(given)
    given["a"]["b"].append(2)
    assert made == {"a": {"b": [1]}}


@pytest.mark.parametrize(
    ("given", "kind", "text"),
    [
        ({1}, TypeError, "The value is of type 'set'; use one of"),
        ({"a": [0, {"b": {1}}]}, TypeError, "The value at 'a.1.b' is of type 'set'"),
        ({"a": date(2024, 1, 1)}, TypeError, "at 'a' is of type 'date'"),
        ({"a": {1: 2}}, TypeError, "at 'a.1' has a name of type 'int'; names must be strings"),
        ({"a": 2**63}, ValueError, "at 'a' is an integer beyond 64 bits; store it as Decimal128"),
        ({"a\0b": 1}, ValueError, "has a name with a null character"),
        ({"a": "\ud800"}, ValueError, "at 'a' has half a surrogate pair"),
        ({"a": re.compile(b"\xff")}, ValueError, "at 'a' is a pattern that is not UTF-8"),
    ],
)
def test_what_is_no_value_is_refused_by_its_path(
    given: object, kind: type[Exception], text: str
) -> None:
    with pytest.raises(kind, match=re.escape(text)):
        normalize(given)


def test_endless_nesting_is_refused() -> None:
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(ValueError, match=f"deeper than {MAX_DEPTH} levels"):
        normalize(endless)
    deep: object = 1
    for _ in range(MAX_DEPTH):
        deep = [deep]
    assert normalize(deep) == deep
