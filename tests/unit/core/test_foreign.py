"""Values that a database may hold and no client is sent."""

from typing import Any

import pytest
from bson import Code, MaxKey, MinKey, ObjectId, Timestamp
from bson.datetime_ms import DatetimeMS

from bolide.core.foreign import find_foreign
from bolide.core.keys import key_of
from bolide.core.minimongo.compare import compare
from bolide.core.minimongo.matcher import Matcher
from bolide.core.minimongo.predicates import match_key, order_key
from bolide.core.values import Regex

LAST_MS = 8_640_000_000_000_000
ORDERED: list[Any] = [
    MinKey(), None, 1, "f()", {}, [], b"", ObjectId(), True, DatetimeMS(LAST_MS + 1),
    Timestamp(1, 1), Timestamp(1, 2), Timestamp(2, 0), Regex("a"), Code("a"), Code("f()"),
    Code("a", {"x": 1}), Code("a", {"x": 2}), Code("f()", {"x": 1}), MaxKey(),
]  # fmt: skip


@pytest.mark.parametrize(
    ("fields", "found"),
    [
        ({}, None),
        ({"a": 1, "b": [1, {"c": "x"}], "d": {"e": None}}, None),
        ({"a": Regex("x"), "b": [Regex("x")]}, None),
        ({"a": 1, "b": Timestamp(1, 1)}, ("b", "Timestamp")),
        ({"a": {"b": {"c": MinKey()}}, "d": MaxKey()}, ("a.b.c", "MinKey")),
        ({"a": [1, [2, MaxKey()]]}, ("a.1.1", "MaxKey")),
        ({"a": [{"b": Code("f()")}]}, ("a.0.b", "Code")),
        ({"a": DatetimeMS(LAST_MS), "b": DatetimeMS(-LAST_MS)}, None),
        ({"a": DatetimeMS(LAST_MS + 1)}, ("a", "date")),
        ({"a": DatetimeMS(-LAST_MS - 1)}, ("a", "date")),
    ],
)
def test_the_first_that_cannot_be_sent_is_named(fields: Any, found: Any) -> None:
    assert find_foreign(fields) == found


def test_they_have_the_places_that_mongodb_gives_them() -> None:
    for place, value in enumerate(ORDERED):
        for other_place, other in enumerate(ORDERED):
            if not isinstance(value, Regex) or not isinstance(other, Regex):
                assert compare(value, other) == (place > other_place) - (place < other_place)


@pytest.mark.parametrize("key", [key_of, match_key])
def test_their_keys_are_those_of_nothing_else(key: Any) -> None:
    keys = [key(value) for value in ORDERED]
    assert len(set(keys)) == len(keys)
    assert key(Timestamp(1, 2)) == key(Timestamp(1, 2))
    assert key(Code("f()")) == key(Code("f()"))


@pytest.mark.parametrize("value", [Code("f()"), Timestamp(1, 1), MinKey(), MaxKey()])
def test_no_inequality_finds_them(value: Any) -> None:
    assert order_key(value) is None
    for operand in (1, "a", DatetimeMS(0)):
        assert not Matcher({"v": {"$gt": operand}}).matches({"v": value})
        assert not Matcher({"v": {"$lte": operand}}).matches({"v": value})
    for selector in (str(value), Regex("."), {"$ne": value}):
        assert not Matcher({"v": selector}).matches({"v": value})


@pytest.mark.parametrize(
    ("alias", "value"),
    [
        ("timestamp", Timestamp(1, 1)),
        ("minKey", MinKey()),
        ("maxKey", MaxKey()),
        ("javascript", Code("f()")),
        ("javascriptWithScope", Code("f()", {})),
    ],
)
def test_their_types_can_be_asked_for(alias: str, value: Any) -> None:
    for other in ORDERED:
        matches = Matcher({"v": {"$type": alias}}).matches({"v": other})
        is_same = type(other) is type(value)
        if isinstance(other, Code) and isinstance(value, Code):
            is_same = (other.scope is None) == (value.scope is None)
        # An element of an array would be found as well; there is none of these types.
        assert matches == is_same
