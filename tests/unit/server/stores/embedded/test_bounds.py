from datetime import UTC, datetime
from typing import Any

import pytest
from bson import Binary, Decimal128, ObjectId

from bolide.core.values import Regex
from bolide.server.stores.embedded.bounds import NO_KEY, bounds_of, place_of, scalar_key

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def shown(selector: dict[str, Any]) -> dict[str, Any]:
    return {path: (each.values, each.low, each.high) for path, each in bounds_of(selector).items()}


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        ({}, {}),
        ({"a": 1}, {"a": ((1,), None, None)}),
        ({"a.b": None}, {"a.b": ((None,), None, None)}),
        ({"a": {"$eq": "x"}}, {"a": (("x",), None, None)}),
        ({"a": {"$in": [1, "x"]}}, {"a": ((1, "x"), None, None)}),
        ({"a": {"$in": [1, 2], "$eq": 3}}, {"a": ((3,), None, None)}),
        ({"a": {"$gt": 1, "$lte": 5}}, {"a": (None, ("number", 1), ("number", 5))}),
        ({"a": {"$gt": 1, "$gte": 3, "$lt": 9, "$lte": 8}},
         {"a": (None, ("number", 3), ("number", 8))}),
        ({"a": {"$gte": "b"}}, {"a": (None, ("string", "b"), None)}),
        ({"a": {"$lt": NOON}}, {"a": (None, None, ("date", 1767268800000))}),
        ({"a": {"$gt": 1, "$lt": "x"}}, {"a": (None, ("number", 1), None)}),
        ({"$and": [{"a": 1}, {"b": {"$gt": 2}, "$and": [{"a": {"$gt": 0}}]}]},
         {"a": ((1,), ("number", 0), None), "b": (None, ("number", 2), None)}),
        ({"$and": [{"a": {"$in": [1, 2]}}, {"a": 2}]}, {"a": ((2,), None, None)}),
    ],
)  # fmt: skip
def test_what_every_match_has_is_found(selector: dict[str, Any], expected: dict[str, Any]) -> None:
    assert shown(selector) == expected


@pytest.mark.parametrize(
    "asked",
    [
        Regex("a"), [1], {"b": 1}, {}, {"$ne": 1}, {"$nin": [1]}, {"$not": {"$eq": 1}},
        {"$in": [1, Regex("a")]}, {"$in": [[1]]}, {"$exists": True}, {"$elemMatch": {"$gt": 1}},
        {"$gt": None}, {"$gt": float("nan")}, {"$gt": Decimal128("NaN")}, {"$lt": ObjectId()},
        {"$gt": True}, {"$gt": {"b": 1}}, {"$type": "number"}, {"$size": 1},
    ],
)  # fmt: skip
def test_what_an_index_cannot_answer_gives_no_bounds(asked: Any) -> None:
    assert bounds_of({"a": asked}) == {}


@pytest.mark.parametrize("name", ["$or", "$nor"])
def test_alternatives_bound_nothing(name: str) -> None:
    assert shown({name: [{"a": 1}, {"b": 1}], "c": 2}) == {"c": ((2,), None, None)}
    assert shown({"$comment": "why"}) == {}


def test_keys_are_equal_where_the_matcher_finds_values_equal() -> None:
    assert scalar_key(1) == scalar_key(1.0) == scalar_key(Decimal128("1.00")) != scalar_key(True)
    assert scalar_key(b"x") == scalar_key(Binary(b"x", 4)) != scalar_key(Binary(b"x", 6))
    assert scalar_key(float("nan")) == scalar_key(Decimal128("NaN"))
    assert scalar_key([]) is scalar_key({}) is scalar_key(Regex("a")) is NO_KEY


def test_numbers_texts_and_dates_have_a_place_in_an_order() -> None:
    values = (2, "b", NOON, True, None, ObjectId(), b"x", float("nan"))
    assert [place_of(scalar_key(value)) for value in values] == [
        ("number", 2),
        ("string", "b"),
        ("date", 1767268800000),
        *[None] * 5,
    ]
