from datetime import UTC, datetime
from typing import Any

import pytest
from bson import Binary

from bolide.core.minimongo.errors import MinimongoError
from bolide.core.minimongo.modifiers.storable import check_name, copied, depth, is_same, storable
from bolide.core.values import INVALID_DATE, Int64, ObjectId, Regex

WHERE = "$set of 'a'"
DATE = datetime(2026, 1, 1, tzinfo=UTC)


def _nested(levels: int) -> dict[str, Any]:
    document: dict[str, Any] = {}
    for _ in range(levels - 1):
        document = {"a": document}
    return document


def test_containers_are_copied_at_every_level() -> None:
    given: dict[str, Any] = {"a": [{"b": 1}], "c": Regex("x")}
    copy = storable(given, WHERE, around=0)
    assert copy == given
    assert copy is not given
    assert copy["a"] is not given["a"]
    assert copy["a"][0] is not given["a"][0]
    assert copy["c"] is given["c"]


def test_conditions_are_copied_with_any_field_name() -> None:
    given: dict[str, Any] = {"$in": [{"a.b": 1}]}
    copy = copied(given, WHERE)
    assert copy == given
    assert copy["$in"] is not given["$in"]
    assert copy["$in"][0] is not given["$in"][0]
    assert copied(_nested(100), WHERE) == _nested(100)
    for deep in (_nested(101), [_nested(100)], [[_nested(99)]]):
        with pytest.raises(MinimongoError, match="nested deeper"):
            copied(deep, WHERE)


def test_key_order_is_kept() -> None:
    assert list(storable({"b": 1, "a": 2}, WHERE, around=0)) == ["b", "a"]


def test_a_hundred_levels_are_allowed_and_one_more_is_not() -> None:
    assert depth(storable(_nested(100), WHERE, around=0)) == 100
    storable(_nested(90), WHERE, around=10)
    storable([_nested(89)], WHERE, around=10)
    for value, around in ((_nested(101), 0), (_nested(91), 10), ([_nested(90)], 10)):
        with pytest.raises(MinimongoError, match="is nested deeper than 100 levels"):
            storable(value, WHERE, around=around)


def test_hostile_nesting_ends_at_the_limit() -> None:
    with pytest.raises(MinimongoError, match="nested"):
        storable(_nested(100_000), WHERE, around=0)


@pytest.mark.parametrize(
    ("name", "text"),
    [("$a", "starts with '\\$'"), ("a.b", "contains '.'"), ("a\0", "null byte"), (1, "no text")],
)
def test_bad_field_names_are_refused_at_every_level(name: Any, text: str) -> None:
    bad = {name: 1}
    for value in (bad, [[bad]], {"x": {"y": bad}}):
        with pytest.raises(MinimongoError, match=text):
            storable(value, WHERE, around=0)


def test_the_text_of_a_refusal_does_not_repeat_the_field_name() -> None:
    with pytest.raises(MinimongoError) as caught:
        check_name("Jane.Doe", WHERE)
    assert "Jane" not in str(caught.value)


@pytest.mark.parametrize("name", ["", " ", "a$", "é"])
def test_other_field_names_are_fine(name: str) -> None:
    check_name(name, WHERE)


@pytest.mark.parametrize("number", [2**63, -(2**63) - 1])
def test_numbers_beyond_64_bits_are_refused(number: int) -> None:
    with pytest.raises(MinimongoError, match="does not fit 64 bits"):
        storable({"n": number}, WHERE, around=0)


def test_the_largest_numbers_of_64_bits_are_fine() -> None:
    assert storable([2**63 - 1, -(2**63)], WHERE, around=0) == [2**63 - 1, -(2**63)]


def test_an_invalid_date_is_refused() -> None:
    with pytest.raises(MinimongoError, match="invalid date"):
        storable([INVALID_DATE], WHERE, around=0)


LEVELS: list[tuple[Any, int]] = [
    (1, 0),
    ({}, 1),
    ([], 1),
    ({"a": 1}, 1),
    ({"a": [{}, 1], "b": []}, 3),
]


@pytest.mark.parametrize(("value", "levels"), LEVELS)
def test_depth_counts_documents_and_arrays(value: Any, levels: int) -> None:
    assert depth(value) == levels


SAME: list[tuple[Any, Any]] = [
    (1, 1),
    (float("nan"), float("nan")),
    (DATE, datetime(2026, 1, 1, tzinfo=UTC)),
    ({"a": [1, {"b": None}]}, {"a": [1, {"b": None}]}),
    (ObjectId("5" * 24), ObjectId("5" * 24)),
    (Binary(b"x", 4), Binary(b"x", 4)),
]


@pytest.mark.parametrize(("old", "new"), SAME)
def test_what_is_written_alike_is_the_same(old: Any, new: Any) -> None:
    assert is_same(old, new)


DIFFERENT: list[tuple[Any, Any]] = [
    (1, 2),
    (1, 1.0),
    (1, True),
    (5, Int64(5)),
    ([1], [1.0]),
    ([1], [1, 2]),
    ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
    ({"a": 1}, {"a": 1.0}),
    ({"a": 1}, {"b": 1}),
    (Binary(b"x", 4), Binary(b"x", 5)),
    (b"x", Binary(b"x", 4)),
    (None, {}),
]


@pytest.mark.parametrize(("old", "new"), DIFFERENT)
def test_equal_values_of_another_type_or_order_are_not_the_same(old: Any, new: Any) -> None:
    assert not is_same(old, new)
