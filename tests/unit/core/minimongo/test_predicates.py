from datetime import UTC, datetime
from typing import Any

import pytest

from bolide.core.minimongo.branches import Lookup
from bolide.core.minimongo.predicates import (
    Bound,
    Equality,
    Range,
    conjuncts,
    match_key,
    order_key,
    values_at,
)
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

OID = ObjectId("0" * 24)
DAY = datetime(2024, 1, 1, tzinfo=UTC)


class Shade:
    def __init__(self, name: str) -> None:
        self.name = name

    def type_name(self) -> str:
        return "shade"

    def to_json_value(self) -> Any:
        return self.name


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        ({}, []),
        ({"a": 1}, [(Equality("a", ("number", 1)),)]),
        ({"a": {}}, [(Equality("a", ("document", ())),)]),
        ({"a": {"b": 1}}, [(Equality("a", ("document", (("b", ("number", 1)),))),)]),
        ({"a": None, "b.c": "x"}, [(Equality("a", None),), (Equality("b.c", "x"),)]),
        ({"a": {"$eq": True}}, [(Equality("a", True),)]),
        ({"a": {"$in": ["x", "y", "x"]}}, [(Equality("a", "x"), Equality("a", "y"))]),
        ({"a": {"$in": []}}, [()]),
        ({"a": {"$in": ["x", Regex("y")]}}, []),
        ({"a": {"$all": ["x", Regex("y"), "z"]}}, [(Equality("a", "x"),), (Equality("a", "z"),)]),
        ({"a": Regex("x")}, []),
        ({"a": {"$regex": "x", "$options": "i"}}, []),
        ({"a": {"$ne": 1}, "$nor": [{"b": 1}], "$comment": "c"}, []),
        ({"$and": [{"a": "x"}, {"$and": [{"a": "y"}]}]}, [(Equality("a", v),) for v in "xy"]),
        (
            {"$or": [{"a": {"$gt": 1}, "b": {"$in": ["x", "y"]}, "c": "z"}, {"c": "z"}, {"d": 1}]},
            [(Equality("c", "z"), Equality("d", ("number", 1)))],
        ),
        ({"$or": [{"a": 1}, {"b": {"$ne": 1}}]}, []),
    ],
)  # fmt: skip
def test_what_a_selector_demands(selector: dict[str, Any], expected: list[Any]) -> None:
    assert conjuncts(selector) == expected


@pytest.mark.parametrize(
    ("operators", "expected"),
    [
        ({"$gt": 1}, [("number", Bound(1, False), None)]),
        ({"$gte": "a", "$lt": "b"}, [("text", Bound("a", True), Bound("b", False))]),
        ({"$lte": DAY}, [("date", None, Bound(1704067200000, True))]),
        ({"$gt": 1, "$lt": "b"}, [
            ("number", Bound(1, False), None),
            ("text", None, Bound("b", False)),
        ]),
        ({"$gt": 1, "$gte": 5}, [("number", Bound(5, True), None)]),
        ({"$gt": None, "$lt": [1], "$gte": True, "$lte": float("nan")}, []),
    ],
)  # fmt: skip
def test_ranges_have_bounds_of_one_kind(operators: dict[str, Any], expected: list[Any]) -> None:
    ranges = [(Range("a", kind, low, high),) for kind, low, high in expected]
    assert conjuncts({"a": operators}) == ranges


@pytest.mark.parametrize(
    ("a", "b"),
    [
        (None, UNDEFINED),
        (1, 1.0),
        (1, Int64(1)),
        (1, Decimal128("1.0")),
        (float("nan"), Decimal128("NaN")),
        (0.0, -0.0),
        (DAY, DatetimeMS(1704067200000)),
        ({"a": [1]}, {"a": [1.0]}),
        (Shade("red"), Shade("blue")),
        (Regex("a", "i"), Regex("a", "i")),
        (INVALID_DATE, INVALID_DATE),
        (OID, ObjectId("0" * 24)),
    ],
)
def test_equal_values_have_equal_keys(a: Any, b: Any) -> None:
    assert match_key(a) == match_key(b)
    assert hash(match_key(a)) == hash(match_key(b))


def test_other_values_have_other_keys() -> None:
    values = [
        None, True, False, 0, 1, "1", "", "nan", float("nan"), b"", Encrypted(b""), [], {}, [None],
        {"a": None}, OID, DAY, Regex("a"), Regex("a", "i"), INVALID_DATE, Shade("red"),
    ]  # fmt: skip
    assert len({match_key(value) for value in values}) == len(values)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("x", ("text", "x")),
        (2, ("number", 2)),
        (2.5, ("number", 2.5)),
        (float("nan"), None),
        (Decimal128("2.5"), ("number", 2.5)),
        (Decimal128("NaN"), None),
        (True, None),
        (DAY, ("date", 1704067200000)),
        (INVALID_DATE, ("date", 0)),
        (OID, ("id", OID)),
        (None, None),
        (UNDEFINED, None),
        ([1], None),
    ],
)
def test_what_has_an_order(value: Any, expected: Any) -> None:
    assert order_key(value) == expected


def test_the_values_at_a_path_are_those_a_selector_asks_about() -> None:
    document = {"a": [{"b": [1, 2]}, {"b": 3}, {}]}
    assert list(values_at(Lookup("a.b"), document)) == [[1, 2], 1, 2, 3, UNDEFINED]
    assert list(values_at(Lookup("a.9"), {"a": [1]})) == []
