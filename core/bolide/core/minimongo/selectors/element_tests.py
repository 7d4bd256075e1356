"""Tests of single values: what most operators ask."""

import operator
from collections.abc import Callable

# Values are of any kind; each test looks at what it is given.
from typing import Any, Final

from bolide.core.minimongo.compare import (
    NUMBER,
    compare,
    compare_numbers,
    type_order,
)
from bolide.core.minimongo.errors import MinimongoError
from bolide.core.minimongo.paths import is_array, is_document
from bolide.core.minimongo.regexes.regex import regex_test
from bolide.core.minimongo.selectors.bits import bits_of, mask_of
from bolide.core.minimongo.selectors.conditions import Test, is_missing
from bolide.core.minimongo.selectors.integers import truncated
from bolide.core.values import Decimal128, ObjectId, Regex, equals

__all__ = [
    "bits_test",
    "equality_test",
    "inequality_test",
    "membership_test",
    "remainder_test",
    "size_test",
]

_Comparison = Callable[[Any, Any], bool]
_INEQUALITIES: Final[dict[str, _Comparison]] = {
    "$lt": operator.lt,
    "$lte": operator.le,
    "$gt": operator.gt,
    "$gte": operator.ge,
}
_BITS: Final[dict[str, Callable[[int, int], bool]]] = {
    "$bitsAllSet": lambda bits, mask: bits & mask == mask,
    "$bitsAnySet": lambda bits, mask: bits & mask != 0,
    "$bitsAllClear": lambda bits, mask: bits & mask == 0,
    "$bitsAnyClear": lambda bits, mask: bits & mask != mask,
}
# Types whose values may share one set with each other: equal ones are equal as values too.
_HASHED: Final = frozenset({str, ObjectId, int, float})


def equality_test(expected: Any) -> Test:
    """Make a test for being equal; null equals what is absent, objects need the same key order."""
    if is_missing(expected):
        return is_missing
    if isinstance(expected, str | ObjectId):
        return lambda value: bool(value == expected)
    if isinstance(expected, bool):
        return lambda value: value is expected
    if isinstance(expected, int | float) and expected == expected:

        def equals_number(value: Any) -> bool:
            # Not `in (True, False)`: 1 is in there too.
            if value is True or value is False:
                return False
            if isinstance(value, Decimal128):
                return compare_numbers(value, expected) == 0
            return bool(value == expected)

        return equals_number
    if isinstance(expected, Decimal128 | float):
        return lambda value: _is_number(value) and compare_numbers(value, expected) == 0
    return lambda value: equals(expected, value, key_order=True)


def inequality_test(name: str, operand: Any) -> Test:
    """Make a test for ``$lt``, ``$lte``, ``$gt`` or ``$gte``: only values of its type fit.

    Raises:
        MinimongoError: If the operand is a regular expression.
    """
    holds = _INEQUALITIES[name]
    if isinstance(operand, Regex):
        raise MinimongoError(f"{name} cannot compare with a regular expression.")
    if is_missing(operand):
        return is_missing if name in ("$lte", "$gte") else lambda _: False
    order = type_order(operand)
    if order == NUMBER:
        return _number_inequality(holds, operand)

    def test(value: Any) -> bool:
        return type_order(value) == order and holds(compare(value, operand), 0)

    if isinstance(operand, str):
        return lambda value: type(value) is str and holds(value, operand)
    return test


def _number_inequality(holds: _Comparison, operand: Any) -> Test:
    def test(value: Any) -> bool:
        if not _is_number(value):
            return False
        # NaN is in order with NaN only.
        return _is_nan(value) == is_nan and holds(compare_numbers(value, operand), 0)

    is_nan = _is_nan(operand)
    if is_nan or isinstance(operand, Decimal128):
        return test

    def test_fast(value: Any) -> bool:
        if type(value) is int or type(value) is float:
            return holds(value, operand)
        return test(value)

    return test_fast


def membership_test(operand: Any) -> Test:
    """Make a test for ``$in``: values and regular expressions, of which one must fit.

    Raises:
        MinimongoError: If the operand is no array, or holds an operator.
    """
    if not is_array(operand):
        raise MinimongoError("$in and $nin need an array.")
    hashed = {item for item in operand if type(item) in _HASHED and item == item}
    tests = [_member_test(item) for item in operand]
    unhashed = [
        test
        for item, test in zip(operand, tests, strict=True)
        if type(item) not in _HASHED or item != item
    ]

    def test(value: Any) -> bool:
        if type(value) in _HASHED:
            return value in hashed or any(test(value) for test in unhashed)
        return any(test(value) for test in tests)

    return test


def _member_test(item: Any) -> Test:
    if isinstance(item, Regex):
        return regex_test(item.pattern, item.flags)
    if is_document(item) and any(name.startswith("$") for name in item):
        raise MinimongoError("$in and $nin cannot hold operators.")
    return equality_test(item)


def remainder_test(operand: Any) -> Test:
    """Make a test for ``$mod``: the remainder of a division has the sign of the value.

    Raises:
        MinimongoError: If the operand is not an array of a divisor other than 0 and a remainder.
    """
    divisor, remainder = map(truncated, operand) if _is_pair(operand) else (None, None)
    if divisor is None or remainder is None:
        raise MinimongoError("$mod needs an array of two numbers: divisor and remainder.")
    if divisor == 0:
        raise MinimongoError("The divisor of $mod cannot be 0.")

    def test(value: Any) -> bool:
        whole = truncated(value)
        if whole is None:
            return False
        rest = abs(whole) % abs(divisor)
        return (rest if whole >= 0 else -rest) == remainder

    return test


def size_test(operand: Any) -> Test:
    """Make a test for ``$size``; a text counts as 0, as in MongoDB's shell of old and in Meteor.

    Raises:
        MinimongoError: If the operand is neither a number nor a text.
    """
    size = 0 if isinstance(operand, str) else operand
    if not _is_number(size):
        raise MinimongoError("$size needs a number.")
    return lambda value: is_array(value) and len(value) == size


def bits_test(name: str, operand: Any) -> Test:
    """Make a test for ``$bitsAllSet``, ``$bitsAnySet``, ``$bitsAllClear`` or ``$bitsAnyClear``."""
    mask = mask_of(name, operand)
    holds = _BITS[name]

    def test(value: Any) -> bool:
        bits = bits_of(value)
        return bits is not None and holds(bits, mask)

    return test


def _is_number(value: object) -> bool:
    return isinstance(value, int | float | Decimal128) and not isinstance(value, bool)


def _is_nan(value: Any) -> bool:
    return value.to_decimal().is_nan() if isinstance(value, Decimal128) else value != value


def _is_pair(operand: Any) -> bool:
    return is_array(operand) and len(operand) == 2
