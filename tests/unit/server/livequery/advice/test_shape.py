from typing import Any

import pytest

from bolide.core.values import Regex
from bolide.server.livequery.advice.shape import path_shape, shape_of, sort_shape


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        ({}, "{}"),
        ({"ward": "seven", "n": {"$gt": 5, "$lte": 9}}, "{ward: ?, n: {$gt: ?, $lte: ?}}"),
        ({"a": {"b": "secret"}}, "{a: ?}"),
        ({"a": {"$in": ["secret", "x"]}}, "{a: {$in: ?}}"),
        ({"$or": [{"a": "secret"}, {"b": Regex("secret")}]}, "{$or: [{a: ?}, {b: ?}]}"),
        ({"a": {"$not": {"$gt": 5}}}, "{a: {$not: {$gt: ?}}}"),
        ({"a": {"$not": Regex("secret")}}, "{a: {$not: ?}}"),
        ({"a": {"$elemMatch": {"b": "secret"}}}, "{a: {$elemMatch: {b: ?}}}"),
        ({"$and": "secret"}, "{$and: ?}"),
        ({"$and": ["secret"]}, "{$and: [?]}"),
        ({"$comment": "secret"}, "{$comment: ?}"),
        ({"$secret": 1, "a": {"$secret": 2}}, "{$?: ?, a: {$?: ?}}"),
        ({"votes.Xb3d9QpLk2aZyR7wE": True, "a.0.b": 1}, "{votes.?: ?, a.?.b: ?}"),
    ],
)
def test_every_value_is_hidden(selector: dict[str, Any], expected: str) -> None:
    assert shape_of(selector) == expected
    assert "secret" not in shape_of(selector)


def test_parts_that_are_no_names_are_hidden() -> None:
    assert path_shape("address2.street_name") == "address2.street_name"
    assert path_shape("4711.Jo Doe." + 40 * "x") == "?.?.?"


def test_an_order_is_written_in_words() -> None:
    assert sort_shape([("bed", 1), ("at.Ab12cd", -1)]) == "bed, at.? descending"
    assert sort_shape([]) == ""
