from datetime import UTC, datetime

# Documents hold values of any type.
from typing import Any

import pytest

from bolide.core.minimongo.errors import MinimongoError
from bolide.core.minimongo.modifiers.operators import Moment, compile_update
from bolide.core.values import DatetimeMS, Decimal128, Document, Int64

NOW = datetime(2026, 1, 2, 3, 4, 5, 678000, tzinfo=UTC)
NOW_MS = 1767323045678
LATER = datetime(2030, 1, 1, tzinfo=UTC)


def _apply(
    operator: str, operand: Any, document: Document, path: str = "a", *, is_insert: bool = False
) -> Document:
    moment = Moment(NOW_MS, None, is_insert)
    return compile_update(operator, path, operand).apply(document, moment)


@pytest.mark.parametrize(
    ("operator", "operand", "old", "new"),
    [
        ("$set", 2, 1, 2),
        ("$set", None, 1, None),
        ("$inc", 2, 1, 3),
        ("$inc", -0.5, 1, 0.5),
        ("$inc", 1, Int64(1), Int64(2)),
        ("$mul", 3, 2, 6),
        ("$min", 1, 2, 1),
        ("$min", 1, 1.5, 1),
        ("$max", 3, 2, 3),
        ("$max", LATER, NOW, LATER),
        ("$min", NOW, LATER, NOW),
        ("$max", DatetimeMS(2**60), NOW, DatetimeMS(2**60)),
        ("$max", 2, Decimal128("1.5"), 2),
        ("$bit", {"and": 6}, 3, 2),
        ("$bit", {"or": 4, "xor": 1}, 3, 6),
        ("$bit", {"xor": Int64(1)}, 3, Int64(2)),
        ("$currentDate", True, None, NOW),
        ("$currentDate", {"$type": "date"}, 1, NOW),
        ("$push", 2, [1], [1, 2]),
        ("$pushAll", [2], [1], [1, 2]),
        ("$addToSet", 2, [1], [1, 2]),
        ("$pop", 1, [1, 2], [1]),
        ("$pull", 1, [1, 2], [2]),
        ("$pullAll", [1], [1, 2], [2]),
    ],
)
def test_an_operator_makes_the_new_value_from_the_old(
    operator: str, operand: Any, old: Any, new: Any
) -> None:
    before = {"a": old, "b": 0}
    after = _apply(operator, operand, before)
    assert after == {"a": new, "b": 0}
    assert type(after["a"]) is type(new)
    assert before == {"a": old, "b": 0}


@pytest.mark.parametrize(
    ("operator", "operand", "new"),
    [
        ("$set", 2, 2),
        ("$inc", 2, 2),
        ("$mul", 2, 0),
        ("$mul", 2.5, 0.0),
        ("$mul", Int64(2), Int64(0)),
        ("$min", 2, 2),
        ("$max", LATER, LATER),
        ("$bit", {"or": 5}, 5),
        ("$bit", {"and": 5}, 0),
        ("$currentDate", True, NOW),
        ("$push", 1, [1]),
    ],
)
def test_an_absent_field_is_made(operator: str, operand: Any, new: Any) -> None:
    after = _apply(operator, operand, {})
    assert after == {"a": new}
    assert type(after["a"]) is type(new)


@pytest.mark.parametrize("operator", ["$unset", "$pop", "$pullAll", "$rename"])
def test_nothing_is_taken_from_an_absent_field(operator: str) -> None:
    operand = {"$pullAll": [1], "$rename": "c"}.get(operator, 1)
    document = {"b": 1}
    assert _apply(operator, operand, document) is document
    assert _apply(operator, operand, document, "b.x.y") is document


@pytest.mark.parametrize(
    ("operator", "operand", "old"),
    [
        ("$set", {"x": [1]}, {"x": [1]}),
        ("$inc", 0, 1),
        ("$mul", 1, 2),
        ("$min", 3, 2),
        ("$min", 2.0, 2),
        ("$max", 1, 2),
        ("$bit", {"or": 1}, 1),
        ("$currentDate", True, NOW),
        ("$push", {"$each": []}, [1]),
        ("$addToSet", 1, [1]),
        ("$pop", 1, []),
        ("$pullAll", [9], [1]),
    ],
)
def test_the_same_document_comes_back_when_nothing_changes(
    operator: str, operand: Any, old: Any
) -> None:
    document = {"a": old}
    assert _apply(operator, operand, document) is document


def test_setting_an_equal_number_of_another_type_is_a_change() -> None:
    assert type(_apply("$set", 1.0, {"a": 1})["a"]) is float


def test_unset_takes_the_field_away() -> None:
    assert _apply("$unset", 1, {"a": None, "b": 1}) == {"b": 1}


def test_set_on_insert_counts_only_then() -> None:
    document = {"b": 1}
    assert _apply("$setOnInsert", 2, document) is document
    assert _apply("$setOnInsert", 2, document, is_insert=True) == {"a": 2, "b": 1}


@pytest.mark.parametrize(
    ("path", "operand", "before", "after"),
    [
        ("a", "b", {"a": 1}, {"b": 1}),
        ("a", "b", {"a": 1, "b": 2}, {"b": 1}),
        ("a", "b.c", {"a": 1}, {"b": {"c": 1}}),
        ("a.x", "a.y", {"a": {"x": 1}}, {"a": {"y": 1}}),
        ("a.x", "b.0", {"a": {"x": None}}, {"a": {}, "b": {"0": None}}),
    ],
)
def test_rename_moves_a_field(path: str, operand: str, before: Document, after: Document) -> None:
    assert _apply("$rename", operand, before, path) == after


@pytest.mark.parametrize(
    ("path", "operand", "document"),
    [
        ("a.0", "b", {"a": [1]}),
        ("a", "b.0", {"a": 1, "b": [2]}),
        ("a.0.x", "b", {"a": [{"x": 1}]}),
    ],
)
def test_rename_does_not_enter_arrays(path: str, operand: str, document: Document) -> None:
    with pytest.raises(MinimongoError, match="cannot lead through an array"):
        _apply("$rename", operand, document, path)


def test_rename_refuses_to_nest_too_deep() -> None:
    deep: dict[str, Any] = {}
    for _ in range(90):
        deep = {"x": deep}
    with pytest.raises(MinimongoError, match="would be nested deeper than 100 levels"):
        _apply("$rename", ".".join("b" * 10), {"a": deep})
    _apply("$rename", ".".join("b" * 9), {"a": deep})


@pytest.mark.parametrize(
    ("operator", "operand", "old", "text"),
    [
        ("$inc", 1, "1", "needs a number in the document"),
        ("$inc", 1, None, "needs a number in the document"),
        ("$inc", 1, True, "needs a number in the document"),
        ("$inc", 1, 2**63 - 1, "does not fit 64 bits"),
        ("$mul", 1, [1], "needs a number in the document"),
        ("$mul", 2, 2**62, "does not fit 64 bits"),
        ("$min", 1, None, "needs a number in the document"),
        ("$max", 1, NOW, "needs a number in the document"),
        ("$max", NOW, 1, "needs a date in the document"),
        ("$bit", {"or": 1}, 1.0, "needs a whole number in the document"),
        ("$bit", {"or": 1}, None, "needs a whole number in the document"),
        ("$push", 1, 1, "needs an array in the document"),
    ],
)
def test_a_value_that_does_not_fit_is_refused_without_being_named(
    operator: str, operand: Any, old: Any, text: str
) -> None:
    with pytest.raises(MinimongoError, match=text) as caught:
        _apply(operator, operand, {"a": old})
    assert str(caught.value).startswith(f"{operator} of 'a' ")


@pytest.mark.parametrize(
    ("operator", "operand", "text"),
    [
        ("$inc", "1", "needs a number to add"),
        ("$inc", True, "needs a number to add"),
        ("$inc", 2**63, "does not fit 64 bits"),
        ("$mul", None, "needs a number to multiply with"),
        ("$mul", -(2**64), "does not fit 64 bits"),
        ("$min", "10", "needs a number or a date"),
        ("$max", [10], "needs a number or a date"),
        ("$max", True, "needs a number or a date"),
        ("$max", 2**63, "does not fit 64 bits"),
        ("$bit", 1, "needs one of and, or, xor"),
        ("$bit", {}, "needs one of and, or, xor"),
        ("$bit", {"not": 1}, "needs one of and, or, xor"),
        ("$bit", {"or": 1.0}, "needs a whole number as operand"),
        ("$bit", {"or": 2**63}, "does not fit 64 bits"),
        ("$currentDate", False, "must be true or"),
        ("$currentDate", {}, "must be true or"),
        ("$currentDate", 1, "must be true or"),
        ("$currentDate", {"$type": "timestamp"}, "dates only, no timestamps"),
        ("$rename", 1, "needs a path to rename it to"),
        ("$rename", "$b", "starts with '\\$'"),
        ("$rename", "b\0", "null byte"),
        ("$rename", "b.$", "cannot be positional"),
        ("$set", {"$a": 1}, "starts with '\\$'"),
        ("$setOnInsert", {"a.b": 1}, "contains '.'"),
        ("$push", {"$a": 1}, "starts with '\\$'"),
        ("$foo", 1, "\\$foo is no operator of a modifier"),
        ("$each", 1, "\\$each is no operator of a modifier"),
    ],
)
def test_a_bad_operand_does_not_compile(operator: str, operand: Any, text: str) -> None:
    with pytest.raises(MinimongoError, match=text):
        compile_update(operator, "a", operand)
