import math
from datetime import UTC, datetime

import pytest

from bolide.core.minimongo.errors import MinimongoError
from bolide.core.minimongo.selectors.element_tests import (
    bits_test,
    equality_test,
    inequality_test,
    membership_test,
    remainder_test,
    size_test,
)
from bolide.core.values import (
    UNDEFINED,
    DatetimeMS,
    Decimal128,
    Encrypted,
    Int64,
    ObjectId,
    Regex,
)

ID = ObjectId("0" * 24)
DAY = datetime(2024, 1, 1, tzinfo=UTC)

EQUAL: list[tuple[object, object]] = [
    ("a", "a"),
    (ID, ObjectId("0" * 24)),
    (1, 1.0),
    (1.0, Int64(1)),
    (1, Decimal128("1.00")),
    (Decimal128("1.0"), Decimal128("1.00")),
    (Decimal128("1.0"), 1),
    (math.nan, math.nan),
    (math.nan, Decimal128("NaN")),
    (True, True),
    (None, None),
    (None, UNDEFINED),
    (UNDEFINED, None),
    (DAY, DatetimeMS(1704067200000)),
    (b"a", b"a"),
    ([1, {"a": 2}], [1.0, {"a": 2}]),
    ({"a": 1, "b": 2}, {"a": 1, "b": 2}),
    (Regex("a"), Regex("a")),
]
DIFFERENT: list[tuple[object, object]] = [
    ("a", "b"),
    ("1", 1),
    (ID, "0" * 24),
    (1, True),
    (0, False),
    (True, 1),
    (False, 0),
    (1, None),
    (Decimal128("1"), True),
    (math.nan, 1),
    (None, 0),
    (None, False),
    (b"a", Encrypted(b"a")),
    ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
    ([1], 1),
    (Regex("a"), "a"),
]


@pytest.mark.parametrize(("expected", "value"), EQUAL)
def test_equal_values_fit(expected: object, value: object) -> None:
    assert equality_test(expected)(value)
    assert membership_test([expected])(value)
    assert membership_test(["other", expected])(value)


@pytest.mark.parametrize(("expected", "value"), DIFFERENT)
def test_different_values_do_not_fit(expected: object, value: object) -> None:
    assert not equality_test(expected)(value)


@pytest.mark.parametrize(("expected", "value"), DIFFERENT[:-1])
def test_different_values_are_no_members(expected: object, value: object) -> None:
    assert not membership_test(["other", expected])(value)


@pytest.mark.parametrize(
    ("less", "more"),
    [
        (1, 2),
        (1, 1.5),
        (1.5, Decimal128("2")),
        (Decimal128("1"), 1.5),
        (Int64(1), Int64(2)),
        (-math.inf, 0),
        ("a", "b"),
        (False, True),
        (DAY, DatetimeMS(2**60)),
        (b"b", b"aa"),
        ({"a": 1}, {"a": 2}),
        ([1], [2]),
    ],
)
def test_values_of_one_type_are_in_order(less: object, more: object) -> None:
    for value, operand, holding in (
        (less, more, {"$lt", "$lte"}),
        (more, less, {"$gt", "$gte"}),
        (less, less, {"$lte", "$gte"}),
    ):
        names = {"$lt", "$lte", "$gt", "$gte"}
        assert {name for name in names if inequality_test(name, operand)(value)} == holding


@pytest.mark.parametrize(
    ("operand", "value"),
    [
        (1, "1"),
        (1, True),
        (1, None),
        (1, math.nan),
        (math.nan, 1),
        ("a", 1),
        ("a", None),
        (DAY, 0),
        ([], 0),
        ({}, []),
        (None, 0),
        (True, 1),
    ],
)
def test_values_of_other_types_are_in_no_order(operand: object, value: object) -> None:
    for name in ("$lt", "$lte", "$gt", "$gte"):
        assert not inequality_test(name, operand)(value)


def test_null_and_nan_are_at_most_and_at_least_themselves() -> None:
    for operand, value in ((None, UNDEFINED), (math.nan, math.nan), (Decimal128("NaN"), math.nan)):
        assert inequality_test("$lte", operand)(value)
        assert inequality_test("$gte", operand)(value)
        assert not inequality_test("$lt", operand)(value)
        assert not inequality_test("$gt", operand)(value)


def test_a_regular_expression_has_no_order() -> None:
    with pytest.raises(MinimongoError, match=r"\$gt .* regular"):
        inequality_test("$gt", Regex("a"))
    assert not inequality_test("$gt", DAY)(Regex("a"))


def test_a_member_can_be_a_regular_expression() -> None:
    test = membership_test(["x", Regex("foo", "i")])
    assert test("fOo")
    assert test("x")
    assert test(Regex("foo", "i"))
    assert not test("fox")
    assert not test(True)


@pytest.mark.parametrize("operand", [None, 5, {"a": 1}, [{"$gt": 5}]])
def test_what_cannot_hold_members_is_refused(operand: object) -> None:
    with pytest.raises(MinimongoError, match=r"\$in and \$nin"):
        membership_test(operand)


@pytest.mark.parametrize(
    ("operand", "value"),
    [
        ([10, 1], 11),
        ([10, -1], -11),
        ([-10, 1], 11),
        ([2, 0], 4.9),
        ([10.9, 1], 11),
        ([10, 1], Decimal128("11.9")),
        ([Decimal128("10.5"), 1], 11),
    ],
)
def test_remainders_are_those_of_whole_numbers(operand: list[object], value: object) -> None:
    assert remainder_test(operand)(value)


@pytest.mark.parametrize(
    "value", [12, "11", True, None, math.nan, Decimal128("12"), Decimal128("1E+19"), 1e19]
)
def test_other_remainders_do_not_fit(value: object) -> None:
    assert not remainder_test([10, 1])(value)


@pytest.mark.parametrize(
    "operand", [5, "foo", [], [10], [10, 1, 2], {"a": 1}, [True, 1], [10, math.nan], [0, 1]]
)
def test_a_bad_divisor_is_refused(operand: object) -> None:
    with pytest.raises(MinimongoError, match=r"\$mod"):
        remainder_test(operand)


def test_sizes_are_those_of_arrays() -> None:
    assert size_test(2)([1, 1])
    assert not size_test(2)([1])
    assert not size_test(1)("a")
    assert size_test("text")([])
    with pytest.raises(MinimongoError, match=r"\$size"):
        size_test(None)


@pytest.mark.parametrize(
    ("name", "bits"),
    [
        ("$bitsAllSet", {0b110, 0b111}),
        ("$bitsAnySet", {0b100, 0b010, 0b110, 0b111}),
        ("$bitsAllClear", {0b000, 0b001}),
        ("$bitsAnyClear", {0b000, 0b001, 0b100, 0b010}),
    ],
)
def test_bits_are_compared_with_the_mask(name: str, bits: set[int]) -> None:
    test = bits_test(name, 0b110)
    assert {number for number in (0, 1, 2, 4, 6, 7) if test(number)} == bits
    assert not test("text")
