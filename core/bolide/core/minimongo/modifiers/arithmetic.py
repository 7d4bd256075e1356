"""Arithmetic on stored numbers, with MongoDB's types and limits."""

import operator
from collections.abc import Callable, Mapping
from decimal import Decimal, localcontext

# Values have no static type here: each function looks at what it was given.
from typing import Any, Final, TypeAlias, TypeGuard

from bson.decimal128 import create_decimal128_context

from bolide.core.minimongo.errors import MinimongoError
from bolide.core.values import Decimal128, Int64

__all__ = ["BITWISE", "Number", "add", "is_integer", "is_number", "multiply"]

Number: TypeAlias = int | float | Decimal128
"""What can be added and multiplied; no bool."""

BITWISE: Final[Mapping[str, Callable[[int, int], int]]] = {
    "and": int.__and__,
    "or": int.__or__,
    "xor": int.__xor__,
}
"""What ``$bit`` can do, by its name there."""

_DOUBLE_DIGITS: Final = 15


def is_number(value: Any) -> TypeGuard[Number]:
    """Tell whether a value is a number; a bool is none."""
    return isinstance(value, int | float | Decimal128) and not isinstance(value, bool)


def is_integer(value: Any) -> TypeGuard[int]:
    """Tell whether a value is a whole number and stored as one."""
    return isinstance(value, int) and not isinstance(value, bool)


def add(left: Number, right: Number, where: str) -> Number:
    """Add two numbers.

    Whole numbers stay whole, with a float the sum is a float, with a Decimal128 a Decimal128;
    ``Int64`` stays ``Int64``.

    Raises:
        MinimongoError: If the sum of two whole numbers does not fit 64 bits.
    """
    return _apply(operator.add, left, right, where)


def multiply(left: Number, right: Number, where: str) -> Number:
    """Multiply two numbers; as :func:`add`."""
    return _apply(operator.mul, left, right, where)


def _apply(combine: Callable[[Any, Any], Any], left: Number, right: Number, where: str) -> Number:
    if isinstance(left, Decimal128) or isinstance(right, Decimal128):
        with localcontext(create_decimal128_context()):
            return Decimal128(combine(_to_decimal(left), _to_decimal(right)))
    result: int | float = combine(left, right)
    if isinstance(result, float):
        return result
    if not -(2**63) <= result < 2**63:
        raise MinimongoError(f"{where} gives a number that does not fit 64 bits.")
    return Int64(result) if isinstance(left, Int64) or isinstance(right, Int64) else result


def _to_decimal(number: Number) -> Decimal:
    if isinstance(number, Decimal128):
        return number.to_decimal()
    if isinstance(number, float):
        # A double is worth 15 digits, as in MongoDB; more would show the error of its binary form.
        return Decimal(f"{number:.{_DOUBLE_DIGITS - 1}e}")
    return Decimal(number)
